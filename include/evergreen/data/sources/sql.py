"""Rows of any SQL database that there is a connection to: one query a partition, its parameters bound, its rows streamed."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from include.evergreen.config import DatasetConfig
from include.evergreen.config.base import repeated_names
from include.evergreen.config.sources import SqlSource
from include.evergreen.data.sources import Delivery
from include.evergreen.data.sources.connections import connections
from include.evergreen.data.sources.conversion import convert_batch
from include.evergreen.data.sources.formats import as_the_source_has_them
from include.evergreen.foundation.errors import ConfigError, DataError, EvergreenError, TransientError
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.redaction import redact
from include.evergreen.state.database import faults

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 400  # characters of what a database complains of
FIRST_ROWS, GROWTH = 16, 16  # so that rows of any size are seen to be large before many are asked for
BATCH_BYTES = 64 * 1024**2
PARAMETERS: dict[str, Any] = {"partition": sa.Date(), "start": sa.DateTime(timezone=True), "end": sa.DateTime(timezone=True)}
SQLITE_STEPS = 10_000  # of its machine, between two looks at the clock
# The first two characters of an SQLSTATE say what kind of trouble it is.
GONE_STATES = {"08", "40", "53", "55", "57", "58", "XX"}  # connection, serialization, resources, locks, shutdown, disk, bug
CONTENT_STATES = {"21", "22", "23"}
SESSION_IN_UTC = {  # so that a time without a zone is compared alike wherever the server stands
    "postgresql": "SET LOCAL TIME ZONE 'UTC'",
    "mysql": "SET time_zone = '+00:00'",
    "mariadb": "SET time_zone = '+00:00'",
}
TIMEOUT_STATE, READ_ONLY_STATE = "57014", "25006"
_AUTHORS_FAULT = re.compile(  # for databases, and for attempts to connect, that give no SQLSTATE
    faults.LOGIN_FAULT + r"|no such (table|column|function)|syntax error|does not exist|unknown column|not permitted"
    r"|unable to open database|readonly database|incomplete input|unrecognized token",
    re.IGNORECASE,
)


class SqlReader:
    """Reads a dataset whose source is ``sql``.

    :param dataset: as it is declared now
    """

    def __init__(self, dataset: DatasetConfig) -> None:
        self.dataset = dataset
        self.source = cast(SqlSource, dataset.source)

    def open(self, partition: Partition) -> Delivery:
        """Prepare the partition's query, and raise nothing yet: the connection is asked for, too, when the first row is read.

        :param partition: the partition's date
        :returns: the query's rows, which raise what `Source` says
        """
        delivery = Delivery(iter(()), [f"the query of {self.dataset.name} on connection {self.source.connection}"], [])
        delivery.batches = self._batches(partition, delivery)
        return delivery

    def _batches(self, partition: Partition, delivery: Delivery) -> Iterator[pa.RecordBatch]:
        engine = connections().engine(self.source.connection)
        ends = time.monotonic() + self.source.timeout_seconds
        try:
            with self._explained(engine), _reading_only(engine) as connection:
                _set_timeout(connection, self.source.timeout_seconds, ends)
                if in_utc := SESSION_IN_UTC.get(connection.dialect.name):
                    connection.exec_driver_sql(in_utc)
                result = connection.execute(
                    sa.text(self.source.query).bindparams(*_bound(self.source.query, self.dataset.grain, partition)),
                    execution_options={"stream_results": True, "max_row_buffer": self.source.fetch_rows},
                )
                names = self._column_names(result)
                delivery.undeclared += [name for name in names if name not in self.dataset.source_names]
                first = 0
                size = _Size(self.source.fetch_rows)
                for rows in _partitions(result, size, delivery.places[0]):
                    if time.monotonic() > ends:
                        raise self._late()
                    batch = self._batch(dict(zip(names, zip(*rows, strict=True), strict=True)), delivery.places[0], first)
                    size.adapt(batch)
                    yield batch
                    first += len(rows)
        finally:
            engine.dispose()

    def _batch(self, columns: Mapping[str, Sequence[Any]], place: str, first: int) -> pa.RecordBatch:
        wanted = {name: _moments(columns[name]) for name in self.dataset.source_names}
        return convert_batch(self.dataset, wanted, lambda row: f"{place}, row {first + row + 1}")

    def _column_names(self, result: sa.CursorResult[Any]) -> list[str]:
        names = list(result.keys())
        if repeated := repeated_names(names):
            raise self._wrong(f"gives more than one column {repeated}; name each with AS")
        if missing := [column for column in self.dataset.columns if column.source_name not in names]:
            raise self._wrong(
                f"gives no column {as_the_source_has_them(missing)}; it gives: {', '.join(names)[:SHOWN]}. "
                f"Name columns with AS as dataset.yaml declares them"
            )
        return names

    @contextmanager
    def _explained(self, engine: sa.Engine) -> Iterator[None]:
        """What a database complains of, by who must act."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            # Not `from error`: SQLAlchemy's text has the bound values, and a driver's may have the password.
            raise self._explanation(error, engine) from None
        except sa.exc.SQLAlchemyError as error:
            raise self._wrong(f"cannot be run: {redact(str(error), engine.url.password)[:SHOWN]}") from None

    def _explanation(self, error: sa.exc.DBAPIError, engine: sa.Engine) -> EvergreenError:
        original = error.orig
        state = faults.sqlstate(error)
        said = redact(" ".join(str(original).split()), engine.url.password)[:SHOWN]
        if state == TIMEOUT_STATE or said == "interrupted":
            return self._late()
        if state == READ_ONLY_STATE:
            return self._wrong(f"writes to the database, and a source is only read ({said})")
        if state[:2] in CONTENT_STATES or isinstance(error, sa.exc.DataError | sa.exc.IntegrityError):
            if self.dataset.personal_columns:  # the database may show a value
                said = f"SQLSTATE {state or 'unknown'}, its text left out as the dataset holds personal data"
            return DataError(f"{self._subject} meets a value that it cannot handle: {said}. Fix the row, or the query.")
        lasting = not state and _AUTHORS_FAULT.search(said)
        if state[:2] in GONE_STATES or (isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) and not state and not lasting):
            return TransientError(f"{self._subject} was not answered: {said}")
        return self._wrong(f"is refused: {said}. Look at the query, and at what the connection may read")

    @property
    def _subject(self) -> str:
        return f"{self.dataset.name}: the query on connection {self.source.connection!r}"

    def _wrong(self, trouble: str) -> ConfigError:
        return ConfigError(f"{self._subject} {trouble}.")

    def _late(self) -> TransientError:
        return TransientError(
            f"{self._subject} took longer than {self.source.timeout_seconds} seconds. If it always does, give it an index, or more time "
            f"(source.timeout_seconds)."
        )


