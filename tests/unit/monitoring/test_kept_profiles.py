"""Profiles are kept beside the rows that they were made of, so that no row is read twice for drift."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.settings import Settings
from include.evergreen.monitoring.drift import compared_kinds
from include.evergreen.monitoring.kept_profiles import PROFILE_SUFFIX, KeptProfiles
from include.evergreen.monitoring.profiles import NumericColumn, Profile
from include.evergreen.scoring.predictions import PredictionSet
from include.evergreen.state import storage
from tests.unit.flights import january
from tests.unit.monitoring.test_drift import frame, model

pytestmark = pytest.mark.sqlite_only
__all__ = ["model"]
REFERENCE = "references/air_time/a.parquet"


@pytest.fixture
def days() -> list[PredictionSet]:
    """Ten days of predictions, and a reference."""
    storage.write_frame(REFERENCE, frame(seed=99).assign(partition=[str(january(1 + number % 5)) for number in range(2000)]))
    return [_scored(number) for number in range(10, 20)]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file of rows is read, at once or batch by batch."""
    counted: Counter[str] = Counter()
    for name in ("read_table", "opened"):
        monkeypatch.setattr(storage, name, partial(_counting, counted, getattr(storage, name)))
    return counted


def _counting(counted: Counter[str], read: Callable[..., object], path: str, *arguments: object) -> object:
    counted[path] += 1
    return read(path, *arguments)


def test_a_window_of_seven_days_reads_the_rows_of_each_day_once_in_its_life(
    model: ModelConfig, days: list[PredictionSet], reads: Counter[str]
) -> None:
    for last in range(1, len(days) + 1):
        found = _window(model, days[max(0, last - 7) : last])
        assert found.rows == 2000 * min(last, 7)
    assert reads == {REFERENCE: 1, **{day.path: 1 for day in days}}


def test_a_kept_profile_says_what_one_that_is_made_says(model: ModelConfig, days: list[PredictionSet]) -> None:
    made, kept = _window(model, days[:3]), _window(model, days[:3])
    assert made.partitions == kept.partitions == ("2013-01-10", "2013-01-11", "2013-01-12")
    for name, column in made.columns.items():
        np.testing.assert_array_equal(column.counts, kept.columns[name].counts)
        assert isinstance(column, NumericColumn) or column == replace(kept.columns[name], counts=column.counts, distinct=column.distinct)


def test_nothing_is_kept_before_it_is_said_so(model: ModelConfig, days: list[PredictionSet]) -> None:
    """What is kept stands or falls with the figures that it was made for."""
    KeptProfiles(compared_kinds(model), REFERENCE).window(days)
    assert not any(file.path.endswith(".profile") for file in storage.files(""))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _of_another_format(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"evergreen profile ", b"evergreen profile 9", 1))


@pytest.mark.parametrize("harm", [Path.unlink, _cut, _of_another_format, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("of", ["reference", "day"])
def test_a_profile_that_is_missing_damaged_or_of_another_format_is_made_anew(
    model: ModelConfig, days: list[PredictionSet], reads: Counter[str], harm: Callable[[Path], object], of: str
) -> None:
    before = _window(model, days[:2])
    harmed = REFERENCE if of == "reference" else days[0].path
    file = Path(Settings.from_environment().storage, _beside(harmed))
    content = file.read_bytes()
    harm(file)
    reads.clear()
    found = _window(model, days[:2])
    assert reads == {harmed: 1}
    assert found.rows == before.rows
    assert file.read_bytes() == content


def test_a_damaged_profile_is_told(model: ModelConfig, days: list[PredictionSet], caplog: pytest.LogCaptureFixture) -> None:
    _window(model, days[:1])
    _cut(Path(Settings.from_environment().storage, _beside(days[0].path)))
    with caplog.at_level(logging.WARNING):
        _window(model, days[:1])
    assert f"The profile {_beside(days[0].path)} is damaged" in caplog.text


def test_predictions_that_were_replaced_are_read_again(model: ModelConfig, days: list[PredictionSet], reads: Counter[str]) -> None:
    """An earlier release may have written other rows to the path of a kept profile."""
    _window(model, days[:2])
    reads.clear()
    _window(model, [replace(days[0], digest="another"), days[1]])
    assert reads == {days[0].path: 1}


def test_another_reference_has_all_days_counted_anew_on_its_own_bins(
    model: ModelConfig, days: list[PredictionSet], reads: Counter[str]
) -> None:
    _window(model, days[:2])
    storage.write_frame(REFERENCE, frame(seed=98).assign(partition="2013-01-01", wind=lambda rows: rows["wind"] * 9))
    storage.remove(_beside(REFERENCE))
    reads.clear()
    found = _window(model, days[:2])
    assert reads == {REFERENCE: 1, days[0].path: 1, days[1].path: 1}
    column = found.columns["wind"]
    assert isinstance(column, NumericColumn)
    assert column.bins.edges.max() > 100


def test_another_choice_of_columns_has_all_profiles_made_anew(model: ModelConfig, days: list[PredictionSet]) -> None:
    _window(model, days[:2])
    fewer = model.model_copy(update={"features": model.features[:2]})
    assert list(_window(fewer, days[:2]).columns) == ["prediction", "origin", "carrier"]


def test_a_column_that_the_reference_has_not_is_missing_in_each_of_its_rows(model: ModelConfig, days: list[PredictionSet]) -> None:
    found = KeptProfiles({"wind": "numeric", "target": "numeric"}, REFERENCE).reference
    assert (found.columns["wind"].lost.sum(), found.columns["target"].lost.sum()) == (0, found.rows)


def test_rows_that_are_gone_do_no_harm_while_their_profile_is_there(model: ModelConfig, days: list[PredictionSet]) -> None:
    _window(model, days[:2])
    storage.remove(days[0].path)
    assert _window(model, days[:2]).rows == 4000
    storage.remove(_beside(days[0].path))
    with pytest.raises(DataError, match="is not in the storage"):
        _window(model, days[:2])


def _beside(rows: str) -> str:
    return f"{rows}{PROFILE_SUFFIX}"


def _scored(number: int) -> PredictionSet:
    rows = frame(seed=number)
    digest, day = frame_digest(rows), january(number)
    path = f"predictions/air_time/{day}/{digest[:16]}.parquet"
    storage.write_frame(path, rows)
    return PredictionSet("air_time", day, 1, 1, 0, len(rows), digest, path, "", "live", clock.now(), None)


def _window(model: ModelConfig, days: list[PredictionSet]) -> Profile:
    profiles = KeptProfiles(compared_kinds(model), REFERENCE)
    found = profiles.window(days)
    profiles.keep()
    return found
