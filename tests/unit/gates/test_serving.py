from __future__ import annotations

import errno
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import TransientError
from include.evergreen.gates import serving
from include.evergreen.gates.decide import decide
from include.evergreen.gates.evidence import Evidence, gather
from include.evergreen.gates.serving import ServingCheck
from include.evergreen.serving import check
from include.evergreen.serving.clean_processes import ADDRESS
from include.evergreen.training.candidate import Candidate
from tests.unit.flights import brief, january, lenient, run_python, trained_as_of

pytestmark = [pytest.mark.clean_process, pytest.mark.sqlite_only]

HOMEMADE = "from sklearn.linear_model import Ridge\n\n\nclass Homemade(Ridge):\n    pass\n"


@pytest.fixture(params=["a new interpreter", "forked by a server"])
def both_kinds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a gate is told does not depend on where its clean process comes from."""
    if request.param == "forked by a server":
        monkeypatch.setenv(ADDRESS, request.getfixturevalue("server_of_clean_processes"))


@pytest.fixture
def evidence(candidate: Candidate, air_time: ModelConfig) -> Evidence:
    return gather(Catalog(), air_time, candidate, None)


@pytest.mark.usefixtures("both_kinds")
def test_a_clean_process_predicts_the_same_for_all_rows_and_one_last_bit_is_a_difference(evidence: Evidence) -> None:
    with ServingCheck(evidence, 100) as serving:
        passed = serving.result()
        evidence.candidate.predicted[7] = np.nextafter(evidence.candidate.predicted[7], np.inf)
        failed = serving.result()
    assert (passed.verdict, passed.value) == ("passed", 1.0)
    assert (failed.verdict, "predicted differently for 1 of" in failed.message) == ("failed", True)
    assert " rows, by up to " in failed.message


def test_the_clean_process_brings_in_what_serving_needs_and_no_more(evidence: Evidence) -> None:
    """Its imports are most of what a gate takes."""
    with ServingCheck(evidence, 100) as serving:
        assert serving.result().verdict == "passed"
        code = (
            "import sys\nfrom pathlib import Path\nfrom include.evergreen.serving import check as serving_check\n"
            f"assert serving_check.main(Path({str(serving._folder)!r})) == 0\n"
            "print(sorted({'mlflow', 'sqlalchemy', 'pydantic', 'great_expectations', 'evidently', 'airflow'} & set(sys.modules)))\n"
            "print(sorted(name for name in sys.modules if name.startswith('include.evergreen.')))"
        )
        foreign, ours = run_python(code).splitlines()
    assert foreign == "[]"
    assert len(ours.split(",")) < 12, ours


def test_a_process_that_takes_too_long_is_ended_and_nothing_is_said_of_the_candidate(evidence: Evidence) -> None:
    with ServingCheck(evidence, 0.01) as serving:
        result = serving.result()
    assert (result.verdict, result.message) == ("not_evaluated", "a clean process did not load the artifact and score within 0.01 s")
    assert not [each for each in psutil.Process().children() if "include.evergreen.serving.check" in each.cmdline()]
    assert not serving._folder.exists()


def test_a_process_that_never_answers_is_killed(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(*_: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return started[0]

    monkeypatch.setattr(serving, "start_clean_process", start)
    with ServingCheck(evidence, 0.01) as serving_check:
        assert serving_check.result().verdict == "not_evaluated"
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.usefixtures("both_kinds")
def test_a_process_that_cannot_reach_the_store_is_worth_a_retry(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    object.__setattr__(evidence.judged, "artifact_uri", "mlflow-artifacts://127.0.0.1:9/model")
    with ServingCheck(evidence, 100) as serving, pytest.raises(TransientError, match="In the clean process"):
        serving.result()


class InThisProcess:
    """Answers as a clean process would, in this one, where a test can make the machine fail."""

    def __init__(self, folder: Path, _environment: object, errors: IO[bytes]) -> None:
        try:
            self.returncode = check.main(folder)
        except BaseException:
            errors.write(traceback.format_exc().encode())
            self.returncode = 1

    def wait(self, timeout: float | None = None) -> int:
        return self.returncode

    def poll(self) -> int:
        return self.returncode


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "start_clean_process", InThisProcess)


def raising(error: BaseException) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("in_this_process")
def test_what_the_machine_lacks_is_worth_a_retry_and_rejects_no_candidate(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("numpy.save", "skops.io.loads", "pandas.read_parquet", "include.evergreen.serving.inference.predicted"):
        for error in (MemoryError("Unable to allocate 3.7 TiB"), FULL):
            with monkeypatch.context() as failing, pytest.raises(TransientError, match="In the clean process: .*(memory|Memory|No space)"):
                failing.setattr(place, raising(error))
                with ServingCheck(evidence, 100) as served:
                    served.result()


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("place", "error"), [("pathlib.Path.write_text", FULL), ("pandas.read_parquet", ImportError("No module 'x'"))])
def test_a_process_that_gives_no_answer_rejects_no_candidate(
    place: str, error: Exception, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = InThisProcess.__init__

    def fail(process: InThisProcess, *arguments: Any) -> None:
        with monkeypatch.context() as failing:
            failing.setattr("include.evergreen.serving.inference.predicted", raising(FULL))
            failing.setattr(place, raising(error))
            start(process, *arguments)

    monkeypatch.setattr(InThisProcess, "__init__", fail)
    with ServingCheck(evidence, 100) as served:
        result = served.result()
    assert result.verdict == "not_evaluated"
    assert result.message == f"the clean process ended with exit code 1 and without an answer: {type(error).__name__}: {error}"


@pytest.mark.usefixtures("in_this_process")
def test_an_artifact_that_cannot_predict_is_rejected_and_quotes_nobody(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.evergreen.serving.inference.predicted", raising(ValueError("could not convert 'Ada' to float")))
    with ServingCheck(evidence, 100) as served:
        told = served.result()
        first, *others = evidence.model.features
        features = (first.model_copy(update={"personal": True}), *others)
        object.__setattr__(evidence, "model", evidence.model.model_copy(update={"features": features}))
        quiet = served.result()
    assert (told.verdict, quiet.verdict) == ("failed", "failed")
    assert told.message == "a clean process cannot load the artifact and score with it: ValueError: could not convert 'Ada' to float"
    assert quiet.message == "a clean process cannot load the artifact and score with it: ValueError"


@pytest.mark.usefixtures("both_kinds")
def test_an_estimator_that_only_this_process_knows_is_rejected(
    flights: Path, air_time: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trains, it loads and it predicts here; where it is to serve, it would not."""
    (tmp_path / "homemade.py").write_text(HOMEMADE)
    monkeypatch.syspath_prepend(str(tmp_path))
    train = {"estimator": "homemade.Homemade", "trusted_types": ("homemade.Homemade",)}
    model = brief(lenient(air_time))
    model = model.model_copy(update={"train": model.train.model_copy(update=train)})
    decision = decide(Catalog(), model, trained_as_of(model, january(14)))
    assert [each["verdict"] for each in decision.criteria] == ["passed", "failed"]
    assert decision.verdict == "rejected"
    assert "a clean process cannot load the artifact and score with it" in decision.message


@pytest.mark.parametrize(
    "train",
    [
        {"estimator": "sklearn.ensemble.HistGradientBoostingRegressor", "parameters": {"max_iter": 10}},
        {
            "estimator": "xgboost.XGBRegressor",  # which predicts numbers of 32 bits
            "parameters": {"n_estimators": 10},
            "trusted_types": ("xgboost.core.Booster", "xgboost.sklearn.XGBRegressor"),
        },
    ],
    ids=["HistGradientBoosting", "XGBoost"],
)
def test_boosted_trees_are_blessed(
    flights: Path, air_time: ModelConfig, train: dict[str, object], server_of_clean_processes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(str(train["estimator"]).partition(".")[0])  # xgboost-cpu has no wheels but for Linux on x86_64
    monkeypatch.setenv(ADDRESS, server_of_clean_processes)
    model = brief(lenient(air_time))
    model = model.model_copy(update={"train": model.train.model_copy(update=train)})
    decision = decide(Catalog(), model, trained_as_of(model, january(14)))
    assert decision.verdict == "blessed", decision.message
    assert "predicted the same for all" in decision.criteria[-1]["message"]
