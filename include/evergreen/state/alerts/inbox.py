"""The inbox: which alerts there are, for a reader who may see some of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.state.alerts.records import Alert, Event, NoSuchAlertError, Place, Severity, State, events_of, places_of, read_alert
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import alert_places, alerts, task_failures

MOST_LISTED = 500


@dataclass(frozen=True)
class Scope:
    """What a reader may see: alerts of these DAGs, and of the datasets and models that they belong to; None: all.

    A DAG is named ``<dataset or model>.<stage>``. What has no place is of the platform, and everybody who is logged in sees it.
    """

    dags: frozenset[str] | None = None

    @property
    def names(self) -> frozenset[str]:
        """The datasets and models whose DAGs the reader may see."""
        return frozenset(dag.rpartition(".")[0] for dag in self.dags or ())

    def covers(self, place: Place) -> bool:
        """Tell whether a place may be shown.

        :param place: of an alert
        :returns: whether it is of a DAG, dataset or model within the scope
        """
        if self.dags is None:
            return True
        return place.dag_id in self.dags if place.dag_id else bool({place.model, place.dataset} & self.names)


ALL = Scope()
OPEN: tuple[State, ...] = ("firing", "acknowledged", "snoozed")


@dataclass(frozen=True)
class Filter:
    """Which alerts are asked for; what is empty is not asked about. ``text`` is looked for in message, error and key."""

    states: Collection[State] = OPEN
    severity: Severity | None = None
    kind: str = ""
    name: str = ""  # of a model or dataset
    dag_id: str = ""
    task_id: str = ""
    run_id: str = ""
    assignee: str = ""
    text: str = ""
    since: dt.datetime | None = None


@dataclass(frozen=True)
class Detail:
    """One alert, with where it was seen and what happened to it. ``hidden`` counts the places that the reader may not see."""

    alert: Alert
    places: list[Place]
    hidden: int
    events: list[Event]


def list_alerts(chosen: Filter, scope: Scope = ALL, *, limit: int = 50, offset: int = 0) -> list[Alert]:
    """List alerts, the critical first, and then the one that was seen last.

    :param chosen: which
    :param scope: what the reader may see
    :param limit: how many, at most `MOST_LISTED`
    :param offset: how many are passed over
    :returns: the alerts
    :raises ConfigError: when the limit or the offset is not allowed
    """
    if not (0 < limit <= MOST_LISTED and offset >= 0):
        raise ConfigError(f"alerts: {limit} from {offset} on; give 1 to {MOST_LISTED}, from 0 on.")
    order = (alerts.c.severity, alerts.c.last_at.desc(), alerts.c.id.desc())  # "critical" comes before "warning"
    page = sa.select(alerts.c.id).where(*_conditions(chosen, scope)).order_by(*order).limit(limit).offset(offset)
    query = alerts.select().where(alerts.c.id.in_(page)).order_by(*order)  # what is passed over is read and sorted in the index alone
    with reading() as connection:
        return [Alert(**row._mapping) for row in connection.execute(query)]


def count_alerts(chosen: Filter, scope: Scope = ALL) -> dict[tuple[Severity, State], int]:
    """Count alerts by severity and state.

    :param chosen: which
    :param scope: what the reader may see
    :returns: the counts; what there is none of is left out
    """
    query = (
        sa.select(alerts.c.severity, alerts.c.state, sa.func.count())
        .where(*_conditions(chosen, scope))
        .group_by(alerts.c.severity, alerts.c.state)
    )
    with reading() as connection:
        return {(severity, state): count for severity, state, count in connection.execute(query)}


def show_alert(alert_id: int, scope: Scope = ALL) -> Detail:
    """Read one alert with its places and its timeline.

    :param alert_id: its number
    :param scope: what the reader may see
    :returns: the alert; places outside the scope are counted alone
    :raises NoSuchAlertError: when there is none, or none that the reader may see
    """
    with reading() as connection:
        alert = read_alert(connection, alert_id)
        places = places_of(connection, alert_id)
        visible = [place for place in places if scope.covers(place)]
        if places and not visible:
            raise NoSuchAlertError(f"There is no alert {alert_id}. `evergreen alerts list` shows those that are open.")
        return Detail(alert, visible, len(places) - len(visible), events_of(connection, alert_id))


def _conditions(chosen: Filter, scope: Scope) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if set(chosen.states) != set(OPEN):
        conditions.append(alerts.c.state.in_(chosen.states))
    if "resolved" not in chosen.states:
        conditions.append(alerts.c.resolved_at.is_(None))  # for the index
    for column, value in ((alerts.c.severity, chosen.severity), (alerts.c.kind, chosen.kind), (alerts.c.assignee, chosen.assignee)):
        if value:
            conditions.append(column == value)
    if chosen.since:
        conditions.append(alerts.c.last_at >= chosen.since)
    if chosen.text:
        conditions.append(
            sa.or_(*(column.icontains(chosen.text, autoescape=True) for column in (alerts.c.message, alerts.c.error, alerts.c.key)))
        )
    place, asked = alert_places.c, {"dag_id": chosen.dag_id, "task_id": chosen.task_id, "run_id": chosen.run_id}
    asked = {name: value for name, value in asked.items() if value}
    if chosen.name or asked:
        here = [place[name] == value for name, value in asked.items()]
        if chosen.name:
            here.append(sa.or_(place.model == chosen.name, place.dataset == chosen.name))
        seen_here = sa.exists().where(place.alert_id == alerts.c.id, *here, *_covered(scope))
        conditions.append(sa.or_(seen_here, _failed_in(asked, scope)) if chosen.run_id and not chosen.name else seen_here)
    return [*conditions, *within(scope)]


def within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    """Write a scope as conditions of a query.

    :param scope: what the reader may see
    :returns: conditions on `alerts` that hold of what they may see; none if that is all
    """
    if scope.dags is None:
        return []
    of_it = alert_places.c.alert_id == alerts.c.id
    return [sa.or_(~sa.exists().where(of_it), sa.exists().where(of_it, *_covered(scope)))]


def _covered(scope: Scope) -> list[sa.ColumnElement[bool]]:
    """The conditions on `alert_places` under which a reader may see a place."""
    if scope.dags is None:
        return []
    place, names = alert_places.c, scope.names
    return [sa.or_(place.dag_id.in_(scope.dags), (place.dag_id == "") & sa.or_(place.model.in_(names), place.dataset.in_(names)))]


def _failed_in(asked: dict[str, str], scope: Scope) -> sa.ColumnElement[bool]:
    """Whether an alert counts a failure of a run. A place has only the newest run in which its cause was seen."""
    failure = task_failures.c
    of_run = [failure[name] == value for name, value in asked.items()]
    readable = [] if scope.dags is None else [failure.dag_id.in_(scope.dags)]
    return alerts.c.id.in_(sa.select(failure.alert_id).where(failure.alert_id.is_not(None), *of_run, *readable))
