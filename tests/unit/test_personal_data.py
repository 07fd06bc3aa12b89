"""What is marked personal stays out of what people read: errors, reports, examples."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.check import check_catalog
from include.evergreen.config.models import Feature
from include.evergreen.features import feature_frame
from include.evergreen.features.build import error_text
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.monitoring.drawing import draw
from include.evergreen.monitoring.drift import compared_kinds, drift_figures, judge_drift, reference_profile
from include.evergreen.monitoring.profiles import profile_partition
from include.evergreen.monitoring.verdicts import Verdict
from include.evergreen.training import tuning
from include.evergreen.training.fit_job import typical_row
from include.evergreen.training.pipeline import MIN_CATEGORY_ROWS, Chosen, build_pipeline, fit
from include.evergreen.training.rehearsal import SyntheticRowsError, rehearse
from tests.unit.flights import january
from tests.unit.lifecycle import include_with
from tests.unit.training.synthetic_rows import synthetic_model, synthetic_rows


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


@pytest.mark.parametrize("marked", ["an input's column", "a column of the target's dataset", "a feature", "nothing"])
def test_of_an_error_that_may_quote_a_row_only_its_type_is_told(
    marked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, air_time: ModelConfig
) -> None:
    include, error = include_with(tmp_path, monkeypatch), ValueError('Unable to parse string "Ada" at position 3')
    if marked.startswith("a"):
        dataset = "schedules" if marked == "an input's column" else "outcomes"
        file = include / "datasets" / dataset / "dataset.yaml"
        column = "tailnum" if dataset == "schedules" else "arr_delay"
        if marked != "a feature":
            text = file.read_text()
            file.write_text(text.replace(f"{{name: {column}, ", f"{{name: {column}, personal: true, "))
            assert file.read_text() != text
    inputs = tuple(each for each in air_time.inputs if each.dataset != air_time.target.dataset)
    features = tuple(each.model_copy(update={"personal": marked == "a feature"}) for each in air_time.features)
    model = air_time.model_copy(update={"inputs": inputs, "features": features})
    assert error_text(Catalog(), model, error) == (f"ValueError: {error}" if marked == "nothing" else "ValueError")
    assert error_text(Catalog(), model, ConfigError("ours speaks for itself")) == "ours speaks for itself"


def test_where_a_declaration_cannot_be_read_a_row_is_taken_for_personal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, air_time: ModelConfig
) -> None:
    (include_with(tmp_path, monkeypatch) / "datasets" / "outcomes" / "dataset.yaml").write_text("name: [")
    assert error_text(Catalog(), air_time, ValueError("bad Ada")) == "ValueError"


def test_what_a_library_says_of_rows_that_it_cannot_be_fitted_on_is_left_out(
    air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("could not convert string to float: 'Ada'")

    monkeypatch.setattr("sklearn.compose.ColumnTransformer.fit_transform", fail)
    rows = pd.DataFrame({feature.name: [1.0, 2.0] for feature in air_time.features})
    chosen = Chosen("sklearn.linear_model.Ridge")
    for personal, told in (
        (False, "cannot be fitted: ValueError: could not convert string to float: 'Ada'"),
        (True, "cannot be fitted: ValueError"),
    ):
        features = tuple(each.model_copy(update={"personal": personal}) for each in air_time.features)
        model = air_time.model_copy(update={"features": features})
        with pytest.raises(ConfigError) as caught:
            fit(build_pipeline(model, chosen), model, rows, np.array([1.0, 2.0]))
        assert str(caught.value).endswith(told)
        assert ("Ada" in "".join(traceback.format_exception(caught.value))) is not personal


def test_what_a_library_says_of_synthetic_rows_is_told_as_they_are_nobodys(air_time: ModelConfig) -> None:
    features = tuple(each.model_copy(update={"personal": True}) for each in air_time.features)
    with pytest.raises(SyntheticRowsError, match="cannot be fitted on .* synthetic rows .* 'alpha' parameter"):
        rehearse(air_time.model_copy(update={"features": features}), Chosen("sklearn.linear_model.Ridge", {"alpha": -1.0}))


def test_what_a_trial_of_tuning_records_quotes_nobody(air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    model = synthetic_model(
        air_time, estimator="sklearn.linear_model.Ridge", search={"alpha": {"choice": [1.0, 2.0]}}, tune={"candidates": 2}
    )
    features = tuple(each.model_copy(update={"personal": True}) for each in model.features)

    def fail(*_: object) -> None:
        raise ValueError("bad Ada")

    monkeypatch.setattr(tuning, "predict", fail)
    with pytest.raises(ConfigError, match="fold 1 of .: ValueError") as caught:
        tuning.choose(model.model_copy(update={"features": features}), synthetic_rows(is_classified=False))
    assert "Ada" not in str(caught.value)


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
    assert "7654.321" in draw(air_time, frame, frame, "shown", drift(air_time, frame))
    assert f"drift.{first.name}" in dict(drift_figures(air_time, drift(air_time, frame)))
    assert "7654.321" not in draw(model, frame, frame, "hidden", drift(model, frame))
    assert f"drift.{first.name}" not in dict(drift_figures(model, drift(model, frame)))


def drift(model: ModelConfig, frame: pd.DataFrame) -> Verdict:
    """The verdict on rows that are their own reference."""
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    reference = reference_profile(rows, compared_kinds(model))
    return judge_drift(model, reference, profile_partition(reference, "2013-01-20", rows))


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
    feature_frame(catalog, catalog.model("air_time"), january(10), PartitionCache(january(10), model=catalog.model("air_time")))