def _bound(query: str, grain: Grain, partition: Partition) -> list[sa.BindParameter[Any]]:
    """The query's parameters, as a date and as moments: values that are bound, whatever a partition's key may be."""
    begins = grain.begins(partition)
    values = {"partition": begins, "start": grain.start(partition), "end": grain.end(partition)}
    named = sa.text(query).compile().params
    return [
        sa.bindparam(name, values[name], type_=PARAMETERS["start" if isinstance(values[name], dt.datetime) else name]) for name in named
    ]


@contextmanager
def _reading_only(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection in a transaction that the database lets write nothing, where we know how to say so."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(postgresql_readonly=True)  # noqa: PLW2901
        elif connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only=ON")
        yield connection


def _set_timeout(connection: sa.Connection, seconds: int, ends: float) -> None:
    """Have the database itself give up, where we know how to say so; between batches of rows the reader looks too."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {seconds * 1000}")
    elif connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: time.monotonic() > ends, SQLITE_STEPS)


class _Size:
    """How many rows are asked for at a time: few at first, and no more than a batch has room for, as large as those before were.

    :param most: the most rows, the source's ``fetch_rows``
    """

    def __init__(self, most: int) -> None:
        self.most, self.rows = most, min(FIRST_ROWS, most)

    def adapt(self, batch: pa.RecordBatch) -> None:
        fitting = BATCH_BYTES * batch.num_rows // max(batch.nbytes, 1)
        self.rows = max(1, min(self.most, GROWTH * self.rows, fitting))


def _partitions(result: sa.CursorResult[Any], size: _Size, place: str) -> Iterator[Sequence[sa.Row[Any]]]:
    """Some rows at a time. Drivers raise errors of Python's own for values that have none in Python, such as the year 20000."""
    while True:
        try:
            rows = result.fetchmany(size.rows)
        except (ValueError, OverflowError) as error:
            raise DataError(f"{place}: a value cannot be read: {error}. Fix the row, or have the query cast it to text.") from error
        if not rows:
            return
        yield rows


def _moments(values: Sequence[Any]) -> pa.Array | Sequence[Any]:
    """Moments as Arrow's, for speed; any other values as they are."""
    import pyarrow as pa

    if {type(value) for value in values} - {type(None)} != {dt.datetime}:
        return values
    zoned = {value.tzinfo is not None for value in values if value is not None}
    if len(zoned) > 1:
        return values
    return pa.array(values, pa.timestamp("us", "UTC" if zoned == {True} else None))
