"""The point-in-time reader that `features.py` gets: the rows to score, and the past as it was known."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from include.evergreen.config import ModelConfig
from include.evergreen.config.models import Input
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.features.lookback import Aggregation, latest_rows, looked_up, trailing_values, valid_only, valid_rows
from include.evergreen.features.partition_cache import Asked, AsOf, PartitionCache, Window
from include.evergreen.features.row_times import (
    MISSING,
    Facts,
    Reads,
    as_microseconds,
    latest_of_each,
    make_facts,
    microseconds,
    seen_versions,
    trailing_of_each,
)
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import MONTHS, Span

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

log = logging.getLogger(__name__)
PARTITION_COLUMN = "partition"
EDITION = 2  # of what a features.py gets from us for the same rows; a version keeps that by which it was trained
BY_VALUE = 2  # the first edition in which a category is its value, however a day's column was typed
BY_KNOWLEDGE = 2  # the first in which of several facts of one time the one that was known last is the latest
KNOWN = "\0known"  # the column of `window` that says when each row was known; no dataset's own has such a name
MOST_KEPT_CELLS = 4_000_000  # of a window that is kept for the next; a larger one is read anew


def _types(frame: pd.DataFrame) -> list[tuple[Any, Any]]:
    return list(zip(frame.columns, frame.dtypes, strict=True))


P = ParamSpec("P")
Returned = TypeVar("Returned")
OLDER_NAMES = {"take": "agg", "by": "group_by", "above": "threshold"}


def _refuse_older_names(method: Callable[Concatenate[Any, P], Returned]) -> Callable[Concatenate[Any, P], Returned]:
    """A recipe keeps the text of `features.py`: one of an older release calls with names that are gone."""

    @wraps(method)
    def call(reader: Any, /, *args: P.args, **named: P.kwargs) -> Returned:
        if older := [f"{name}=" for name in OLDER_NAMES if name in named]:
            raise ConfigError(
                f"{reader._model.name}: its features call trailing() with {', '.join(older)}: they were written for an older Evergreen. "
                f"Write agg=, group_by= and threshold= in features.py in place of take=, by= and above=, and train the model anew."
            )
        return method(reader, *args, **named)

    return call


def _take_days(method: Callable[Concatenate[Any, P], Returned]) -> Callable[Concatenate[Any, P], Returned]:
    """A recipe keeps the text of `features.py`: one of an older release says days. `evergreen check` refuses that."""

    @wraps(method)
    def call(reader: Any, /, *args: P.args, **named: P.kwargs) -> Returned:
        if "days" in named:
            named["span"] = named.pop("days")
        return method(reader, *args, **named)

    return call


class PointInTimeReader:
    """Reads for one partition of one model, and sees nothing that was not known when that partition began.

    Where rows have their own times, each row sees what was known at its own, and of the rows beside it those that came before it.

    :param model: the model, which declares rows, inputs and their lags
    :param partition: the day whose rows get features
    :param cache: what the past is read through
    :param edition: by which of our editions it reads
    """

    def __init__(self, model: ModelConfig, partition: Partition, cache: PartitionCache, edition: int = EDITION) -> None:
        self.edition = edition
        self._model = model
        self._partition = partition
        self._cache = cache
        self._batch: pd.DataFrame | None = None
        self._facts: dict[tuple[object, ...], Facts] = {}  # shared by the readers of all batches

    @property
    def partition(self) -> dt.date:
        """The day whose rows are to be scored.

        :returns: the day, in the zone of the rows' dataset; to be taken in place of any clock
        """
        return self._model.grain.begins(self._partition)

    def rows(self) -> pd.DataFrame:
        """The rows to score, each of which gets one row of features.

        Raises `DataError` when the partition has not been ingested, or was not known in time, or when no row has its own time within it.

        :returns: all columns of the partition of the model's ``rows``, in the order and with the index that features() must keep; rows
            that the knowledge column says were known later are left out, and so are those whose own time is not within the partition; the
            log says how many
        """
        if self._batch is not None:
            return self._batch.copy()
        version = self._rows_version()
        rows = self._cache.frame(version, self._partition)
        self._tell_of_late_rows(version)
        within = self._within(rows)
        self._tell_of_rows_elsewhere(version, len(within), len(rows))
        return rows if len(within) == len(rows) else within.reset_index(drop=True)

    def in_batches(self) -> Iterator[PointInTimeReader]:
        """The same reader, for the next `BATCH_ROWS` rows of its partition each time. Raises what `rows` does.

        :yields: a reader whose `rows` are these, and which sees the same past
        """
        version, read, given = self._rows_version(), 0, 0
        for rows in self._cache.batches(version, self._partition):
            within = self._within(rows)
            if len(within) or rows.empty:
                batch = copy(self)
                batch._batch = within if read == given and len(within) == len(rows) else within.set_axis(range(given, given + len(within)))
                yield batch
            read, given = read + len(rows), given + len(within)
        self._tell_of_late_rows(version)
        self._tell_of_rows_elsewhere(version, given, read)

    def _rows_version(self) -> PartitionVersion:
        dataset = self._model.rows
        newest = self._model.newest(dataset, self._partition)
        versions = self._cache.known(dataset, self._partition, newest, newest)
        if not versions:
            raise DataError(f"{self._model.name}: {dataset} {newest} was not known on {self._partition}. Ingest it first.")
        return versions[0]

    def _tell_of_late_rows(self, version: PartitionVersion) -> None:
        dataset, newest = version.dataset, version.partition
        if late := self._cache.left_out.get((dataset, newest, version.version, self._partition)):
            log.warning(
                "%s: %d of %d rows of %s %s are left out on %s: their %s says that they were known only after it began. "
                "Give %s a longer lag in model.yaml, if they should be there.",
                self._model.name, late, version.rows, dataset, newest, self._partition, version.knowledge_column, dataset,
            )  # fmt: skip

    def _within(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows whose own time is one of their partition; all of them, where they have none."""
        column = self._model.own_time
        if column is None:
            return rows
        if column not in rows:
            raise ConfigError(
                f"{self._model.name}: {self._model.rows} {self._partition} has no column {column!r}, which is its rows' own time "
                f"(scored_at.column in model.yaml); it has: {', '.join(rows.columns)}. Ingest it again if the column is new."
            )
        if getattr(rows[column].dtype, "tz", None) is None:
            raise ConfigError(
                f"{self._model.name}: {column} of {self._model.rows} {self._partition} is stored as {rows[column].dtype}, and rows' own "
                f"times (scored_at.column in model.yaml) are timestamps with a zone. Declare it so in dataset.yaml, and ingest it again."
            )
        first, last = self._model.scored_at.moments(self._model.grain, self._partition)
        is_within = rows[column].between(first, last).to_numpy(dtype=bool)
        return rows if is_within.all() else rows[is_within]

    def _tell_of_rows_elsewhere(self, version: PartitionVersion, given: int, read: int) -> None:
        if given == read:
            return
        first, last = self._model.scored_at.moments(self._model.grain, self._partition)
        said = f"{self._model.own_time} is missing or not within the partition ({first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M:%S} UTC)"
        subject = f"{self._model.name}: {read - given} of {read} rows of {version.dataset} {version.partition}"
        advice = f"Correct the rows, or the time zone or the grain of {version.dataset}, or choose another scored_at.column in model.yaml."
        if not given:
            raise DataError(f"{subject} could be scored at no time of their own: their {said}. {advice}")
        log.warning("%s are left out: their %s. %s", subject, said, advice)

    def _own_moments(self, rows: pd.DataFrame) -> np.ndarray:
        """The own times of rows that features.py hands in, as the partition has them, whatever it made of that column."""
        assert self._model.own_time is not None
        own = self.rows()[self._model.own_time]
        if not own.index.equals(rows.index):
            if not rows.index.isin(own.index).all():
                raise ConfigError(
                    f"{self._model.name}: features.py looks back for rows that are none of read.rows(), by their index, and so have no "
                    f"own time. Hand in read.rows(), or some of them, with the index that they have."
                )
            own = own.loc[rows.index]
        return as_microseconds(own)

    def _facts_of(self, dataset: str, columns: Sequence[str], *, span: str | int | None, is_timed: bool = False) -> Facts:
        """What the rows of the partition may see of an input, each at its own time.

        Raises `ConfigError` as `window` does, or, without a span, `newest`.
        """
        key = dataset, tuple(columns), str(span), is_timed
        if key not in self._facts:
            reads = self._newest_reads(dataset) if span is None else self._window_reads(dataset, span, is_timed=is_timed)
            versions = self._cache.versions(dataset, reads[0].first, reads[-1].newest)
            last = microseconds(self._model.scored_at.moments(self._model.grain, self._partition)[1])
            seen = [each for each in seen_versions(reads, versions, newest_alone=span is None) if each.since <= last]
            facts = make_facts([(each, *self._known_rows(each.version, columns)) for each in seen], columns)
            if facts.rows.size > MOST_KEPT_CELLS:
                return facts
            self._facts[key] = facts
        return self._facts[key]

    def _known_rows(self, version: PartitionVersion, columns: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
        """Rows of a version, and from when on each was known; of the rows' own dataset, also after its own time."""
        import numpy as np

        known, own = version.knowledge_column, self._model.own_time if version.dataset == self._model.rows else None
        names = [name for name in columns if name != KNOWN]
        frame = self._cache.whole(version, list(dict.fromkeys([*names, *filter(None, [known, own])])))
        since = np.full(len(frame), microseconds(version.knowledge_time))
        if known is not None:
            since = np.maximum(since, as_microseconds(frame[known]))
        if own is not None:
            happened = as_microseconds(frame[own])
            frame, since = frame[happened != MISSING], np.maximum(since, happened + 1)[happened != MISSING]
        if KNOWN in columns:
            frame = frame.assign(**{KNOWN: frame[known] if known else version.knowledge_time})
        return frame[list(columns)], since

    def _window_reads(self, dataset: str, span: str | int, *, is_timed: bool) -> list[Reads]:
        """Which partitions of an input are the window of the rows of each of its partitions."""
        calendar, read = self._model.calendar_of(dataset), self._by_window(dataset)
        asked = self._length(dataset, span) if is_timed else self._asked(dataset, span)
        grain, (begins, ends) = calendar.grain, self._model.scored_at.moments(self._model.grain, self._partition)
        if not 0 < calendar.count(asked) <= calendar.count(read.window):
            raise ConfigError(self._too_long(dataset, asked, read))
        oldest = max(grain.at(begins - _as_time(asked)), self._model.oldest(dataset, self._partition)) if is_timed else None
        reads = []
        for own in grain.between(grain.at(begins), grain.at(ends)):
            newest = calendar.minus(own, read.lag)
            reads.append(Reads(grain.start(own), oldest or calendar.first_of(newest, asked), newest))
        return reads

    def _newest_reads(self, dataset: str) -> list[Reads]:
        """Which partitions of an input may be the newest that is known to the rows of each of its partitions."""
        calendar, age = self._model.calendar_of(dataset), self._by_age(dataset).max_age
        assert age is not None
        grain, (begins, ends) = calendar.grain, self._model.scored_at.moments(self._model.grain, self._partition)
        return [Reads(grain.start(own), calendar.minus(own, age), own) for own in grain.between(grain.at(begins), grain.at(ends))]

    @_take_days
    def window(self, dataset: str, span: str | int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of the last partitions that the model may see, as they were known when the scored partition began.

        The newest of them is the one in which the scored partition begins, less the input's ``lag``. Partitions that were not ingested, or
        were not known in time, are absent. Raises `DataError` when a stored partition cannot be read.

        :param dataset: an input of the model
        :param span: how much of it, such as ``28 days`` or ``4 partitions``, up to the input's ``window``; a number is one of days
        :param columns: the columns to read, and no others; None: all
        :returns: the rows, oldest day first, with a column ``partition`` (dates) beside their own; it may be empty, and then has
            ``columns`` and ``partition`` alone
        :raises ConfigError: when model.yaml does not list the input, or allows fewer days; and when there is no such column
        """
        import pandas as pd

        declared = self._by_window(dataset)
        calendar, asked = self._model.calendar_of(dataset), self._asked(dataset, span)
        last = calendar.minus(calendar.grain.at(self._model.grain.start(self._partition)), declared.lag)
        first = calendar.first_of(last, asked)
        if not calendar.first_of(last, declared.window) <= first <= last:
            raise ConfigError(self._too_long(dataset, asked, declared))
        versions = self._cache.known(dataset, self._known_to_all, first, last)
        if not versions:
            return pd.DataFrame({name: [] for name in [*(columns or []), PARTITION_COLUMN]})
        return self._joined((dataset, str(asked), None if columns is None else tuple(columns)), versions, columns)

    def newest(self, dataset: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of the newest partition that was known at the scoring moment: of a whole table, the table as it was known then.

        Raises `DataError` when it cannot be read, `ConfigError` when model.yaml does not list the input, or gives it no ``max_age``, or
        there is no such column.

        :param dataset: an input of the model with ``max_age``
        :param columns: the columns to read, and no others; None: all
        :returns: the rows, in the order of their keys
        :raises DataError: when no partition of that age was known
        """
        self._by_age(dataset)
        first, grain = self._model.oldest(dataset, self._partition), self._model.grain_of(dataset)
        last = grain.at(self._model.scored_at.moments(self._model.grain, self._partition)[0])
        version = self._cache.newest(dataset, self._known_to_all, first, last)
        if version is None:
            raise DataError(
                f"{self._model.name}: no partition of {dataset} from {first} to {last} was known on {self._partition}. Ingest one."
            )
        return self._cache.frame(version, self._known_to_all, columns)

    @property
    def _known_to_all(self) -> AsOf:
        """As of when something was known to all rows of the partition."""
        return self._partition if self._model.own_time is None else self._model.grain.start(self._partition)

    def _by_window(self, dataset: str) -> Input:
        declared = self._input(dataset)
        if declared.reads_newest:
            raise ConfigError(
                f"{self._model.name}: features.py asks for a window of {dataset}, of which model.yaml reads the newest known partition "
                f"alone (max_age). Use read.newest() or read.lookup(), or give it a lag and a window there."
            )
        return declared

    def _by_age(self, dataset: str) -> Input:
        declared = self._input(dataset)
        if not declared.reads_newest:
            raise ConfigError(
                f"{self._model.name}: features.py asks for the newest partition of {dataset}, which model.yaml reads by a window. Use "
                f"read.window(), or give it max_age there."
            )
        return declared

    def _too_long(self, dataset: str, asked: Span, declared: Input) -> str:
        return (
            f"{self._model.name}: features.py asks for {asked} of {dataset}; allowed: 1 {self._model.grain_of(dataset).noun} to "
            f"{declared.window}, its window in model.yaml."
        )

    def _length(self, dataset: str, span: str | int) -> Span:
        """A length of time before a row's own, which may be of any length but that of months."""
        asked = Span(max(0, span), "day") if isinstance(span, int) else Span.parse(span, subject=f"{self._model.name}: the length")
        if asked.unit == "partition" or asked.unit in MONTHS:
            raise ConfigError(
                f"{self._model.name}: features.py asks for {asked} of {dataset} before each row's own time, and {asked.unit}s are not all "
                f"of one length; say it in minutes, hours, days or weeks."
            )
        return asked

    def _asked(self, dataset: str, span: str | int) -> Span:
        if isinstance(span, int):  # of an older release: days
            return Span(max(0, span), "day")
        grain, asked = self._model.grain_of(dataset), Span.parse(span, subject=f"{self._model.name}: the length")
        if not grain.is_whole(asked):
            raise ConfigError(
                f"{self._model.name}: features.py asks for {span} of {dataset}, which is no whole number of {grain.noun}s, as its "
                f"partitions are; write {grain.span_of(grain.partitions_in(asked))}."
            )
        return asked

    def _input(self, dataset: str) -> Input:
        inputs = {model_input.dataset: model_input for model_input in self._model.inputs}
        if dataset not in inputs:
            raise ConfigError(
                f"{self._model.name}: features.py reads {dataset!r}, which model.yaml does not list; inputs: {', '.join(inputs)}."
            )
        return inputs[dataset]

    def _joined(self, asked: Asked, versions: Sequence[PartitionVersion], columns: Sequence[str] | None) -> pd.DataFrame:
        """The rows of versions, one after the other. Most are those of the window before, which is kept as long as it is small."""
        import pandas as pd

        before = self._cache.windows.pop(asked, None)
        held = before.shared_with(versions) if before is not None else 0
        added = [self._shown(version, columns) for version in versions[held:]]
        if before is not None and held and all(_types(frame) == _types(before.rows)[:-1] for frame in added):
            self._cache.note_read(versions[:held])
            lengths = (*before.lengths[-held:], *map(len, added))
            kept = before.rows.iloc[before.begin(versions[0]) :]
            joined = pd.concat([kept, self._dated(versions[held:], added)], ignore_index=True) if added else kept.reset_index(drop=True)
            are_alike = True
        else:
            parts = [*(self._shown(version, columns) for version in versions[:held]), *added]
            lengths = tuple(map(len, parts))
            joined = self._dated(versions, parts)
            are_alike = all(_types(part) == _types(joined)[:-1] for part in parts)
        depends_on_as_of = any(version.knowledge_column for version in versions)
        if depends_on_as_of or joined.size > MOST_KEPT_CELLS or not are_alike:
            return joined
        self._cache.windows[asked] = Window(tuple(versions), lengths, joined)
        return joined.copy()

    def _dated(self, versions: Sequence[PartitionVersion], parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """The rows of versions, each with the day of its own."""
        import pandas as pd

        grain = self._model.grain_of(versions[0].dataset)
        begins = [grain.begins(version.partition) for version in versions]
        days = pd.Series(begins, dtype=pd.Series(begins[0], index=[0]).dtype).repeat([len(part) for part in parts])
        joined = pd.concat(parts, ignore_index=True)
        joined.insert(parts[0].shape[1], PARTITION_COLUMN, days.set_axis(joined.index))
        return joined

    def _shown(self, version: PartitionVersion, columns: Sequence[str] | None) -> pd.DataFrame:
        frame = self._frame(version, columns)
        if PARTITION_COLUMN in frame:
            raise ConfigError(
                f"{self._model.name}: {version.dataset} has a column 'partition' of its own, by which window() calls the day of each row. "
                f"Give it another name in dataset.yaml ({{name: {version.dataset}_partition, from: partition}}), and ingest it again."
            )
        return frame

    def _frame(self, version: PartitionVersion, columns: Sequence[str] | None) -> pd.DataFrame:
        if columns is None or KNOWN not in columns:
            return self._cache.shown(version, self._known_to_all, columns)
        own = [name for name in columns if name != KNOWN]
        column = version.knowledge_column
        frame = self._cache.shown(version, self._known_to_all, [*own, *([column] if column and column not in own else [])])
        return frame.assign(**{KNOWN: frame[column] if column else version.knowledge_time})[list(columns)]

    @_take_days
    @_refuse_older_names
    def trailing(
        self,
        rows: pd.DataFrame,
        dataset: str,
        *,
        span: str | int,
        group_by: str | Sequence[str],
        column: str,
        agg: Aggregation,
        threshold: float | None = None,
        time: str | None = None,
    ) -> pd.Series:
        """For each of ``rows``, one figure over the rows of `window` (``dataset``, ``span``) that share its ``group_by`` columns.

        Where rows have their own times, the window is that of each row: the partitions up to the one in which its own time is, less the
        lag, as they were known then. With ``time``, it is the time before it: what happened in the ``span`` that ends with it.

        A value that is missing is left out, and so is a row of the window that lacks one of ``group_by``:

        - ``count``: how many values there are; 0 where there is none
        - ``sum``: of the values; missing where there is none
        - ``mean``: the sum divided by the count; missing where there is none
        - ``rate``: the count of values > ``threshold``, divided by the count; missing where there is none
        - ``missing``: the share of the group's rows that have no value; missing where there is no row

        The labels of the last days are as late here as ``lag`` and knowledge times say: a day that was not known yet adds
        nothing. Sums are exact before they are rounded, so that no order of rows changes a bit. Where no day of the window was
        known, every figure is missing.

        :param rows: the rows that get a figure, with the columns ``group_by``
        :param dataset: an input of the model
        :param span: how much of it, as `window` takes it
        :param group_by: the column, or columns, of both that say which rows belong together; none: all rows of the window are one
            group
        :param column: the column of ``dataset`` that the figure is of; a numeric one, but for ``count`` and ``missing``
        :param agg: which figure
        :param threshold: the number that a value must exceed to count for ``rate``, in the column's unit
        :param time: where rows have their own times, the timestamp column of ``dataset`` that says when each of its rows happened
        :returns: one float for each of ``rows``, with their index
        :raises ConfigError: when ``threshold`` comes without ``rate``, or ``rate`` without it; ``time`` where rows have no times of their
            own; and as `window`
        """
        keys = [group_by] if isinstance(group_by, str) else list(group_by)
        if (agg == "rate") != (threshold is not None):
            raise ConfigError(f"{self._model.name}: trailing() takes threshold= with agg='rate', and with nothing else; got agg={agg!r}.")
        asked = list(dict.fromkeys([*keys, column, *filter(None, [time])]))
        if self._model.own_time is not None:
            facts = self._facts_of(dataset, asked, span=span, is_timed=time is not None)
            length = None if time is None else _as_time(self._length(dataset, span))
            return trailing_of_each(
                rows, self._own_moments(rows), facts, keys=keys, column=column, agg=agg, threshold=threshold, time=time, span=length
            )
        if time is not None:
            raise ConfigError(
                f"{self._model.name}: trailing() takes time= where each row is scored at its own time (scored_at.column in model.yaml); "
                f"here all rows have one moment, and the window is of whole partitions. Remove it."
            )
        window = self.window(dataset, span, asked)
        return trailing_values(rows, window, keys=keys, column=column, agg=agg, threshold=threshold)

    @_take_days
    def latest(
        self,
        rows: pd.DataFrame,
        dataset: str,
        *,
        span: str | int,
        by: str | Sequence[str],
        time: str,
        columns: Sequence[str],
        at: str | None = None,
        tolerance: dt.timedelta | None = None,
    ) -> pd.DataFrame:
        """For each of ``rows``, ``columns`` of the latest row of `window` (``dataset``, ``span``) that shares its ``by`` columns.

        The latest is that with the greatest ``time`` not after the row's own time, nor more than ``tolerance`` before it. Of several
        at one time, the one that was known last counts; of several known at once, the one with the greatest values of ``columns``, so
        that no order of rows decides. Raises what `window` raises.

        :param rows: the rows that get columns, with the columns ``by`` and ``at``
        :param dataset: an input of the model
        :param span: how much of it, as `window` takes it
        :param by: the column, or columns, of both that say which rows belong together; none: all of them do
        :param time: the timestamp column of ``dataset``
        :param columns: the columns of ``dataset`` to give
        :param at: the timestamp column of ``rows`` that is their own time; None: the partition's scoring moment, or the row's own, if rows
            have their own times: nothing that was not known then is found, whatever ``at`` says
        :param tolerance: how long before it the latest row may be; None: as long as the window goes back
        :returns: ``columns`` for each of ``rows``, with their index; missing where there is no such row
        """
        keys = [by] if isinstance(by, str) else list(by)
        known = [KNOWN] if self.edition >= BY_KNOWLEDGE else []
        asked = list(dict.fromkeys([*keys, time, *columns, *known]))
        if self._model.own_time is not None:
            return self._latest_of_each(
                rows, self._facts_of(dataset, asked, span=span), keys=keys, time=time, columns=list(columns), at=at, tolerance=tolerance,
                known=known,
            )  # fmt: skip
        window = self.window(dataset, span, asked)
        moments = rows[at] if at is not None else self._model.moment(self._partition)
        return latest_rows(rows, window, keys=keys, time=time, columns=list(columns), moments=moments, tolerance=tolerance, known=known)

    def _latest_of_each(
        self,
        rows: pd.DataFrame,
        facts: Facts,
        *,
        keys: list[str],
        time: str | None,
        columns: list[str],
        at: str | None,
        known: list[str],
        tolerance: dt.timedelta | None = None,
    ) -> pd.DataFrame:
        moments = self._own_moments(rows)
        bounds = moments if at is None else as_microseconds(rows[at])
        return latest_of_each(rows, moments, facts, keys=keys, time=time, columns=columns, bounds=bounds, tolerance=tolerance, known=known)

    @_take_days
    def lookup(
        self,
        rows: pd.DataFrame,
        dataset: str,
        *,
        by: str | Sequence[str],
        columns: Sequence[str],
        valid_from: str | None = None,
        valid_to: str | None = None,
        at: str | None = None,
        span: str | int | None = None,
    ) -> pd.DataFrame:
        """For each of ``rows``, ``columns`` of the row of a table that has its ``by`` columns, and, with ``valid_from``, holds at its time.

        Without ``valid_from`` no two rows of the table may share ``by``. With it, the row is looked for that holds at the row's own time:
        ``valid_from`` <= time < ``valid_to``. The table is that of `newest`, or, with ``span``, the rows of `window`, where of several with
        one ``valid_from`` the one that was known last counts. Raises what these raise.

        :param rows: the rows that get columns, with the columns ``by`` and ``at``
        :param dataset: an input of the model
        :param by: the column, or columns, of both that must be equal; with ``valid_from`` there may be none
        :param columns: the columns of ``dataset`` to give
        :param valid_from: the timestamp column of ``dataset`` from which on a row holds; None: rows hold for ever
        :param valid_to: that until which it holds, itself excluded; missing in a row: it holds on. None: until the next one begins
        :param at: the timestamp column of ``rows`` that is their own time; None: the scoring moment
        :param span: how much of it, as `window` takes it; None: the newest partition
        :returns: ``columns`` for each of ``rows``, with their index; missing where there is no such row
        :raises ConfigError: when ``valid_to``, ``at`` or ``span`` comes without ``valid_from``
        :raises DataError: when, without it, several rows share ``by``
        """
        keys, given = [by] if isinstance(by, str) else list(by), list(columns)
        if valid_from is None:
            if named := [f"{name}=" for name, value in (("valid_to", valid_to), ("at", at), ("span", span)) if value is not None]:
                raise ConfigError(f"{self._model.name}: lookup() takes {', '.join(named)} with valid_from= alone.")
            wanted = list(dict.fromkeys([*keys, *given]))
            if self._model.own_time is not None:
                found = self._found_in_each(rows, self._facts_of(dataset, wanted, span=None), keys=keys, columns=given)
            else:
                found = looked_up(rows, self.newest(dataset, wanted), keys=keys, columns=given)
            if found is None:
                raise DataError(
                    f"{self._model.name}: several rows of {dataset} share {', '.join(keys)}, so that none can be looked up. "
                    f"Name all of its keys as by=, or, where each holds for a time, valid_from=."
                )
            return found
        asked = list(dict.fromkeys([*keys, valid_from, *filter(None, [valid_to]), *given]))
        known = [] if span is None else [KNOWN]
        if self._model.own_time is not None:
            facts = self._facts_of(dataset, [*asked, *known], span=span)
            ends = [valid_to] if valid_to is not None and valid_to not in given else []
            found = self._latest_of_each(rows, facts, keys=keys, time=valid_from, columns=[*given, *ends], at=at, known=known)
            times = rows[at] if at is not None else self.rows()[self._model.own_time].loc[rows.index]
            return valid_only(found, None if facts.rows.empty else valid_to, times)[given]
        table = self.newest(dataset, asked) if span is None else self.window(dataset, span, [*asked, *known])
        moments = rows[at] if at is not None else self._model.moment(self._partition)
        return valid_rows(rows, table, keys=keys, valid_from=valid_from, valid_to=valid_to, columns=given, moments=moments, known=known)

    def _found_in_each(self, rows: pd.DataFrame, facts: Facts, *, keys: list[str], columns: list[str]) -> pd.DataFrame | None:
        """What the row's keys find in the table that it sees; None when it may find several."""
        if facts.rows[keys].assign(**{KNOWN: facts.version}).dropna().duplicated().any():
            return None
        return self._latest_of_each(rows, facts, keys=keys, time=None, columns=columns, at=None, known=[])


def _as_time(span: Span) -> dt.timedelta:
    assert span.minutes is not None
    return dt.timedelta(minutes=span.minutes)
