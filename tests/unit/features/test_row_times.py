"""What a row sees that is scored at its own time is what a reader that stands there alone would see."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from include.evergreen.config import ModelConfig
from include.evergreen.config.calendar import Calendar
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.features.lookback import latest_rows, looked_up, trailing_values, valid_rows
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import KNOWN, PointInTimeReader
from include.evergreen.features.row_times import MISSING, NEVER, Facts, latest_of_each, microseconds, trailing_of_each
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import Span

NOON = dt.datetime(2024, 11, 3, 12, tzinfo=dt.UTC)  # a day of 25 hours in New York
HOUR, DAY, NEW_YORK = Grain("hour"), Grain(), Grain("day", "America/New_York")
GRAINS = [(HOUR, Grain("30min")), (HOUR, HOUR), (HOUR, NEW_YORK), (DAY, HOUR), (DAY, NEW_YORK), (NEW_YORK, HOUR), (NEW_YORK, NEW_YORK)]
MODEL: dict[str, Any] = {
    "name": "m",
    "description": "x",
    "owner": "x",
    "task": "regression",
    "rows": "rows",
    "scored_at": {"hours_after_end": 1, "column": "own"},
    "target": {"dataset": "labels", "column": "y"},
    "features": [{"name": "f", "kind": "numeric", "description": "x"}],
    "train": {"estimator": "sklearn.linear_model.Ridge"},
    "gate": {"criteria": [{"kind": "absolute", "metric": "mae", "at_most": 1}]},
}
COLUMNS = ["group", "value", "at", "ends", "known", "own"]


@dataclass
class World:
    """A model, the partition of it that is scored, and all versions of what it reads."""

    model: ModelConfig
    partition: Partition
    contents: dict[PartitionVersion, pd.DataFrame]

    def cache(self) -> PartitionCache:
        return Remembered(self)

    def reader(self) -> PointInTimeReader:
        return PointInTimeReader(self.model, self.partition, self.cache())

    def seen(self, dataset: str, first: Partition, newest: Partition, moment: dt.datetime) -> list[tuple[PartitionVersion, pd.DataFrame]]:
        """By the definition: of each partition the newest version that is known, the rows that are, and of the rows those before."""
        found = []
        for partition in self.model.grain_of(dataset).between(first, newest):
            versions = [each for each in self.contents if (each.dataset, each.partition) == (dataset, partition)]
            if known := [each for each in versions if each.knowledge_time <= moment]:
                version = max(known, key=lambda each: each.version)
                frame = self.contents[version]
                if version.knowledge_column:
                    frame = frame[frame["known"] <= moment]
                if dataset == "rows":
                    frame = frame[frame["own"] < moment]
                found.append((version, frame))
        return found


class Remembered(PartitionCache):
    def __init__(self, world: World) -> None:
        super().__init__(world.partition, model=world.model, is_scored=True)
        self._world = world

    def _recorded(self, dataset: str, first: Partition, last: Partition) -> list[PartitionVersion]:
        found = [each for each in self._world.contents if each.dataset == dataset and first <= each.partition <= last]
        return [each for each in sorted(found, key=lambda each: (each.partition, each.version)) if each.knowledge_time <= self.until]

    def _read(self, version: PartitionVersion, columns: list[str] | None) -> pd.DataFrame:
        return self._world.contents[version][COLUMNS if columns is None else columns]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    rows, facts = draw(st.sampled_from(GRAINS))
    inputs = [
        {"dataset": "rows", "window": f"{draw(st.integers(1, 4))} partitions"},
        {"dataset": "facts", "lag": f"{draw(st.integers(0, 2))} partitions", "window": f"{draw(st.integers(1, 4))} partitions"},
        {"dataset": "table", "max_age": f"{draw(st.integers(1, 4))} partitions"},
    ]
    grains = {"rows": rows, "facts": facts, "table": facts, "labels": rows}
    model = ModelConfig.model_validate({**MODEL, "inputs": inputs}).with_calendars(lambda name: Calendar(grains[name]))
    partition, rng = rows.at(NOON), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    contents = {}
    for name in ("rows", "facts", "table"):
        grain, by_rows = grains[name], draw(st.booleans())
        last = grain.at(rows.end(partition))
        for key in grain.between(grain.shift(model.oldest(name, partition), -1), last):
            versions = 1 if (name, key) == ("rows", partition) else int(rng.integers(0, 3))
            for number in range(1, versions + 1):
                version, frame = drawn(rng, model, name, key, number, partition, by_rows=by_rows)
                contents[version] = frame
    return World(model, partition, contents)


def drawn(
    rng: np.random.Generator, model: ModelConfig, name: str, key: Partition, number: int, scored: Partition, *, by_rows: bool
) -> tuple[PartitionVersion, pd.DataFrame]:
    """A version of which nobody knows when it was known, with rows of any time about its partition."""
    grain, (begins, ends) = model.grain_of(name), (model.grain.start(scored), model.grain.end(scored))
    start, length = grain.start(key), grain.end(key) - grain.start(key)
    count = int(rng.integers(0, 5)) if name != "rows" else int(rng.integers(1, 9))

    def moments(first: dt.datetime, span: dt.timedelta, *, missing: float = 0.0) -> pd.DatetimeIndex:
        steps = rng.integers(0, 8, count) * (microseconds(first + span) - microseconds(first)) // 8  # so that some of them meet
        values = np.where(rng.random(count) < missing, MISSING, microseconds(first) + steps)
        return pd.to_datetime(values, unit="us", utc=True).as_unit("us")

    frame = pd.DataFrame(
        {
            "group": pd.array(rng.choice(["a", "b", None], count), dtype="string"),
            "value": np.where(rng.random(count) < 0.2, np.nan, rng.normal(size=count) * 10.0 ** rng.integers(-3, 9, count)),
            "at": moments(start - length / 2, 2 * length, missing=0.1),
            "ends": moments(start, 3 * length, missing=0.3),
            "known": moments(start, 2 * length),
            "own": moments(start, length),
        }
    )
    if name == "table":
        frame = frame.drop_duplicates("group", ignore_index=True)
    known = begins - dt.timedelta(hours=3) + rng.integers(0, 12) * (ends - begins + dt.timedelta(hours=3)) / 11
    if by_rows and len(frame):
        known = frame["known"].min().to_pydatetime()
    is_scored = (name, key) == ("rows", scored)
    if is_scored:
        frame, known = frame.assign(known=frame["own"]), frame["own"].min().to_pydatetime() if by_rows else ends
    version = PartitionVersion(
        dataset=name, partition=key, version=number, digest=str(number), path=f"{name}/{key}/{number}", rows=len(frame),
        quarantine_digest="", quarantine_path="", quarantined=0, source_rows=len(frame), raw_digest="", raw_path="",
        knowledge_time=known, knowledge_column="known" if by_rows else None, origin="live", recorded_at=known, removed_at=None,
    )  # fmt: skip
    return version, frame


def one_by_one(rows: pd.DataFrame, compute: Callable[[pd.DataFrame, dt.datetime], Any]) -> list[Any]:
    return [compute(rows.loc[[index]], row.to_pydatetime()) for index, row in rows["own"].items()]


def window_at(world: World, dataset: str, span: int, moment: dt.datetime) -> list[tuple[PartitionVersion, pd.DataFrame]]:
    calendar, read = world.model.calendar_of(dataset), world.model.input(dataset)
    newest = calendar.minus(calendar.grain.at(moment), read.lag)
    return world.seen(dataset, calendar.grain.shift(newest, 1 - span), newest, moment)


def joined(parts: Sequence[tuple[PartitionVersion, pd.DataFrame]]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame({name: [] for name in COLUMNS})
    known = [frame["known"] if version.knowledge_column else version.knowledge_time for version, frame in parts]
    return pd.concat([frame.assign(**{KNOWN: each}) for each, (_, frame) in zip(known, parts, strict=True)], ignore_index=True)


@settings(max_examples=25, deadline=None)
@given(world=worlds(), dataset=st.sampled_from(["rows", "facts"]), data=st.data())
def test_a_figure_over_a_window_is_that_of_the_row_alone(world: World, dataset: str, data: st.DataObject) -> None:
    reader, longest = world.reader(), world.model.input(dataset).window.amount
    rows, span = reader.rows(), data.draw(st.integers(1, longest))
    agg = data.draw(st.sampled_from(["count", "sum", "mean", "rate", "missing"]))
    keys = data.draw(st.sampled_from([[], ["group"]]))
    how: dict[str, Any] = {"column": "value", "agg": agg, "threshold": 0.5 if agg == "rate" else None}
    is_timed = data.draw(st.booleans())
    length = dt.timedelta(minutes=data.draw(st.integers(1, 120)))

    def alone(row: pd.DataFrame, moment: dt.datetime) -> float:
        if is_timed:
            newest = world.model.calendar_of(dataset).minus(world.model.grain_of(dataset).at(moment), world.model.input(dataset).lag)
            parts = world.seen(dataset, world.model.grain_of(dataset).at(world.model.grain.start(world.partition) - length), newest, moment)
            window = joined(parts)
            window = window[(window["at"] <= moment) & (window["at"] > moment - length)] if len(window) else window
        else:
            parts = window_at(world, dataset, span, moment)
            window = joined(parts)
        if parts and window.empty:
            return 0.0 if agg == "count" else np.nan
        return float(trailing_values(row, window, keys=keys, **how).iloc[0])

    if is_timed:
        if world.model.grain_of(dataset).partitions_in(reader_span := span_of(length)) > longest:
            return
        found = reader.trailing(rows, dataset, span=str(reader_span), group_by=keys, time="at", **how)
    else:
        found = reader.trailing(rows, dataset, span=f"{span} partitions", group_by=keys, **how)
    np.testing.assert_array_equal(found.to_numpy(), one_by_one(rows, alone))


def span_of(length: dt.timedelta) -> Any:
    return Span(length // dt.timedelta(minutes=1), "minute")


@settings(max_examples=25, deadline=None)
@given(world=worlds(), dataset=st.sampled_from(["rows", "facts"]), data=st.data())
def test_the_latest_fact_is_that_of_the_row_alone(world: World, dataset: str, data: st.DataObject) -> None:
    reader, longest = world.reader(), world.model.input(dataset).window.amount
    rows, span = reader.rows(), data.draw(st.integers(1, longest))
    keys, at = data.draw(st.sampled_from([[], ["group"]])), data.draw(st.sampled_from([None, "at"]))
    tolerance = data.draw(st.sampled_from([None, dt.timedelta(minutes=40)]))
    columns = ["value", "group"] if not keys else ["value"]

    def alone(row: pd.DataFrame, moment: dt.datetime) -> list[Any]:
        window = joined(window_at(world, dataset, span, moment))
        moments = row[at] if at else moment
        found = latest_rows(row, window, keys=keys, time="at", columns=columns, moments=moments, tolerance=tolerance, known=[KNOWN])
        return [None if pd.isna(value) else value for value in found.iloc[0]]

    found = reader.latest(rows, dataset, span=f"{span} partitions", by=keys, time="at", columns=columns, at=at, tolerance=tolerance)
    assert [[None if pd.isna(value) else value for value in row] for row in found.to_numpy(dtype=object)] == one_by_one(rows, alone)


def test_facts_without_a_time_or_a_group_are_none() -> None:
    rows = pd.DataFrame({"group": ["a", None]}, index=[5, 3])
    moments = np.full(2, microseconds(NOON))
    since, until = np.zeros(2, dtype=np.int64), np.full(2, NEVER)
    times = pd.to_datetime([None, NOON - dt.timedelta(hours=1)], utc=True).as_unit("us")
    facts = Facts(
        pd.DataFrame({"group": ["a", None], "value": [1.0, 2.0], "at": times}), since, until, np.zeros(2, dtype=np.int64), (since, until)
    )
    for tolerance in (None, dt.timedelta(hours=2)):
        found = latest_of_each(rows, moments, facts, keys=["group"], time="at", columns=["value"], bounds=moments, tolerance=tolerance)
        assert found["value"].isna().all() and found.index.equals(rows.index)
    how: dict[str, Any] = {"column": "value", "threshold": None, "time": "at", "span": dt.timedelta(hours=2)}
    assert trailing_of_each(rows, moments, facts, keys=["group"], agg="count", **how).tolist() == [0.0, 0.0]
    assert trailing_of_each(rows, moments, facts, keys=["group"], agg="sum", **how).isna().all()


def test_of_thousands_that_are_not_seen_the_last_one_that_is_seen_is_found() -> None:
    rng, start = np.random.default_rng(1), microseconds(NOON)
    at = start + np.arange(5000)
    since, until = at + rng.choice([0, 1, 4000], 5000), np.where(rng.random(5000) < 0.5, at + rng.integers(0, 3000, 5000), NEVER)
    since[2000:4500] += 10_000  # of a long time nothing is known yet
    table = pd.DataFrame({"value": np.arange(5000.0), "at": pd.to_datetime(at, unit="us", utc=True).as_unit("us")})
    facts = Facts(table, since, until, np.zeros(5000, dtype=np.int64), (since, until))
    moments = start + rng.integers(-5, 12_000, 400)
    found = latest_of_each(
        pd.DataFrame(index=range(400)), moments, facts, keys=[], time="at", columns=["value"], bounds=moments, tolerance=None
    )
    seen = [(at <= moment) & (since <= moment) & (moment < until) for moment in moments]
    expected = [float(np.flatnonzero(mask)[-1]) if mask.any() else np.nan for mask in seen]
    np.testing.assert_array_equal(found["value"], expected)


@settings(max_examples=25, deadline=None)
@given(world=worlds(), is_valid=st.booleans(), ends=st.sampled_from([None, "ends"]), at=st.sampled_from([None, "at"]))
def test_a_table_is_looked_up_as_it_was_known_to_the_row_alone(world: World, is_valid: bool, ends: str | None, at: str | None) -> None:
    reader, grain = world.reader(), world.model.grain_of("table")
    rows, age = reader.rows(), world.model.input("table").max_age.amount

    def alone(row: pd.DataFrame, moment: dt.datetime) -> Any:
        now = grain.at(moment)
        parts = world.seen("table", grain.shift(now, -age), now, moment)
        table = joined(parts[-1:])
        if table.empty:
            return None
        if is_valid:
            moments = row[at] if at else moment
            found = valid_rows(row, table, keys=["group"], valid_from="at", valid_to=ends, columns=["value"], moments=moments)
        else:
            found = looked_up(row, table, keys=["group"], columns=["value"])
        value = found["value"].iloc[0]
        return None if pd.isna(value) else value

    how = {"valid_from": "at", "valid_to": ends, "at": at} if is_valid else {}
    found = reader.lookup(rows, "table", by="group", columns=["value"], **how)
    assert [None if pd.isna(value) else value for value in found["value"]] == one_by_one(rows, alone)


@settings(max_examples=25, deadline=None)
@given(world=worlds(), data=st.data())
def test_what_was_known_or_happened_after_a_row_changes_no_bit_of_it(world: World, data: st.DataObject) -> None:
    rows = world.reader().rows()
    cut = data.draw(st.sampled_from(sorted(rows["own"]))).to_pydatetime()
    other = World(world.model, world.partition, {each: tampered(each, frame, cut) for each, frame in world.contents.items()})
    before, after = (features(each.reader()) for each in (world, other))
    early = (rows["own"] <= cut).to_numpy()
    pd.testing.assert_frame_equal(before[early], after[early], check_exact=True)


def tampered(version: PartitionVersion, frame: pd.DataFrame, cut: dt.datetime) -> pd.DataFrame:
    later = frame["own"] > cut if version.dataset == "rows" else pd.Series(version.knowledge_time > cut, index=frame.index)
    if version.knowledge_column:
        later |= frame["known"] > cut
    other = {} if version.dataset == "table" else {"group": frame["group"].mask(later, "b")}
    return frame.assign(value=frame["value"].mask(later, 3 * frame["value"].fillna(1) + 7), **other)


def features(reader: PointInTimeReader) -> pd.DataFrame:
    rows = reader.rows()
    spans = {name: f"{reader._model.input(name).window.amount} partitions" for name in ("rows", "facts")}
    found = {
        f"{name} {agg}": reader.trailing(rows, name, span=span, group_by=keys, column="value", agg=agg)
        for name, span in spans.items()
        for agg, keys in itertools.product(["count", "sum"], [[], ["group"]])
    }
    latest = {name: reader.latest(rows, name, span=span, by="group", time="at", columns=["value"])["value"] for name, span in spans.items()}
    return pd.DataFrame({**found, **latest, "table": reader.lookup(rows, "table", by="group", columns=["value"])["value"]})
