from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.features import feature_frame, labelled_frame
from include.evergreen.features.columns import TARGET
from include.evergreen.features.labels import join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import PARTITION_COLUMN, PointInTimeReader
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from tests.unit.flights import january, republish

pytestmark = pytest.mark.usefixtures("flights")
DAY = january(10)
SOUND = "return pd.DataFrame({name: 1.0 for name in NAMES}, index=rows.index).assign(carrier='UA', origin='EWR')"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """What ships, in a folder where a test may rewrite `features.py`."""
    for kind in ("datasets", "models"):
        shutil.copytree(PROJECT_ROOT / "include" / kind, tmp_path / "include" / kind)
    return Catalog(tmp_path / "include")


@pytest.mark.parametrize("name", ["air_time", "flight_delay"])
def test_features_come_in_the_declared_order_and_kinds_one_row_for_each_row(catalog: Catalog, name: str) -> None:
    model = catalog.model(name)
    rows, features = feature_frame(catalog, model, DAY, PartitionCache(DAY, model=model))
    assert list(features.columns) == model.feature_names
    kinds = {"numeric": "float64", "categorical": "string"}
    assert [str(kind) for kind in features.dtypes] == [kinds[feature.kind] for feature in model.features]
    assert features.index.equals(rows.index)
    assert features.notna().all().all()


def test_a_sound_rewrite_is_taken_without_a_restart(catalog: Catalog, air_time: ModelConfig) -> None:
    _write(catalog, air_time, SOUND)
    assert _features(catalog, air_time)["distance"].unique().tolist() == [1.0]
    _write(catalog, air_time, SOUND.replace("1.0", "2.0"))
    assert _features(catalog, air_time)["distance"].unique().tolist() == [2.0]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (SOUND + ".drop(columns='distance')", r"missing \['distance'\], undeclared none"),
        (SOUND + ".assign(speed=1.0)", r"missing none, undeclared \['speed'\]"),
        (SOUND + ".head(3)", "gave 3 rows with an index of its own; it must keep the 900 rows"),
        (SOUND + ".iloc[::-1]", "with an index of its own"),
        (SOUND + ".assign(distance='far')", "a feature that is declared numeric is not: could not convert"),
        (SOUND + ".assign(distance=1 / 0)", r"features\(\) failed for partition 2013-01-10: ZeroDivisionError"),
        ("import sys\n    sys.exit()", r"features\(\) failed for partition 2013-01-10: SystemExit"),
        (SOUND + ".assign(distance=rows['distance'] / 0.0)", "infinite values in distance"),
        ("return read.window('revenue', span='1 day')", "reads 'revenue', which model.yaml does not list"),
    ],
)
def test_features_that_are_not_as_declared_are_named_with_the_file(
    catalog: Catalog, air_time: ModelConfig, body: str, message: str
) -> None:
    republish("schedules", DAY, lambda rows: pd.concat([rows] * 2, ignore_index=True).head(900))
    _write(catalog, air_time, body)
    with pytest.raises(ConfigError, match=message) as refused:
        _features(catalog, air_time)
    assert "features.py" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("def features(", "cannot be imported"), ("raise SystemExit", "cannot be imported: SystemExit"), ("x = 1", "must define features")],
)
def test_a_file_that_is_no_features_file_is_named(catalog: Catalog, air_time: ModelConfig, text: str, message: str) -> None:
    path = catalog.features_path("air_time")
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"{path} {message}"):
        _features(catalog, air_time)


def test_a_day_that_is_not_there_is_the_datas_fault_and_not_the_codes(catalog: Catalog, air_time: ModelConfig) -> None:
    with pytest.raises(DataError, match="schedules 2013-01-25 was not known"):
        feature_frame(catalog, air_time, january(25), PartitionCache(january(25), model=air_time))


@pytest.mark.parametrize("error", [TransientError("the storage does not answer"), MemoryError("too little")])
def test_what_the_storage_or_the_machine_lacks_while_features_py_reads_is_not_its_fault(
    error: Exception, catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    _write(catalog, air_time, "read.window('weather', span='1 day'); " + SOUND)
    monkeypatch.setattr(PointInTimeReader, "window", fail)
    with pytest.raises(type(error), match=str(error)):
        _features(catalog, air_time)


def test_a_training_frame_has_the_rows_whose_truth_is_known_and_no_others(catalog: Catalog, flight_delay: ModelConfig) -> None:
    outcomes = read_partition(current_partition("outcomes", DAY))  # type: ignore[arg-type]
    frame = labelled_frame(catalog, flight_delay, DAY, PartitionCache(january(11), model=flight_delay))
    assert frame is not None
    flown = outcomes["arr_delay"].dropna()
    assert len(flown) < len(outcomes)  # some were cancelled
    assert (len(frame), frame[TARGET].sum()) == (len(flown), (flown > 15).sum())
    assert frame[PARTITION_COLUMN].unique().tolist() == [str(DAY)]


def test_a_day_whose_truth_is_not_known_yet_gives_no_training_rows(catalog: Catalog, air_time: ModelConfig) -> None:
    assert labelled_frame(catalog, air_time, DAY, PartitionCache(DAY, model=air_time)) is None


def test_a_day_that_lacks_an_input_gives_no_training_rows(catalog: Catalog, air_time: ModelConfig) -> None:
    assert labelled_frame(catalog, air_time, january(1), PartitionCache(january(20), model=air_time)) is None


def test_truth_finds_its_row_by_the_keys_whatever_the_order(catalog: Catalog, air_time: ModelConfig) -> None:
    rows, _ = feature_frame(catalog, air_time, DAY, PartitionCache(DAY, model=air_time))
    cache = PartitionCache(january(20), model=air_time)
    labels = known_labels(catalog, air_time, DAY, cache)
    joined = join_labels(catalog, air_time, rows, labels, cache)
    assert joined.index.equals(rows.index)
    shuffled = rows.sample(frac=1, random_state=1)
    pd.testing.assert_series_equal(joined, join_labels(catalog, air_time, shuffled, labels, cache).sort_index())


def test_rows_and_truth_that_share_no_keys_are_the_authors_fault(catalog: Catalog, air_time: ModelConfig) -> None:
    path = catalog.dataset_path("schedules")
    path.write_text(path.read_text().replace("keys: [carrier, flight, origin]", "keys: [flight, origin]"))
    with pytest.raises(ConfigError, match=r"air_time: rows of schedules find their labels in outcomes .*; carrier is not, so one row may "):
        labelled_frame(catalog, air_time, DAY, PartitionCache(january(20), model=air_time))


def _write(catalog: Catalog, model: ModelConfig, body: str) -> None:
    names = model.feature_names
    text = f"import pandas as pd\nNAMES = {names}\ndef features(read):\n    rows = read.rows()\n    {body}\n"
    catalog.features_path(model.name).write_text(text)


def _features(catalog: Catalog, model: ModelConfig) -> pd.DataFrame:
    return feature_frame(catalog, model, DAY, PartitionCache(DAY, model=model))[1]
