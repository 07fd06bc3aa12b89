from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import Run

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.training import Train
from include.evergreen.data.ingestion import ingest
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.state import effects, mlflow_store
from include.evergreen.state.database.tables import candidates, run_claims
from include.evergreen.training import claims, fit_job, tracking
from include.evergreen.training import train as training_of_candidates
from include.evergreen.training.candidate import Candidate, find_candidate
from include.evergreen.training.metrics import Measures
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tests.unit.flights import rows_of
from tests.unit.lifecycle import AS_OF, LAST, MODEL, settle_cycled, shorten
from tests.unit.training.killed_training import TRIALS, taken, tuned
from tests.unit.warm import run_code, start_code

LIGHTGBM = "lightgbm.LGBMClassifier"
LIGHTGBM_TYPES = ["collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier"]


@pytest.fixture(autouse=True)
def _cycled() -> None:
    settle_cycled()


@pytest.fixture
def model(catalog: Catalog) -> ModelConfig:
    return _declaring(catalog.model(MODEL), seed=5)  # another recipe than the cycle's, so nothing of it is trained yet


def test_a_training_that_dies_at_any_side_effect_leaves_after_its_retry_one_run_with_its_trials() -> None:
    output = run_code("import runpy; runpy.run_module('tests.unit.training.killed_training', run_name='__main__')")
    found = json.loads(output.splitlines()[-1])
    places = {place.split(" ", 1)[1] for place in found}
    declared = {name for name in effects.EFFECTS if name.startswith("train.")}
    assert places == {"before train.claim"} | {f"after {name}" for name in declared}
    for place, left in found.items():
        assert left["runs"] == ["FINISHED"], place
        assert left["is_recorded_run"] == [True], place
        assert left["parents"] == [True] * TRIALS, place
        assert left["trials"] == [[str(n + 1), "FINISHED"] for n in range(TRIALS)], place
        assert left["models"] == [left["recorded"]], place
        assert left["failed_because"] is None, place
        assert left["inputs"] == [f"{MODEL} holdout rows", f"{MODEL} training rows"], place


def test_two_trainings_of_one_key_at_once_leave_one_run_one_candidate_and_one_choice() -> None:
    code = (
        "from tests.unit.training.killed_training import *\n"
        "import mlflow.sklearn, mlflow.store.tracking.sqlalchemy_store\n"
        "print(train_once().mlflow_run_id)"
    )
    both = [start_code(code) for _ in range(2)]
    answers = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    ids = {output.splitlines()[-1] for output, _ in answers}
    assert len(ids) == 1
    left = json.loads(run_code("from tests.unit.training.killed_training import *\nprint(json.dumps(left_of_it()))").splitlines()[-1])
    assert left["runs"] == ["FINISHED"]
    assert left["is_recorded_run"] == [True]
    assert left["trials"] == [[str(n + 1), "FINISHED"] for n in range(TRIALS)]
    assert left["models"] == [left["recorded"]]


