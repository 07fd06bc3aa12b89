"""Champion periods: which version was champion at a given time, and on what evidence, for auditors."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.errors import DataError
from include.evergreen.registry.versions import RegisteredVersion, select_versions
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import approvals, decisions, model_versions, promotions, snapshots


@dataclass(frozen=True)
class ChampionPeriod:
    """One version's period as champion. ``until`` is None while it serves; ``previous_version`` 0 means that there was none.

    ``decision`` is the blessing that it was promoted on, ``approvals`` the answers on the version up to then.
    """

    version: RegisteredVersion
    kind: str
    actor: str
    reason: str
    since: dt.datetime
    until: dt.datetime | None
    previous_version: int
    decision: dict[str, Any] | None
    approvals: list[dict[str, Any]]
    snapshot: dict[str, Any]


def champion_period_at(model: str, when: dt.datetime) -> ChampionPeriod | None:
    """Find who was champion of a model at a time, and on what evidence.

    :param model: name of the model
    :param when: the time (wall clock, with its zone)
    :returns: the champion's period, with its evidence; None when there was no champion yet
    :raises DataError: when the record of the version was removed
    """
    of_model = promotions.select().where(promotions.c.model == model)
    with reading() as connection:
        row = connection.execute(of_model.where(promotions.c.promoted_at <= when).order_by(promotions.c.id.desc()).limit(1)).first()
        if row is None:
            return None
        replaced = connection.execute(of_model.where(promotions.c.id > row.id).order_by(promotions.c.id).limit(1)).first()
        version = next(select_versions(connection, model_versions.c.model == model, model_versions.c.version == row.version), None)
        if version is None:
            raise DataError(
                f"{model}: version {row.version} was promoted on {row.promoted_at:%Y-%m-%d} and its record is gone, and so is its "
                f"evidence. Nothing of ours removes it: `evergreen verify-ledger` says what was changed; restore the database."
            )
        snapshot = connection.execute(snapshots.select().where(snapshots.c.digest == version.snapshot_digest)).one()
        return ChampionPeriod(
            version=version,
            kind=row.kind,
            actor=row.actor,
            reason=row.reason,
            since=row.promoted_at,
            until=replaced.promoted_at if replaced else None,
            previous_version=row.previous_version,
            decision=_decision(connection, version, row),
            approvals=_approvals(connection, version, row.promoted_at),
            snapshot={
                "digest": snapshot.digest,
                "rows": snapshot.rows,
                "window": snapshot.window or f"{snapshot.window_days} days",
                "as_of": snapshot.as_of,
            },
        )


def _decision(connection: sa.Connection, version: RegisteredVersion, promotion: sa.Row[Any]) -> dict[str, Any] | None:
    """The newest blessing up to then, preferably against the replaced champion (a person may promote without one)."""
    blessed = decisions.select().where(
        decisions.c.run_key == version.run_key, decisions.c.verdict == "blessed", decisions.c.recorded_at <= promotion.promoted_at
    )
    judged_the_previous = (decisions.c.champion_version == promotion.previous_version).desc()
    row = connection.execute(blessed.order_by(judged_the_previous, decisions.c.id.desc()).limit(1)).first()
    return dict(row._mapping) if row else None


def _approvals(connection: sa.Connection, version: RegisteredVersion, until: dt.datetime) -> list[dict[str, Any]]:
    query = approvals.select().filter_by(model=version.model, version=version.version).where(approvals.c.recorded_at <= until)
    return [dict(row._mapping) for row in connection.execute(query.order_by(approvals.c.id))]
