"""What routes ask about an alert, read from our database and from what is declared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.oncall.steps import Subject
from include.evergreen.state.database.tables import alert_places, alerts


def subjects_of(connection: sa.Connection, ids: Sequence[int]) -> dict[int, Subject]:
    """Read what routes ask about alerts.

    :param connection: any that reads
    :param ids: of the alerts, at most a few hundred
    :returns: the subject of each that is there
    """
    names: dict[int, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    places = sa.select(alert_places.c.alert_id, alert_places.c.model, alert_places.c.dataset).where(alert_places.c.alert_id.in_(ids))
    for row in connection.execute(places.distinct()):
        names[row.alert_id][0].add(row.model)
        names[row.alert_id][1].add(row.dataset)
    catalog = Catalog()
    found = {}
    for row in connection.execute(alerts.select().where(alerts.c.id.in_(ids))):
        models, datasets = ({*each, own} - {""} for each, own in zip(names[row.id], (row.model, row.dataset), strict=True))
        declared = [each for name in models if (each := _declared(catalog, "model", name))]
        declared += [each for name in datasets if (each := _declared(catalog, "dataset", name))]
        found[row.id] = Subject(
            key=row.key,
            kind=row.kind,
            severity=row.severity,
            models=frozenset(models),
            datasets=frozenset(datasets),
            owners=frozenset(each.owner for each in declared),
            tags=frozenset(tag for each in declared for tag in each.tags),
        )
    return found


def _declared(catalog: Catalog, kind: str, name: str) -> Any:
    try:
        return catalog.model(name) if kind == "model" else catalog.dataset(name)
    except ConfigError:  # retired, or wrong just now: its alerts still have a route
        return None
