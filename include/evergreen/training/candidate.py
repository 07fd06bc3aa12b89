"""The record of a trained candidate. `train` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.state.database import reading
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import candidates


@dataclass(frozen=True)
class Candidate:
    """A trained model, before any gate. ``metrics`` are those on its holdout."""

    run_key: str
    model: str
    as_of: Partition
    snapshot_digest: str
    recipe_digest: str
    signature_digest: str
    mlflow_run_id: str
    artifact_uri: str
    artifact_digest: str
    reference_path: str
    metrics: dict[str, float]
    facts: dict[str, Any]

    @property
    def holdout_first(self) -> str | None:
        """The first partition of its holdout; None where an earlier release recorded none."""
        return self.facts.get("holdout_first")


def holdout_path(reference_path: str) -> str:
    """Say where a sample of the rows lies that a candidate was not fitted on, with their labels and its predictions.

    :param reference_path: where its reference sample lies
    :returns: the path in the storage; an earlier release left nothing there
    """
    return f"{reference_path.removesuffix('.parquet')}.holdout.parquet"


def find_candidate(run_key: str) -> Candidate:
    """Look up a candidate that must be there.

    :param run_key: the key of its training, as `train.make_run_key` gives it
    :returns: the candidate as it was recorded
    :raises DataError: when no candidate with this run key is recorded
    """
    if candidate := recorded_candidate(run_key):
        return candidate
    raise DataError(f"No candidate with run key {run_key!r} is recorded. Run the training from its first task.")


def recorded_candidate(run_key: str) -> Candidate | None:
    """Look up a candidate that may not be there.

    :param run_key: the key of its training, as `train.make_run_key` gives it
    :returns: the candidate as it was recorded; None when there is none
    """
    with reading() as connection:
        row = connection.execute(candidates.select().where(candidates.c.run_key == run_key)).first()
    if row is None:
        return None
    return as_record(Candidate, row)


def newest_training(model: str, until: Partition) -> Partition | None:
    """Say as of when a model was trained last, whatever its gate decided.

    :param model: its name, as in ``include/models``
    :param until: the latest as_of that counts
    :returns: the newest as_of of a candidate; None when there is none
    """
    own = candidates.c
    with reading() as connection:
        return connection.execute(sa.select(sa.func.max(own.as_of)).where(own.model == model, own.as_of <= until)).scalar()
