from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from sklearn.linear_model import Ridge

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.metrics import metrics_of
from include.evergreen.features.columns import TARGET
from include.evergreen.features.reader import PARTITION_COLUMN
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.settings import Settings
from include.evergreen.state import mlflow_store, storage
from include.evergreen.state.database.tables import candidates
from include.evergreen.training.candidate import Candidate, find_candidate, holdout_path
from include.evergreen.training.fit_job import split_by_time
from include.evergreen.training.pipeline import predict
from include.evergreen.training.recipes import build_recipe
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tests.unit.flights import at_home, brief, copy_home, january, rows_of
from tests.unit.warm import run_code

pytestmark = pytest.mark.usefixtures("flights")
AS_OF = january(18)


@pytest.fixture
def air_time(catalog: Catalog) -> ModelConfig:
    return brief(catalog.model("air_time"))


@pytest.fixture
def flight_delay(catalog: Catalog) -> ModelConfig:
    return brief(catalog.model("flight_delay"))


def test_a_candidate_is_measured_on_the_newest_days_which_it_was_not_fitted_on(catalog: Catalog, air_time: ModelConfig) -> None:
    candidate = _train(catalog, air_time)
    facts = candidate.facts
    assert (facts["holdout_first"], facts["holdout_last"]) == ("2013-01-11", "2013-01-17")
    assert set(candidate.metrics) == set(metrics_of(air_time))
    frame = take_snapshot(catalog, air_time, AS_OF).frame()
    fit_rows, holdout = split_by_time(air_time, frame)
    assert (len(fit_rows), len(holdout)) == (facts["fit_rows"], facts["holdout_rows"])
    assert fit_rows[PARTITION_COLUMN].max() < holdout[PARTITION_COLUMN].min()


def test_trained_again_it_is_found_and_there_is_one_mlflow_run(catalog: Catalog, air_time: ModelConfig) -> None:
    first = _train(catalog, air_time)
    for _ in range(2):
        again, is_new = train(catalog, air_time, take_snapshot(catalog, air_time, AS_OF), "another reason")
        assert (again, is_new) == (first, False)
    assert [run.info.run_id for run in _runs("air_time")] == [first.mlflow_run_id]


def test_its_mlflow_run_says_what_was_trained_on_what(catalog: Catalog, flight_delay: ModelConfig) -> None:
    candidate = _train(catalog, flight_delay)
    run = _runs("flight_delay")[0]
    assert run.info.status == "FINISHED"
    assert run.data.metrics == pytest.approx(candidate.metrics)
    assert run.data.params["C"] == "0.1"
    assert run.data.tags["evergreen.run_key"] == candidate.run_key
    assert run.data.tags["evergreen.snapshot"] == candidate.snapshot_digest
    assert run.data.tags["evergreen.as_of"] == "2013-01-18"


def test_a_training_that_was_killed_after_mlflow_had_it_continues_the_same_run(catalog: Catalog) -> None:
    run_code(
        "import datetime as dt, os\n"
        "from include.evergreen.config import Catalog\n"
        "from include.evergreen.training import train\n"
        "from include.evergreen.training.take_snapshot import take_snapshot\n"
        "catalog = Catalog()\n"
        "model = catalog.model('air_time')\n"
        "snapshot = take_snapshot(catalog, model, '2013-01-18')\n"
        "train.insert_once = lambda *_: os._exit(9)\n"
        "train.train(catalog, model, snapshot, 'to be killed')\n",
        exit_code=9,
    )
    assert len(_runs("air_time")) == 1
    assert rows_of(candidates) == []
    candidate = _train(catalog, catalog.model("air_time"))
    assert [run.info.run_id for run in _runs("air_time")] == [candidate.mlflow_run_id]
    assert len(rows_of(candidates)) == 1
    mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest)


def test_an_mlflow_that_cannot_be_reached_is_named_and_nothing_is_half_written(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = take_snapshot(catalog, air_time, AS_OF)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TransientError, match="The MLflow store http://127.0.0.1:9 could not be used"):
        train(catalog, air_time, snapshot, "a test")
    assert rows_of(candidates) == []
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert train(catalog, air_time, snapshot, "a test")[1]


def test_an_artifact_folder_that_cannot_be_written_is_worth_a_retry(catalog: Catalog, air_time: ModelConfig, flights: Path) -> None:
    (flights / "mlartifacts").write_text("a file stands where the artifacts should be")
    with pytest.raises(TransientError, match=r"The MLflow store sqlite:///.*/mlflow.db could not be used"):
        _train(catalog, air_time)
    assert rows_of(candidates) == []


def test_two_trainings_on_the_same_snapshot_predict_the_same_to_the_last_bit(
    catalog: Catalog, flight_delay: ModelConfig, flights: Path, tmp_path: Path
) -> None:
    first = _predictions(catalog, flight_delay)
    with at_home(copy_home(flights, tmp_path / "another home")):
        second = _predictions(catalog, flight_delay)
    assert np.array_equal(first, second)


def test_a_home_may_have_blanks_in_its_path(catalog: Catalog, air_time: ModelConfig, flights: Path, tmp_path: Path) -> None:
    with at_home(copy_home(flights, tmp_path / "my projects" / "50% é")):
        candidate = _train(catalog, air_time)
        mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest)


def test_another_recipe_is_another_candidate(catalog: Catalog, air_time: ModelConfig) -> None:
    first = _train(catalog, air_time)
    second = _train(catalog, _with_train(air_time, parameters={"alpha": 2.0}))
    assert first.snapshot_digest == second.snapshot_digest
    assert first.run_key != second.run_key
    assert first.signature_digest == second.signature_digest


