"""The recorded predictions of a model: each scoring of a partition is kept, and the newest is current."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import prediction_sets

if TYPE_CHECKING:
    import pandas as pd

CURRENT = prediction_sets.c.superseded_at.is_(None)


@dataclass(frozen=True)
class PredictionSet:
    """One scoring of one partition by one model. Challenger version 0 means that there was none.

    ``scoring`` counts those of the partition: 1 is what was served first. ``superseded_at`` is None for the current one.
    """

    model: str
    partition: dt.date
    scoring: int
    version: int
    challenger_version: int
    rows: int
    digest: str
    path: str
    input_digest: str
    origin: str
    recorded_at: dt.datetime
    superseded_at: dt.datetime | None

    def frame(self) -> pd.DataFrame:
        """The keys of the scored rows, their features, ``prediction`` and, with a challenger, ``challenger_prediction``.

        With ``explain: true`` also what each feature contributed, as ``contribution:FEATURE``.
        """
        return storage.read_frame(self.path)


def find_predictions(model: str, partition: dt.date) -> PredictionSet | None:
    """The current predictions of one partition, if it was scored."""
    return next(iter(list_predictions(model, partition, partition)), None)


def list_predictions(model: str, first: dt.date = dt.date.min, last: dt.date = dt.date.max) -> list[PredictionSet]:
    """The current prediction sets from ``first`` to ``last``, oldest first."""
    return _sets(prediction_sets.c.partition.between(first, last), CURRENT, model=model, order=prediction_sets.c.partition)


def all_scorings(model: str, partition: dt.date) -> list[PredictionSet]:
    """Every scoring of one partition that is kept, the one that was served first at the head."""
    return _sets(prediction_sets.c.partition == partition, model=model, order=prediction_sets.c.scoring)


def newest_predictions(model: str, *, until: dt.date, limit: int) -> list[PredictionSet]:
    """The newest ``limit`` current prediction sets up to a partition, the newest first."""
    return _sets(prediction_sets.c.partition <= until, CURRENT, model=model, order=prediction_sets.c.partition.desc(), limit=limit)


def differing_scorings(connection: sa.Connection) -> Iterator[str]:
    """One sentence for each scoring that stands as current although its partition has a later one."""
    own, later = prediction_sets.c, prediction_sets.alias("later")
    same = (later.c.model == own.model, later.c.partition == own.partition, later.c.scoring > own.scoring)
    query = sa.select(own.model, own.partition, own.scoring).where(CURRENT, sa.select(later.c.id).where(*same).exists())
    for row in connection.execute(query):
        yield f"prediction_sets (model {row.model}, partition {row.partition}, scoring {row.scoring}): it was made current again"


def record_scoring(connection: sa.Connection, model: str, partition: dt.date, **values: Any) -> None:
    """Record a scoring as the partition's current one, in the caller's writing transaction; the one before stays, as superseded.

    One that says what the current one says is not recorded again. ``values`` are the other columns of `prediction_sets`.
    """
    own = prediction_sets.c
    this = (own.model == model, own.partition == partition)
    newest = connection.execute(prediction_sets.select().where(*this).order_by(own.scoring.desc()).limit(1)).first()
    if newest and newest.superseded_at is None and all(newest._mapping[name] == value for name, value in values.items()):
        return
    now = clock.now()
    connection.execute(prediction_sets.update().where(*this, CURRENT).values(superseded_at=now))
    key = {"model": model, "partition": partition, "scoring": newest.scoring + 1 if newest else 1}
    connection.execute(prediction_sets.insert().values(**key, **values, recorded_at=now))
    ledger.bind(connection, prediction_sets, key, kind="scoring")


def _sets(*conditions: sa.ColumnElement[bool], model: str, order: sa.ColumnElement[Any], limit: int | None = None) -> list[PredictionSet]:
    query = prediction_sets.select().where(prediction_sets.c.model == model, *conditions).order_by(order).limit(limit)
    with reading() as connection:
        rows = connection.execute(query).all()
    return [as_record(PredictionSet, row) for row in rows]
