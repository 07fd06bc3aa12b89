"""Claims on run keys (idempotency keys of trainings): which MLflow run counts, and what tuning chose, for all attempts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import run_claims
from include.evergreen.state.database.upsert import insert_once


def claimed_run(run_key: str) -> str | None:
    """Look up the MLflow run that counts for a training.

    :param run_key: the key of the training
    :returns: the id of the claimed run, which MLflow may have lost; None when none is claimed
    """
    with reading() as connection:
        return connection.scalar(sa.select(run_claims.c.mlflow_run_id).where(run_claims.c.run_key == run_key))


def claim_run(run_key: str, model: str, mlflow_run_id: str, *, instead_of: str | None = None) -> str:
    """Claim an MLflow run for a run key, unless an attempt that came first has claimed another.

    :param run_key: the key of the training
    :param model: name of the model
    :param mlflow_run_id: the id of the run to claim
    :param instead_of: a claimed run that MLflow has lost, which this one may replace
    :returns: the run that counts from now on, for every attempt
    """
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
    """Look up what an earlier attempt, or one at the same time, chose by tuning.

    :param run_key: the key of the training
    :returns: the choice as a JSON document, as `settle_choice` kept it; None when none has chosen
    """
    with reading() as connection:
        chosen: dict[str, Any] | None = connection.scalar(sa.select(run_claims.c.chosen).where(run_claims.c.run_key == run_key))
        return chosen


def settle_choice(run_key: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """Keep what tuning chose for every later attempt, unless a choice is kept already.

    :param run_key: the key of the training, whose run must be claimed
    :param chosen: the choice as a JSON document
    :returns: the choice that counts from now on, for every attempt
    """
    with writing() as connection:
        mine = run_claims.c.run_key == run_key
        connection.execute(run_claims.update().where(mine, run_claims.c.chosen.is_(sa.null())).values(chosen=chosen))
        kept: dict[str, Any] = connection.scalar(sa.select(run_claims.c.chosen).where(mine)) or chosen
        return kept
