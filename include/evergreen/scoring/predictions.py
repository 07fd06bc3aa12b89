"""The recorded predictions of a model: one set for each partition."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import prediction_sets

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PredictionSet:
    """The predictions of one model for one partition. Challenger version 0 means that there was none."""

    model: str
    partition: dt.date
    version: int
    challenger_version: int
    rows: int
    digest: str
    path: str
    input_digest: str
    origin: str

    def frame(self) -> pd.DataFrame:
        """The keys of the scored rows, their features, ``prediction`` and, with a challenger, ``challenger_prediction``.

        With ``explain: true`` also what each feature contributed, as ``contribution:FEATURE``.
        """
        return storage.read_frame(self.path)


def find_predictions(model: str, partition: dt.date) -> PredictionSet | None:
    """The model's predictions for a partition, if it was scored."""
    return next(iter(list_predictions(model, partition, partition)), None)


def list_predictions(model: str, first: dt.date = dt.date.min, last: dt.date = dt.date.max) -> list[PredictionSet]:
    """The model's prediction sets from partition ``first`` to ``last``, both included, oldest first."""
    return _sets(prediction_sets.c.partition.between(first, last), model=model, order=prediction_sets.c.partition)


def newest_predictions(model: str, *, until: dt.date, limit: int) -> list[PredictionSet]:
    """The model's newest ``limit`` prediction sets up to the partition ``until``, the newest first."""
    return _sets(prediction_sets.c.partition <= until, model=model, order=prediction_sets.c.partition.desc(), limit=limit)


def _sets(condition: sa.ColumnElement[bool], *, model: str, order: sa.ColumnElement[Any], limit: int | None = None) -> list[PredictionSet]:
    query = prediction_sets.select().where(prediction_sets.c.model == model, condition).order_by(order).limit(limit)
    with reading() as connection:
        rows = connection.execute(query).all()
    return [PredictionSet(**{name: row._mapping[name] for name in PredictionSet.__dataclass_fields__}) for row in rows]
