"""A training of at most so many rows: a stable draw, of each day and class the same share, with memory for little more."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.columns import PARTITION, TARGET
from include.evergreen.operations.reproduce import reproduce
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.training_frame import SLACK, Draw
from tests.unit.flights import january, registered_as_of

DAYS = 20


def day_of_rows(day: int, rows: int, positive: float = 0.1) -> pd.DataFrame:
    labels = np.zeros(rows)
    labels[: round(positive * rows)] = 1
    keys = [f"{day}-{row}" for row in range(rows)]
    return pd.DataFrame({PARTITION: january(day), "x": np.arange(rows), TARGET: labels, "key:id": pd.array(keys, dtype="string")})


def drawn(frames: list[pd.DataFrame], most: int | None, *, seed: int = 0, by_label: bool = True) -> pd.DataFrame:
    draw = Draw(most, seed, by_label=by_label)
    for frame in frames:
        draw.add(frame)
    assert draw.found == sum(map(len, frames))
    return pd.concat(draw.kept(), ignore_index=True)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 300), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_each_day_and_class_keeps_the_same_share_to_a_row(sizes: list[int], most: int, seed: int) -> None:
    frames = [day_of_rows(day, rows, positive=0.2) for day, rows in enumerate(sizes, start=1)]
    whole, kept = pd.concat(frames, ignore_index=True), drawn(frames, most, seed=seed)
    assert len(kept) == min(most, len(whole))
    strata = whole.groupby([PARTITION, TARGET]).size()
    of_them = kept.groupby([PARTITION, TARGET]).size().reindex(strata.index, fill_value=0)
    assert ((of_them - 1) / strata).max() <= ((of_them + 1) / strata).min(), "one share is that of all of them, to a row"


def test_a_row_is_drawn_by_what_it_is_and_not_by_where_it_stands() -> None:
    frames = [day_of_rows(day, 200) for day in range(1, 8)]
    shuffled = [frame.sample(frac=1, random_state=7) for frame in frames]
    assert set(drawn(frames, 150)["key:id"]) == set(drawn(shuffled, 150)["key:id"])
    assert set(drawn(frames, 150)["key:id"]) != set(drawn(frames, 150, seed=1)["key:id"])


def test_rows_without_keys_are_drawn_by_what_they_hold() -> None:
    """Their place in a file says nothing, and would leave out whatever a source writes last."""
    frames = [day_of_rows(day, 1000).drop(columns="key:id") for day in range(1, 11)]
    kept = drawn(frames, 2000)
    assert abs(kept["x"].mean() - 499.5) < 4 * 289 / np.sqrt(len(kept))
    shuffled = [frame.sample(frac=1, random_state=7) for frame in frames]
    by_value = [PARTITION, "x"]
    assert kept[by_value].equals(drawn(shuffled, 2000)[by_value].sort_values(by_value, ignore_index=True))


def test_what_is_drawn_is_no_class_of_the_keys_or_the_rows_before_it() -> None:
    """By value and by place the rows that are kept are as good as any."""
    frames = [day_of_rows(day, 1000) for day in range(1, 11)]
    kept = drawn(frames, 2000)
    assert abs(kept["x"].mean() - 499.5) < 4 * 289 / np.sqrt(len(kept))
    assert kept[PARTITION].is_monotonic_increasing


def test_memory_holds_what_is_kept_and_one_day() -> None:
    draw = Draw(500, 0, by_label=False)
    for day in range(1, DAYS + 1):
        draw.add(day_of_rows(day, 300))
        assert sum(map(len, draw._frames)) <= SLACK * 500


@pytest.mark.usefixtures("flights")
def test_a_training_reads_no_more_rows_than_it_may(catalog: Catalog, air_time: ModelConfig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    whole = take_snapshot(catalog, air_time, january(18))
    fewer = take_snapshot(catalog, at_most(air_time, 2000), january(18))
    assert fewer.rows == 2000 and fewer.digest != whole.digest
    assert fewer.members == whole.members
    assert f"2000 rows drawn from {whole.rows} of" in caplog.text
    every = whole.frame()
    assert fewer.frame().merge(every, how="left", indicator=True)["_merge"].eq("both").all()
    assert take_snapshot(catalog, at_most(air_time, 2000), january(18)) == fewer
    assert take_snapshot(catalog, at_most(air_time, whole.rows), january(18)) == whole


@pytest.mark.usefixtures("trained")
def test_a_version_of_drawn_rows_is_reproduced_from_what_it_read(catalog: Catalog, air_time: ModelConfig) -> None:
    version = registered_as_of(at_most(air_time, 2000), january(18))
    result = reproduce(catalog, air_time.name, version.version)
    assert result.is_identical, (result.changed, result.frame)
    assert sum(each.rows for each in result.compared) == 2000


def at_most(model: ModelConfig, rows: int) -> ModelConfig:
    return model.model_copy(update={"train": model.train.model_copy(update={"max_rows": rows})})