def test_an_attempt_whose_files_another_one_removed_takes_what_that_one_recorded(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other comes to its end while this one writes its model's files, and removes them as left behind."""
    log_candidate, others = tracking.log_candidate, []

    def overtaken(*given: Any, **named: Any) -> str:
        monkeypatch.setattr(tracking, "log_candidate", log_candidate)
        others.append(train(catalog, tuned(), taken(), "the other")[0])
        raise TransientError("no such file or directory")

    monkeypatch.setattr(tracking, "log_candidate", overtaken)
    assert train(catalog, tuned(), taken(), "this one") == (others[0], False)
    run = mlflow_store.mlflow_client().get_run(others[0].mlflow_run_id)
    assert (run.info.status, run.data.tags.get(tracking.FAILED_TAG)) == ("FINISHED", None)


def test_trained_as_of_a_day_long_past_it_is_the_model_of_that_day_bit_for_bit(catalog: Catalog) -> None:
    """The cycle trained as of the 20th before anything later was ingested; now five more days are, and an old one is corrected."""
    model = catalog.model(MODEL)
    [of_that_day] = [find_candidate(str(row.run_key)) for row in rows_of(candidates)]
    for partition in DAILY.between(AS_OF, LAST):
        for dataset in catalog.dataset_names():
            ingest(catalog.dataset(dataset), partition, "live")
    shorten("outcomes", DAILY.shift(AS_OF, -5), 110)
    ingest(catalog.dataset("outcomes"), DAILY.shift(AS_OF, -5), "live")  # known only today
    snapshot = take_snapshot(catalog, model, AS_OF)
    assert snapshot.digest == of_that_day.snapshot_digest
    fit_rows, holdout = fit_job.split_by_time(model, snapshot.frame())
    chosen, measures = training_of_candidates.read_chosen(of_that_day, model), Measures.trained(model, of_that_day.facts)
    now = fit_job.fit_chosen(model, fit_rows, holdout, chosen, measures)
    then = mlflow_store.load_model(of_that_day.artifact_uri, of_that_day.artifact_digest)
    assert np.array_equal(then.named_steps["estimator"].coef_, now.pipeline.named_steps["estimator"].coef_)
    assert np.array_equal(fit_job.predict(then, model, holdout), fit_job.predict(now.pipeline, model, holdout))
    assert now.metrics == of_that_day.metrics
    assert train(catalog, model, snapshot, "long after") == (of_that_day, False)


def test_of_two_that_claim_a_run_key_the_first_decides_and_a_lost_run_is_replaced() -> None:
    assert claims.claim_run("k" * 64, MODEL, "first") == "first"
    assert claims.claim_run("k" * 64, MODEL, "second") == "first"
    assert claims.claim_run("k" * 64, MODEL, "third", instead_of="another") == "first"
    assert claims.claim_run("k" * 64, MODEL, "fourth", instead_of="first") == "fourth"
    assert claims.settled_choice("k" * 64) is None
    assert claims.settle_choice("k" * 64, {"estimator": "a"}) == {"estimator": "a"}
    assert claims.settle_choice("k" * 64, {"estimator": "b"}) == {"estimator": "a"}


def test_what_a_killed_attempt_chose_by_tuning_the_next_one_fits(catalog: Catalog) -> None:
    model = tuned()
    snapshot = taken()
    run_key = training_of_candidates.make_run_key(catalog, model, snapshot)
    claims.claim_run(run_key, MODEL, "0" * 32)
    kept = {"estimator": "sklearn.linear_model.LogisticRegression", "parameters": {"C": 0.123}, "tuning": None}
    claims.settle_choice(run_key, kept)
    candidate, _ = train(catalog, model, snapshot, "a test")
    assert candidate.facts["parameters"] == {"C": 0.123}
    assert _run(candidate).data.params["C"] == "0.123"


def test_a_parameter_that_is_called_like_a_param_of_ours_replaces_none() -> None:
    own = {"estimator": "Ridge()", "seed": 7, "days": 3, "C": 0.1}
    assert tracking.as_params("sklearn.calibration.CalibratedClassifierCV", own) == {
        "estimator": "sklearn.calibration.CalibratedClassifierCV", "parameters.estimator": "Ridge()", "parameters.seed": 7,
        "parameters.days": 3, "C": 0.1,
    }  # fmt: skip


def test_a_run_that_was_deleted_by_hand_is_taken_back_and_one_that_is_lost_is_replaced(catalog: Catalog, model: ModelConfig) -> None:
    snapshot = taken()
    run_key = training_of_candidates.make_run_key(catalog, model, snapshot)
    first = tracking.begin_run(MODEL, run_key, "a run", training_of_candidates.clock.now())
    mlflow_store.mlflow_client().delete_run(first)
    candidate, _ = train(catalog, model, snapshot, "a test")
    assert candidate.mlflow_run_id == first
    assert _run(candidate).info.lifecycle_stage == "active"


def test_its_run_names_what_it_read_and_where_it_came_from(catalog: Catalog, model: ModelConfig) -> None:
    tags = {"evergreen.dag_id": f"{MODEL}.train", "evergreen.dag_run_id": "manual__1", "evergreen.task_url": "http://127.0.0.1:8080/x"}
    snapshot = taken()
    candidate, _ = train(catalog, model, snapshot, "a test", tags=tags)
    run = _run(candidate)
    assert tags.items() <= run.data.tags.items()
    inputs = {each.tags[0].value: each.dataset for each in run.inputs.dataset_inputs}
    assert inputs.keys() == {"training", "holdout"}
    for dataset in inputs.values():
        assert snapshot.digest.startswith(dataset.digest)
        source = json.loads(dataset.source)
        assert source["snapshot"] == snapshot.digest
        assert source["uri"].endswith(snapshot.frame_path)
        assert "hour" in dataset.schema
    assert json.loads(inputs["holdout"].profile)["last"] == candidate.facts["holdout_last"]
    assert json.loads(inputs["training"].profile)["num_rows"] == candidate.facts["fit_rows"]


def test_each_trial_is_a_run_nested_in_the_candidates(catalog: Catalog) -> None:
    model = tuned()
    candidate, _ = train(catalog, model, taken(), "a test")
    nested = _trials(candidate)
    assert len(nested) == TRIALS == len(candidate.facts["tuning"]["trials"])
    for run, trial in zip(nested, candidate.facts["tuning"]["trials"], strict=True):
        assert run.data.tags["mlflow.parentRunId"] == candidate.mlflow_run_id
        assert float(run.data.params["C"]) == trial["parameters"]["C"]
        assert run.data.metrics["auc"] == trial["score"]
    best = candidate.facts["tuning"]["trials"][candidate.facts["tuning"]["best"] - 1]
    assert candidate.facts["parameters"] == best["parameters"]
    assert float(_run(candidate).data.params["C"]) == best["parameters"]["C"]
    again, is_new = train(catalog, model, taken(), "a test")
    assert (again, is_new) == (candidate, False)
    assert len(_trials(candidate)) == TRIALS


@pytest.mark.usefixtures("lightgbm")
def test_an_estimator_that_cannot_be_stored_is_refused_before_any_run_is_begun(catalog: Catalog) -> None:
    model = _declaring(catalog.model(MODEL), estimator=LIGHTGBM, parameters={"n_estimators": 5})
    with pytest.raises(ConfigError, match="it holds .*lightgbm.basic.Booster, lightgbm.sklearn.LGBMClassifier.*train.trusted_types: "):
        train(catalog, model, taken(), "a test")
    assert len(rows_of(run_claims)) == len(rows_of(candidates)) == 1  # the cycle's


def test_what_is_refused_at_fitting_leaves_a_failed_run_and_the_retry_that_succeeds_clears_it(
    catalog: Catalog, model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = taken()
    with monkeypatch.context() as patch:
        patch.setattr(fit_job, "fit_chosen", _raising)
        with pytest.raises(DataError, match="for this test"):
            train(catalog, model, snapshot, "a test")
    assert _claimed().info.status == "FAILED"
    assert _claimed().data.tags["evergreen.failed_because"] == "for this test"
    candidate, _ = train(catalog, model, snapshot, "a test")
    run = _run(candidate)
    assert run.info.run_id == _claimed().info.run_id
    assert run.info.status == "FINISHED"
    assert "evergreen.failed_because" not in run.data.tags


@pytest.mark.usefixtures("lightgbm")
def test_what_the_config_allows_by_name_is_stored_loaded_and_predicts_the_same(catalog: Catalog) -> None:
    model = _declaring(catalog.model(MODEL), estimator=LIGHTGBM, parameters={"n_estimators": 5}, trusted_types=LIGHTGBM_TYPES)
    snapshot = taken()
    candidate, _ = train(catalog, model, snapshot, "a test")
    loaded = mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest, model.train.trusted_types)
    rows = snapshot.frame()
    fit_rows, holdout = fit_job.split_by_time(model, rows)
    chosen, measures = training_of_candidates.read_chosen(candidate, model), Measures.trained(model, candidate.facts)
    fitted = fit_job.fit_chosen(model, fit_rows, holdout, chosen, measures)
    assert np.array_equal(fit_job.predict(loaded, model, rows), fit_job.predict(fitted.pipeline, model, rows))
    with pytest.raises(DataError, match="lightgbm"):
        mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest)


