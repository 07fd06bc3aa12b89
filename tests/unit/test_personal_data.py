"""What is marked personal stays out of what people read: errors, reports, examples."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.check import check_catalog
from include.evergreen.config.models import Feature
from include.evergreen.features import feature_frame
from include.evergreen.features.reader import PartitionCache
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.monitoring.drawing import draw
from include.evergreen.monitoring.drift import measure_drift
from include.evergreen.training.fit_job import typical_row
from include.evergreen.training.pipeline import MIN_CATEGORY_ROWS
from tests.unit.flights import january
from tests.unit.lifecycle import include_with


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What ships, with the tail number marked as personal: aircraft stand for people."""
    include = include_with(tmp_path, monkeypatch)
    file = include / "datasets" / "schedules" / "dataset.yaml"
    file.write_text(file.read_text().replace("{name: tailnum, ", "{name: tailnum, personal: true, "))
    return include


def test_a_feature_with_the_name_of_a_personal_column_must_say_that_it_is_personal(include: Path) -> None:
    file = include / "models" / "air_time" / "model.yaml"
    before = file.read_text()
    file.write_text(before.replace("features:\n", "features:\n  - {name: tailnum, kind: categorical, description: The aircraft}\n"))
    [problem] = check_catalog(Catalog())
    assert "model.yaml:" in problem
    assert "'tailnum' is a personal column of schedules; set personal: true" in problem
    file.write_text(
        before.replace("features:\n", "features:\n  - {name: tailnum, kind: categorical, personal: true, description: The aircraft}\n")
    )
    assert check_catalog(Catalog()) == []


def test_what_features_py_says_of_a_row_is_left_out_of_its_error(flights: Path, include: Path) -> None:
    file = include / "models" / "air_time" / "features.py"
    file.write_text('def features(read):\n    rows = read.rows()\n    raise ValueError(f"bad tail {rows.tailnum.dropna().iloc[0]}")\n')
    with pytest.raises(ConfigError) as caught:
        _features()
    assert "features() failed for partition 2013-01-10: ValueError in line 3 (what it says is left out" in str(caught.value)
    assert "bad tail" not in "".join(traceback.format_exception(caught.value)).replace('f"bad tail', "")


def test_a_value_that_is_no_number_is_left_out_of_the_error(flights: Path, include: Path) -> None:
    file = include / "models" / "air_time" / "features.py"
    file.write_text(
        "from pathlib import Path\n"
        + file.read_text().replace('"distance": rows["distance"],', '"distance": rows["tailnum"].fillna("N1"),')
    )
    with pytest.raises(ConfigError) as caught:
        _features()
    assert "a feature that is declared numeric is not: its value is left out" in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_report_shows_a_personal_feature(air_time: ModelConfig) -> None:
    first = air_time.features[0]
    model = air_time.model_copy(update={"features": (first.model_copy(update={"personal": True}), *air_time.features[1:])})
    random = np.random.default_rng(0)
    frame = pd.DataFrame({feature.name: random.normal(size=300) for feature in model.features if feature.kind == "numeric"})
    for feature in model.features:
        if feature.kind == "categorical":
            frame[feature.name] = pd.Series(random.choice(["a", "b"], 300), dtype="string")
    frame = frame.assign(prediction=random.normal(size=300))
    frame.loc[7, first.name] = 7654.321
    assert "7654.321" in draw(air_time, frame, frame, "shown")
    assert first.name in measure_drift(air_time, frame, frame).scores
    assert "7654.321" not in draw(model, frame, frame, "hidden")
    assert first.name not in measure_drift(model, frame, frame).scores


def test_the_input_example_is_a_row_that_nobody_has(air_time: ModelConfig) -> None:
    features = (
        Feature(name="age", kind="numeric", description="Years"),
        Feature(name="town", kind="categorical", description="Where"),
        Feature(name="name", kind="categorical", description="Who"),
        Feature(name="nothing", kind="numeric", description="Never known"),
        Feature(name="group", kind="categorical", personal=True, description="Which"),
    )
    model = air_time.model_copy(update={"features": features})
    number = MIN_CATEGORY_ROWS + 2
    rows = pd.DataFrame(
        {
            "age": [float(n) for n in range(number)],
            "town": pd.Series(["Kew"] * MIN_CATEGORY_ROWS + ["Ham", None], dtype="string"),
            "name": pd.Series([f"person {n}" for n in range(number)], dtype="string"),
            "nothing": [float("nan")] * number,
            "group": pd.Series(["A"] * number, dtype="string"),
        }
    )
    [row] = typical_row(model, rows).to_dict("records")
    assert (row["age"], row["town"]) == ((number - 1) / 2, "Kew")
    assert all(pd.isna(row[name]) for name in ("name", "nothing", "group"))
    assert [str(dtype) for dtype in typical_row(model, rows).dtypes] == ["float64", "string", "string", "float64", "string"]


def _features() -> None:
    catalog = Catalog()
    feature_frame(catalog, catalog.model("air_time"), january(10), PartitionCache(january(10)))
