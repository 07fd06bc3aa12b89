"""An overview of a model's versions, each with its decision, approval and promotions."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.grain import Partition
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import Answer, ApprovalStatus
from include.evergreen.registry.rollouts import Rollout, list_rollouts
from include.evergreen.state.database import reading
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import approvals, candidates, decisions, model_versions, promotions

Row = sa.Row[Any]


@dataclass(frozen=True)
class VersionHistory:
    """All that is recorded of one version, for pages and the command line.

    ``decision`` is the newest blessing (a row of `decisions`); ``promotions`` are rows of that table, the newest first, as
    ``rollouts`` are.
    """

    version: int
    semver: str
    as_of: Partition
    registered_at: dt.datetime
    metrics: dict[str, float]
    mlflow_run_id: str
    card_path: str
    irreproducible_because: str | None
    decision: Row | None
    approval_status: ApprovalStatus
    promotions: tuple[Row, ...]
    is_champion: bool
    is_challenger: bool
    rollouts: tuple[Rollout, ...] = ()


def version_history(model: str, limit: int = 100, *, version: int | None = None) -> list[VersionHistory]:
    """List the versions of a model with all that is recorded of each.

    :param model: name of the model
    :param limit: how many at most
    :param version: the number of the only one to list; None: all
    :returns: the newest version first; none when there is none of this number
    """
    champion, challenger = champions.champion(model), champions.challenger(model)
    own = model_versions.c
    query = (
        sa.select(model_versions, candidates.c.metrics, candidates.c.mlflow_run_id, candidates.c.irreproducible_because)
        .join(candidates)
        .where(own.model == model, *([] if version is None else [own.version == version]))
        .order_by(own.version.desc())
        .limit(limit)
    )
    with reading() as connection:
        versions = connection.execute(query).all()
        blessed, answers, promoted = _of_versions(connection, model, versions)
        rolled_out = list_rollouts(connection, model, [row.version for row in versions])
    return [
        VersionHistory(
            version=row.version,
            semver=row.semver,
            as_of=row.as_of,
            registered_at=row.recorded_at,
            metrics=row.metrics,
            mlflow_run_id=row.mlflow_run_id,
            card_path=row.card_path,
            irreproducible_because=row.irreproducible_because,
            decision=blessed.get(row.run_key),
            approval_status=ApprovalStatus(
                row.approval_because, as_record(Answer, answers[row.version]) if row.version in answers else None
            ),
            promotions=tuple(promoted.get(row.version, ())),
            is_champion=champion is not None and champion.version == row.version,
            is_challenger=challenger is not None and challenger.version == row.version,
            rollouts=tuple(rollout for rollout in rolled_out if rollout.version == row.version),
        )
        for row in versions
    ]


def _of_versions(
    connection: sa.Connection, model: str, versions: Sequence[Row]
) -> tuple[dict[str, Row], dict[int, Row], dict[int, list[Row]]]:
    """The newest blessing of each, by its run key; the newest answer, and the promotions, newest first, by its number."""
    numbers, keys = [row.version for row in versions], [row.run_key for row in versions]
    blessings = decisions.select().where(decisions.c.run_key.in_(keys), decisions.c.verdict == "blessed").order_by(decisions.c.id)
    said = approvals.select().where(approvals.c.model == model, approvals.c.version.in_(numbers)).order_by(approvals.c.id)
    places = promotions.select().where(promotions.c.model == model, promotions.c.version.in_(numbers)).order_by(promotions.c.id.desc())
    promoted: dict[int, list[Row]] = defaultdict(list)
    for row in connection.execute(places):
        promoted[row.version].append(row)
    return (
        {row.run_key: row for row in connection.execute(blessings)},
        {row.version: row for row in connection.execute(said)},
        promoted,
    )