def test_while_mlflow_does_not_answer_a_candidate_that_is_recorded_is_still_found(
    catalog: Catalog, model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = taken()
    candidate, _ = train(catalog, model, snapshot, "a test")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert train(catalog, model, snapshot, "again") == (candidate, False)
    with pytest.raises(TransientError, match="could not be used"):
        train(catalog, _declaring(model, seed=6), snapshot, "another")


def test_a_file_is_put_into_the_run_and_a_second_of_that_name_replaces_it(catalog: Catalog) -> None:
    run_id = str(rows_of(candidates)[0].mlflow_run_id)
    tracking.log_file(run_id, "test/decision.json", "{}")
    tracking.log_file(run_id, "test/decision.json", b'{"verdict": "blessed"}')
    tracking.log_file(run_id, "card.html", "<p>")
    client = mlflow_store.mlflow_client()
    assert [each.path for each in client.list_artifacts(run_id, "test")] == ["test/decision.json"]
    assert Path(client.download_artifacts(run_id, "test/decision.json")).read_text() == '{"verdict": "blessed"}'
    assert "card.html" in [each.path for each in client.list_artifacts(run_id)]


def test_storing_a_model_does_not_look_through_all_that_is_installed(
    catalog: Catalog, model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes MLflow longer than the rest of a training, in each process."""
    from mlflow.utils import requirements_utils

    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    monkeypatch.setattr(requirements_utils.importlib_metadata, "packages_distributions", lambda: pytest.fail("it looked"))
    train(catalog, model, taken(), "a test")
    assert requirements_utils._MODULES_TO_PACKAGES is None


def _declaring(model: ModelConfig, **train: Any) -> ModelConfig:
    declared = {**model.train.model_dump(mode="json", exclude_defaults=True), **train}
    return model.model_copy(update={"train": Train.model_validate(declared)})


def _raising(*_: object) -> None:
    raise DataError("for this test")


def _run(candidate: Candidate) -> Run:
    return mlflow_store.mlflow_client().get_run(candidate.mlflow_run_id)


def _claimed() -> Run:
    """The run of the newest claim, and no other run is active beside the cycle's."""
    newest = max(rows_of(run_claims), key=lambda row: str(row.recorded_at))
    client = mlflow_store.mlflow_client()
    assert len(client.search_runs([client.get_experiment_by_name(MODEL).experiment_id])) == 2
    return client.get_run(str(newest.mlflow_run_id))


def _trials(candidate: Candidate) -> list[Run]:
    client = mlflow_store.mlflow_client()
    experiment = client.get_experiment_by_name(MODEL).experiment_id
    found = client.search_runs([experiment], f"tags.`evergreen.trial_of` = '{candidate.run_key}'")
    return sorted(found, key=lambda run: int(run.data.tags["evergreen.trial"]))
