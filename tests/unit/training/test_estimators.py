"""Every classifier and regressor of scikit-learn does what its line in docs/guides/estimators.md says."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.utils import all_estimators

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import ModelConfig
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.serving.check import ERROR, PREDICTIONS, QUESTION, ROWS
from include.evergreen.serving.inference import as_fitted
from include.evergreen.state.mlflow_store import MODEL_FILE, folder_digest
from include.evergreen.training.fitting import learn
from include.evergreen.training.kept_rows import holds_rows
from include.evergreen.training.pipeline import CALIBRATED, Chosen, predict
from include.evergreen.training.rehearsal import rehearse
from include.evergreen.training.storable import stored
from tests.unit.flights import run_python
from tests.unit.training.synthetic_rows import FEATURES, LOGISTIC, synthetic_model, synthetic_rows

PAGE = (PROJECT_ROOT / "docs/guides/estimators.md").read_text()
VERDICTS = {"yes", "calibrated", "categories only", "one number only", "no"}


@dataclass(frozen=True)
class Line:
    """A line of the page's tables."""

    path: str
    kind: str
    verdict: str
    parameters: dict[str, Any]
    note: str

    def __str__(self) -> str:
        return self.path.rpartition(".")[2]


def _lines() -> list[Line]:
    lines = []
    for kind in ("classifier", "regressor"):
        section = PAGE.partition(f"\n## {kind.capitalize()}s\n")[2].partition("\n## ")[0]
        for path, verdict, rest in re.findall(r"^\| `(sklearn\.[\w.]+)` \| ([\w ]+) \| (.*)\|$", section, re.MULTILINE):
            parameters, _, note = rest.strip().removeprefix("`").partition("`") if rest.startswith("`") else ("", "", rest)
            lines.append(Line(path, kind, verdict, yaml.safe_load(f"{{{parameters}}}"), note.strip(" ;")))
    return lines


LINES = _lines()


@pytest.fixture(params=["classifier", "regressor"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def models(flight_delay: ModelConfig, air_time: ModelConfig) -> dict[str, ModelConfig]:
    """By the kind of estimator."""
    return {"classifier": flight_delay, "regressor": air_time}


def test_the_page_has_each_estimator_that_scikit_learn_ships(kind: str) -> None:
    ours = {line.path: line.verdict for line in LINES if line.kind == kind}
    assert set(ours.values()) <= VERDICTS
    theirs = {f"{type_.__module__.partition('._')[0]}.{name}" for name, type_ in all_estimators(kind)}
    assert ours.keys() == theirs, "add what is missing to docs/guides/estimators.md, with its verdict, and remove what is gone"


@pytest.mark.filterwarnings("ignore")
def test_what_the_page_says_trains_is_fitted_and_stored_and_predicts_the_same_in_a_clean_process(
    models: dict[str, ModelConfig], tmp_path: Path
) -> None:
    """One that answers all questions: most of what one costs is its start."""
    predicted, keepers = {}, set()
    for line in LINES:
        if line.verdict != "no":
            predicted[line.path], keeps_rows = _trained(line, models[line.kind], tmp_path / line.path)
            keepers |= {str(line)} if keeps_rows else set()
    assert len(predicted) > 75
    section = PAGE.partition("\n## Estimators that keep rows\n")[2].partition("\n## ")[0]
    names = re.findall(r"`(\w+\*?)`", section)
    assert keepers == {str(line) for line in LINES if any(fnmatch(str(line), name) for name in names)}
    answered = f"assert not any(check.main(folder) for folder in Path({str(tmp_path)!r}).iterdir())"
    run_python(f"from pathlib import Path\nfrom include.evergreen.serving import check\n{answered}")
    for path, here in predicted.items():
        assert not (tmp_path / path / ERROR).exists(), (tmp_path / path / ERROR).read_text()
        assert np.isfinite(here).all(), path
        assert np.array_equal(np.load(tmp_path / path / PREDICTIONS).view("int64"), here.view("int64")), path


@pytest.mark.filterwarnings("ignore")
def test_what_the_page_says_does_not_train_is_refused_for_the_reason_that_stands_there(kind: str, models: dict[str, ModelConfig]) -> None:
    model = synthetic_model(models[kind], estimator=LOGISTIC)
    for line in LINES:
        if line.kind == kind and line.verdict != "yes":
            with pytest.raises(ConfigError) as refused:
                rehearse(model, Chosen(line.path, line.parameters))
            assert line.note.partition(":")[0] in str(refused.value), line


@pytest.mark.filterwarnings("ignore")
def test_a_parameter_that_the_page_asks_for_is_needed(kind: str, models: dict[str, ModelConfig]) -> None:
    model = synthetic_model(models[kind], estimator=LOGISTIC)
    for line in LINES:
        if line.kind == kind and line.verdict == "yes" and line.parameters and "RadiusNeighbors" not in line.path:  # there by the rows
            with pytest.raises(ConfigError):
                rehearse(model, Chosen(line.path))


def _trained(line: Line, base: ModelConfig, folder: Path) -> tuple[np.ndarray, bool]:
    """What it predicts here, and whether its file holds rows that it was fitted on; file and question for the same lie in a folder."""
    declared: dict[str, Any] = {"estimator": line.path, "parameters": {**_few_rounds(line.path), **line.parameters}}
    if line.verdict == "calibrated":
        declared = {"estimator": CALIBRATED, "parameters": {"estimator": declared}}
    model = synthetic_model(base, **declared)
    if line.verdict in ("categories only", "one number only"):
        wanted = "categorical" if line.verdict == "categories only" else "numeric"
        model = model.model_copy(update={"features": [feature for feature in FEATURES if feature.kind == wanted][:1]})
    rows = synthetic_rows(days=4, rows_a_day=50, is_classified=model.task == "classification")
    if model.task == "regression":
        rows["target"] = rows["target"].abs() + 1
    older, newer = rows.iloc[:-31], rows.iloc[-31:][model.feature_names]  # an odd number, which no float of 32 bits fills
    pipeline = learn(model, older)
    artifact = folder / "artifact"
    artifact.mkdir(parents=True)
    file, _ = stored(model, pipeline)
    (artifact / MODEL_FILE).write_bytes(file)
    question = {"task": model.task, "trusted_types": [], "artifact_uri": artifact.as_uri(), "artifact_digest": folder_digest(artifact)}
    (folder / QUESTION).write_text(json.dumps(question))
    newer.to_parquet(folder / ROWS)
    return predict(pipeline, model, newer), holds_rows(file, pipeline[:-1].transform(as_fitted(older[model.feature_names])))


def _few_rounds(path: str) -> dict[str, int]:
    """They change how long it takes, and nothing of what the file holds."""
    module, _, name = path.rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    return {rounds: 3 for rounds in ("n_estimators", "max_iter") if rounds in parameters and (parameters[rounds].default or 0) > 3}
