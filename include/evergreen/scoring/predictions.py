"""The recorded predictions of a model: each scoring of a partition is kept, and the newest is current."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from include.evergreen.data.partitions.files import read_stored_batches
from include.evergreen.features.columns import PREDICTION, VERSION
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import EARLIEST, LATEST, Partition
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import prediction_sets

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CURRENT = prediction_sets.c.superseded_at.is_(None)


@dataclass(frozen=True)
class PredictionSet:
    """One scoring of one partition by one model. Challenger version 0 means that there was none.

    ``scoring`` counts those of the partition: 1 is what was served first. ``superseded_at`` is None for the current one.
    """

    model: str
    partition: Partition
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

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the predictions that ``version`` made. Raises `DataError` when they are not in the storage, or damaged.

        :param columns: the names of those to read; None for all
        :returns: as `whole`, without the rows that another version of a roll-out made
        """
        return cast("pd.DataFrame", self.table(columns).to_pandas())

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the predictions that ``version`` made into Arrow. Raises as `frame`.

        :param columns: the names of those to read; None for all
        :returns: the rows, as `frame` has them
        """
        return self._own(storage.read_table(self.path, self._with_version(columns)), columns)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Read the rows of `table` a group of those that are stored together at a time. Raises as `frame`.

        :param columns: the names of those to read, but of those that the file has not; None for all
        :yields: the rows, in their order
        """
        import pyarrow as pa

        for batch in read_stored_batches(self.path, self._with_version(columns)):
            yield self._own(pa.Table.from_batches([batch]), columns)

    def _with_version(self, columns: Sequence[str] | None) -> list[str] | None:
        if columns is None:
            return None
        return list(dict.fromkeys([*columns, VERSION] if self.challenger_version else columns))

    def _own(self, table: pa.Table, columns: Sequence[str] | None) -> pa.Table:
        """Of rows of a roll-out, those that ``version`` made."""
        import pyarrow.compute as pc

        if not self.challenger_version or VERSION not in table.column_names:  # of an earlier release
            return table
        own = table.filter(pc.equal(table[VERSION], self.version))
        return own if columns is None or VERSION in columns else own.drop_columns([VERSION])

    def count(self) -> int:
        """Count the rows of `frame`. Raises as that does.

        :returns: all ``rows``, but those that another version of a roll-out made
        """
        return self.table([VERSION, PREDICTION]).num_rows if self.challenger_version else self.rows

    def whole(self) -> pd.DataFrame:
        """Read what was served: by ``version``, and in a roll-out by ``challenger_version``, too. Raises as `frame`.

        :returns: one row for each scored one: its keys, its features, ``prediction``, the version that made it and its scoring moment, with
            a challenger in shadow ``challenger_prediction``, and with ``explain: true`` what each feature contributed, in the columns that
            `features.columns` names; earlier releases stored keys under their own names, unless a feature had the same, and neither
            version nor moment
        """
        return storage.read_frame(self.path)


def find_predictions(model: str, partition: Partition) -> PredictionSet | None:
    """Find the current predictions of one partition.

    :param model: name of the model
    :param partition: the day whose rows were scored
    :returns: the prediction set; None when it was not scored
    """
    return next(iter(list_predictions(model, partition, partition)), None)


def list_predictions(model: str, first: Partition = EARLIEST, last: Partition = LATEST) -> list[PredictionSet]:
    """List the current prediction sets of a model.

    :param model: name of the model
    :param first: the first partition, included
    :param last: the last partition, included
    :returns: one for each partition that was scored, oldest partition first
    """
    return _sets(prediction_sets.c.partition.between(first, last), CURRENT, model=model, order=prediction_sets.c.partition)


def all_scorings(model: str, partition: Partition) -> list[PredictionSet]:
    """List every scoring of one partition that is kept.

    :param model: name of the model
    :param partition: the day whose rows were scored
    :returns: the one that was served first at the head, the current one at the end; none when it was not scored
    """
    return _sets(prediction_sets.c.partition == partition, model=model, order=prediction_sets.c.scoring)


def served_live(model: str, first: Partition) -> set[Partition]:
    """List the partitions of a model that were scored live, whatever corrected them since.

    :param model: name of the model
    :param first: the first partition, included
    :returns: those of which any scoring is live
    """
    own = prediction_sets.c
    query = sa.select(own.partition).where(own.model == model, own.partition >= first, own.origin == "live").distinct()
    with reading() as connection:
        return set(connection.execute(query).scalars())


def newest_predictions(model: str, *, before: Partition, limit: int) -> list[PredictionSet]:
    """List the newest current prediction sets of a model.

    :param model: name of the model
    :param before: the partition that is later than all of them
    :param limit: how many at most
    :returns: one for each partition that was scored, newest partition first
    """
    return _sets(prediction_sets.c.partition < before, CURRENT, model=model, order=prediction_sets.c.partition.desc(), limit=limit)


def differing_scorings(connection: sa.Connection) -> Iterator[str]:
    """Compare which scorings count as current with the order in which they were recorded.

    :param connection: any that reads
    :yields: one sentence for each that counts as current although there is a later one, or as superseded although there is none
    """
    own, later = prediction_sets.c, prediction_sets.alias("later")
    same = (later.c.model == own.model, later.c.partition == own.partition, later.c.scoring > own.scoring)
    query = sa.select(own.model, own.partition, own.scoring, own.superseded_at)
    for row in connection.execute(query.where(own.superseded_at.is_(None) == sa.select(later.c.id).where(*same).exists())):
        said = "superseded by no other" if row.superseded_at else "made current again"
        yield f"prediction_sets (model {row.model}, partition {row.partition}, scoring {row.scoring}): it was {said}"


def record_scoring(connection: sa.Connection, model: str, partition: Partition, **values: Any) -> None:
    """Record a scoring as the partition's current one; the one before stays, as superseded.

    One that says what the current one says is not recorded again.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param model: name of the model
    :param partition: the day whose rows were scored
    :param **values: the other columns of `prediction_sets`, but for ``scoring`` and the times
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
