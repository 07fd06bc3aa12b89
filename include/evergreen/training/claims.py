"""Which MLflow run is the one of a run key, and what tuning chose for it: decided once, for every attempt at the training."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import run_claims
from include.evergreen.state.database.upsert import insert_once


def claimed_run(run_key: str) -> str | None:
    """The MLflow run of this run key, if one is claimed."""
    with reading() as connection:
        return connection.scalar(sa.select(run_claims.c.mlflow_run_id).where(run_claims.c.run_key == run_key))


def claim_run(run_key: str, model: str, mlflow_run_id: str, *, instead_of: str | None = None) -> str:
    """Claim the run for this run key, unless another is claimed and is not ``instead_of``; returns the one that counts."""
    with writing() as connection:
        insert_once(
            connection, run_claims, {"run_key": run_key}, {"model": model, "mlflow_run_id": mlflow_run_id, "recorded_at": clock.now()}
        )
        mine = run_claims.c.run_key == run_key
        if instead_of is not None:
            lost = run_claims.update().where(mine, run_claims.c.mlflow_run_id == instead_of)
            connection.execute(lost.values(mlflow_run_id=mlflow_run_id))
        return str(connection.scalar(sa.select(run_claims.c.mlflow_run_id).where(mine)))


def settled_choice(run_key: str) -> dict[str, Any] | None:
    """What an earlier attempt, or one at the same time, chose by tuning."""
    with reading() as connection:
        chosen: dict[str, Any] | None = connection.scalar(sa.select(run_claims.c.chosen).where(run_claims.c.run_key == run_key))
        return chosen


def settle_choice(run_key: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """Keep the choice (JSON) for every later attempt, unless one is kept; returns the one that counts."""
    with writing() as connection:
        mine = run_claims.c.run_key == run_key
        connection.execute(run_claims.update().where(mine, run_claims.c.chosen.is_(sa.null())).values(chosen=chosen))
        kept: dict[str, Any] = connection.scalar(sa.select(run_claims.c.chosen).where(mine)) or chosen
        return kept
