"""Alerts about what is so just now: raised while it is found, resolved when it is not found any more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from include.evergreen.state.alerts import Alert, Finding, raise_within, resolve_within
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import alerts
from include.evergreen.state.effects import side_effect


def keep(kind: str, findings: Collection[Finding], gone: str) -> int:
    """Raise the alerts of what is found, and resolve those of the same kind that are open and were not found.

    As long as severity and evidence of a finding stay the same it is told once. What a person resolved by hand stays so until
    something about it changes. Several processes may do it at once.

    :param kind: of alerts that are raised nowhere else
    :param findings: all that is wrong now
    :param gone: for the timeline of those that are resolved
    :returns: how many alerts changed
    """
    wanted = {finding.key: finding for finding in findings}
    assert all(key.startswith(f"{kind}/") for key in wanted), wanted
    with reading() as connection:
        if not _changes(_newest(connection, kind, wanted), wanted):
            return 0
    with side_effect("alert"), writing() as connection:
        newest = _newest(connection, kind, wanted)
        changes = _changes(newest, wanted)
        for key in changes:
            if finding := wanted.get(key):
                raise_within(connection, finding)
            else:
                resolve_within(connection, newest[key], gone)
    return len(changes)


def _newest(connection: Any, kind: str, keys: Collection[str]) -> dict[str, Alert]:
    """The newest alert of each key that is wanted or open."""
    is_open = alerts.c.resolved_at.is_(None) & (alerts.c.kind == kind)
    found = {row.key: Alert(**row._mapping) for row in connection.execute(alerts.select().where(is_open))}
    for key in set(keys) - set(found):
        row = connection.execute(alerts.select().where(alerts.c.key == key).order_by(alerts.c.id.desc()).limit(1)).first()
        if row is not None:
            found[key] = Alert(**row._mapping)
    return found


def _changes(newest: dict[str, Alert], wanted: dict[str, Finding]) -> list[str]:
    changed = []
    for key, finding in wanted.items():
        alert = newest.get(key)
        same = alert is not None and (alert.severity, alert.evidence) == (finding.severity, finding.evidence)
        is_told = alert is not None and same and ((alert.is_open and alert.cleared_at is None) or alert.resolved_by is not None)
        if not is_told:
            changed.append(key)
    return changed + [key for key, alert in newest.items() if alert.is_open and alert.cleared_at is None and key not in wanted]