def test_what_does_not_shape_the_model_is_no_part_of_its_recipe(catalog: Catalog, air_time: ModelConfig) -> None:
    other = air_time.model_copy(update={"description": "other words", "owner": "other people", "tags": ("other",)})
    assert build_recipe(catalog, other) == build_recipe(catalog, air_time)
    assert build_recipe(catalog, _with_train(air_time, schedule=None)) == build_recipe(catalog, air_time)
    assert build_recipe(catalog, _with_train(air_time, seed=1)) != build_recipe(catalog, air_time)


def test_the_reference_is_a_sample_of_what_it_was_fitted_on_with_its_predictions(catalog: Catalog, air_time: ModelConfig) -> None:
    small = air_time.model_copy(update={"monitor": air_time.monitor.model_copy(update={"reference_rows": 200})})
    reference = storage.read_frame(_train(catalog, small).reference_path)
    assert len(reference) == 200
    assert reference[PARTITION_COLUMN].max() == "2013-01-10"
    assert reference["prediction"].notna().all()


def test_the_holdout_sample_is_of_rows_that_it_was_not_fitted_on_with_labels_and_predictions(
    catalog: Catalog, air_time: ModelConfig
) -> None:
    small = air_time.model_copy(update={"monitor": air_time.monitor.model_copy(update={"reference_rows": 200})})
    candidate = _train(catalog, small)
    sample = storage.read_frame(holdout_path(candidate.reference_path))
    assert len(sample) == 200
    assert sample[PARTITION_COLUMN].min() == candidate.facts["holdout_first"]
    assert sample[["prediction", "target"]].notna().all(axis=None)
    assert (sample["prediction"] - sample["target"]).abs().mean() == pytest.approx(candidate.metrics["mae"], rel=0.2)


def test_a_candidate_of_an_earlier_release_gets_its_holdout_sample_when_it_is_trained_again(
    catalog: Catalog, air_time: ModelConfig
) -> None:
    path = holdout_path(_train(catalog, air_time).reference_path)
    before = storage.read_bytes(path)
    storage.remove(path)
    _train(catalog, air_time)
    assert storage.read_bytes(path) == before


def test_rows_of_one_class_alone_teach_nothing(catalog: Catalog, flight_delay: ModelConfig) -> None:
    never = flight_delay.model_copy(update={"target": flight_delay.target.model_copy(update={"positive_above": 1e6})})
    with pytest.raises(DataError, match=r"flight_delay as of 2013-01-18: all \d+ rows .* have the same target") as refused:
        _train(catalog, never)
    assert "Check target.positive_above (1000000.0)" in str(refused.value)
    assert rows_of(candidates) == []
    assert _runs("flight_delay") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimator": "sklearn.linear_model.Rigde"}, "train.estimator 'sklearn.linear_model.Rigde' cannot be imported"),
        ({"estimator": "sclearn.Ridge"}, "'sclearn.Ridge' cannot be imported .*Give the import path of a scikit-learn"),
        ({"estimator": "Ridge"}, "'Ridge' cannot be imported"),
        ({"estimator": "builtins.dict", "parameters": {}}, "builtins.dict has no fit, get_params, predict, which a regress"),
        ({"parameters": {"alhpa": 1.0}}, r"does not take train.parameters \{'alhpa': 1.0\}"),
        ({"parameters": {"alpha": -1.0}}, "Ridge with train.parameters .* cannot be fitted: .*alpha"),
        ({"parameters": {"alpha": "much"}}, "cannot be fitted: .*alpha"),
        ({"estimator": "sklearn.linear_model.LogisticRegression", "parameters": {}}, "LogisticRegression is a classifier"),
    ],
)
def test_a_wrong_estimator_is_the_authors_fault(catalog: Catalog, air_time: ModelConfig, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^air_time: .*{message}"):
        _train(catalog, _with_train(air_time, **changes))
    assert rows_of(candidates) == []


def test_a_classification_needs_probabilities(catalog: Catalog, flight_delay: ModelConfig) -> None:
    svm = _with_train(flight_delay, estimator="sklearn.svm.LinearSVC", parameters={})
    with pytest.raises(ConfigError, match="LinearSVC has no predict_proba, which a classification needs"):
        _train(catalog, svm)


def test_an_estimator_that_would_run_code_when_it_is_loaded_is_refused(catalog: Catalog, air_time: ModelConfig) -> None:
    own = _with_train(air_time, estimator=f"{__name__}.OwnRidge")
    with pytest.raises(ConfigError, match="cannot be stored in a form that loads without running code.*OwnRidge"):
        _train(catalog, own)
    assert rows_of(candidates) == []


class OwnRidge(Ridge):
    """An estimator of a team's own."""


def test_a_candidate_that_nobody_trained_is_not_found() -> None:
    with pytest.raises(DataError, match="No candidate with run key 'abc' is recorded"):
        find_candidate("abc")


def _train(catalog: Catalog, model: ModelConfig) -> Candidate:
    return train(catalog, model, take_snapshot(catalog, model, AS_OF), "a test")[0]


def _with_train(model: ModelConfig, **changes: Any) -> ModelConfig:
    return model.model_copy(update={"train": model.train.model_copy(update=changes)})


def _predictions(catalog: Catalog, model: ModelConfig) -> np.ndarray:
    candidate = _train(catalog, model)
    pipeline = mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest)
    frame: pd.DataFrame = take_snapshot(catalog, model, AS_OF).frame()
    return predict(pipeline, model, frame.drop(columns=[PARTITION_COLUMN, TARGET]))


def _runs(experiment: str) -> list[Run]:
    client = mlflow.MlflowClient(tracking_uri=Settings.from_environment().mlflow_tracking_uri)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []
