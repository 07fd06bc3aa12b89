"""What a training computes, from rows to files in one folder, wherever it runs: it needs no database, no MLflow and no storage.

So a container gets the rows and the declaration, and nothing else of the deployment (`container`).
"""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.evergreen.config import ModelConfig
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.classes import MOST_CLASSES
from include.evergreen.features.class_columns import as_table, class_columns
from include.evergreen.features.columns import PARTITION, PREDICTION, TARGET, feature_column, features_of
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Grain
from include.evergreen.foundation.team_code import Modules
from include.evergreen.serving.inference import as_fitted, classes_of, one_thread
from include.evergreen.training import tracking
from include.evergreen.training.environment import environment
from include.evergreen.training.fitting import learn, learnable, newest_apart
from include.evergreen.training.metrics import THRESHOLD_FACT, Measures
from include.evergreen.training.own_metrics import refuse_unfit
from include.evergreen.training.pipeline import MIN_CATEGORY_ROWS, Chosen, predict
from include.evergreen.training.snapshot import Snapshot
from include.evergreen.training.thresholds import decision_threshold
from include.evergreen.training.tuning import TuningResult, check_choices, choose

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)
JOB, FRAME = "job.json", "frame.parquet"  # what `fit_in_folder` reads
OUTCOME, MODEL, REFERENCE, HOLDOUT = "outcome.json", "model", "reference.parquet", "holdout.parquet"  # and writes
HOLDOUT_ROWS = 5000  # of a holdout, that are kept at most: each window that is estimated weighs them anew


@dataclass(frozen=True)
class Outcome:
    """What was fitted and how well; beside it lie the fitted model (`MODEL`) and samples of rows (`REFERENCE`, and `HOLDOUT`).

    ``training`` and ``holdout`` have the number of rows and the first and last day of each. ``threshold`` is the decision threshold, of
    a classification; ``classes`` are those that were learnt, where there may be several.
    """

    result: TuningResult
    metrics: dict[str, float]
    environment: dict[str, Any]
    python: str
    fit_seconds: float
    training: tuple[int, str, str]
    holdout: tuple[int, str, str]
    threshold: float | None = None
    classes: tuple[str, ...] = ()


Settle = Callable[[TuningResult], TuningResult]  # keeps a choice for all attempts, and returns the one that counts
Attempt = Callable[[TuningResult | None, Settle, Path], Outcome]  # the choice that counts already, if one does; where the files go
# refuses what it can before anything is recorded; the modules are those in the model's folder that its recipe holds
Fitter = Callable[[ModelConfig, Snapshot, Modules], Attempt]


def fit_here(model: ModelConfig, snapshot: Snapshot, modules: Modules) -> Attempt:
    """Fit in this process: the `Fitter` of the worker and the command line. Raises what `train` does for rows and estimators.

    :param model: the model as it is declared now
    :param snapshot: the rows to train on, which are read at once
    :param modules: those in the model's folder, as the recipe holds them: of the model's own metrics
    :returns: the attempt, which fits when it is called
    """
    subject = f"{model.name} as of {snapshot.as_of}"
    fit_rows, holdout = _usable_rows(model, subject, snapshot.frame(), modules)
    return partial(_fit, model, modules, subject, fit_rows, holdout)


def write_job(folder: Path, model: ModelConfig, snapshot: Snapshot, modules: Modules, kept: TuningResult | None) -> None:
    """Write what `fit_in_folder` reads besides the training frame.

    :param folder: which must be there; gets `JOB`
    :param model: the model, as it is declared
    :param snapshot: whose frame is beside it
    :param modules: those in the model's folder, as the recipe holds them
    :param kept: the choice that counts already; None: it chooses
    """
    job = {
        "model": model.model_dump(mode="json", exclude_defaults=True),
        "modules": dict(modules),
        "calendar": asdict(model.calendar),
        "subject": f"{model.name} as of {snapshot.as_of}",
        "kept": asdict(kept) if kept else None,
    }
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")


def fit_in_folder(folder: Path, results: Path) -> None:
    """Fit what `write_job` wrote, from and to files alone; raises `DataError` and `ConfigError` as `train` does.

    :param folder: has `JOB` and `FRAME`
    :param results: an empty folder, which gets `OUTCOME`, `MODEL`, `REFERENCE` and `HOLDOUT`
    """
    import pandas as pd

    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    calendar = Calendar(Grain(**job["calendar"]["grain"]), job["calendar"]["cron"])
    model = ModelConfig.model_validate(job["model"]).with_calendars(lambda _: calendar)  # fitting asks for that of its rows alone
    modules = tuple(job["modules"].items())
    rows = _usable_rows(model, job["subject"], pd.read_parquet(folder / FRAME), modules)
    outcome = _fit(
        model, modules, job["subject"], *rows, _tuning_result(job["kept"]) if job["kept"] else None, lambda result: result, results
    )
    (results / OUTCOME).write_text(json.dumps(asdict(outcome)), encoding="utf-8")


def read_outcome(results: Path) -> Outcome:
    """Read what `fit_in_folder` wrote; raises OSError, KeyError, TypeError or ValueError when it is not there or not whole.

    :param results: the folder that was given to it
    :returns: what was fitted, and how well; its files stay where they are
    """
    written = json.loads((results / OUTCOME).read_text(encoding="utf-8"))
    for rows in ("training", "holdout"):
        number, first, last = written[rows]
        written[rows] = (int(number), str(first), str(last))
    return Outcome(**{**written, "result": _tuning_result(written["result"]), "classes": tuple(written.get("classes", ()))})


def split_by_time(model: ModelConfig, frame: pd.DataFrame, first: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a training frame into the rows to fit on and the holdout.

    :param model: the model, whose ``train.holdout`` says how long the holdout is
    :param frame: the rows that the training read, in any order
    :param first: the first partition of the holdout, as a training recorded it; None: as the model declares it
    :returns: the rows to fit on, and the holdout, which ends with the newest partition of the frame; either may have no rows, both keep
        index and order. Rows of which no class can be learned are in the holdout alone
    """
    if first is None:
        fit_rows, holdout = newest_apart(model, frame, model.train.holdout)
    else:
        fit_rows, holdout = frame[frame[PARTITION] < first], frame[frame[PARTITION] >= first]
    return learnable(model, fit_rows), holdout


@dataclass(frozen=True)
class Fitted:
    """A pipeline fitted on a training's rows, its metrics on the holdout, and the `environment` it was fitted in."""

    pipeline: Pipeline
    metrics: dict[str, float]
    environment: dict[str, Any]


def fit_chosen(model: ModelConfig, fit_rows: pd.DataFrame, holdout: pd.DataFrame, chosen: Chosen, measures: Measures) -> Fitted:
    """Fit and measure as a training does, with no effect on anything outside: equal rows and an equal choice give equal bits.

    :param model: the model, as its recipe declares it
    :param fit_rows: the rows of the training frame to fit on
    :param holdout: the rows of the training frame to measure on
    :param chosen: the estimator and its parameters
    :param measures: how it is measured
    :returns: the fitted pipeline, its metrics on the holdout and the environment
    """
    pipeline = learn(model, fit_rows, chosen)
    with one_thread():
        predicted = predict(pipeline, model, features_of(holdout, model.feature_names))
    if model.task != "multiclass":
        return Fitted(pipeline, measures.measure(holdout[TARGET].to_numpy(), predicted), environment())
    own = classes_of(pipeline)
    measures = replace(measures, classes=own, own_classes=own).among(holdout[TARGET])
    return Fitted(pipeline, measures.measure(measures.labels(holdout[TARGET]), predicted), environment())


def sample_rows(model: ModelConfig, pipeline: Any, rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Draw a fixed sample of rows, with a candidate's predictions.

    Drift is measured against one of what it was fitted on (`REFERENCE`); its performance on rows without labels is estimated from one of
    the holdout (`HOLDOUT`), each time anew, so from fewer rows.

    :param model: the model, whose ``monitor.reference_rows`` and ``train.seed`` decide which rows are drawn
    :param pipeline: the fitted pipeline
    :param rows: rows of the training frame
    :param name: which sample it is
    :returns: the drawn rows in their order, with the column ``prediction``: of several classes the likeliest, as text, and of the holdout
        all columns of what is served
    """
    most = min(model.monitor.reference_rows, len(rows), *([HOLDOUT_ROWS] if name == HOLDOUT else []))
    sample = rows.sample(n=most, random_state=model.train.seed).sort_index().reset_index(drop=True)
    predicted = predict(pipeline, model, features_of(sample, model.feature_names))
    if model.task != "multiclass":
        return sample.assign(**{PREDICTION: predicted})
    served = as_table(class_columns(predicted, classes_of(pipeline))).to_pandas()
    return sample.join(served if name == HOLDOUT else served[[PREDICTION]])


def typical_row(model: ModelConfig, rows: pd.DataFrame) -> pd.DataFrame:
    """One row that nobody has: of each number the median, of each category the most frequent, or none where all are rare.

    It goes to MLflow as the input example, from where a person's row could not be erased.

    :param model: the model, which declares the features
    :param rows: rows of a training frame, or of a reference sample
    :returns: a frame of one row, with the features in their declared order
    """
    import pandas as pd

    typical = {}
    for feature in model.features:
        column = rows[feature_column(feature.name)]
        if feature.kind == "numeric":
            typical[feature.name] = pd.Series([column.median()], dtype="float64")
        else:
            counts = column.value_counts()
            common = counts[counts >= MIN_CATEGORY_ROWS]
            typical[feature.name] = pd.Series([common.index[0] if len(common) and not feature.personal else None], dtype="string")
    return pd.DataFrame(typical)


def _fit(
    model: ModelConfig,
    modules: Modules,
    subject: str,
    fit_rows: pd.DataFrame,
    holdout: pd.DataFrame,
    kept: TuningResult | None,
    settle: Settle,
    results: Path,
) -> Outcome:
    began = time.monotonic()
    result = kept or settle(choose(model, fit_rows, modules=modules))
    threshold = decision_threshold(model, fit_rows, result.chosen)
    fitted = fit_chosen(model, fit_rows, holdout, result.chosen, Measures.trained(model, {THRESHOLD_FACT: threshold}, modules))
    seconds = time.monotonic() - began
    log.info(
        "%s: fitted on %d rows; on the holdout of %d rows: %s", subject, len(fit_rows), len(holdout),
        ", ".join(f"{name} {value:.4f}" for name, value in fitted.metrics.items()),
    )  # fmt: skip
    example = typical_row(model, fit_rows)
    given = fitted.pipeline.predict(as_fitted(example)) if model.task == "multiclass" else predict(fitted.pipeline, model, example)
    tracking.save(model, fitted.pipeline, as_fitted(example), given, results / MODEL)
    for name, rows in ((REFERENCE, fit_rows), (HOLDOUT, holdout)):
        sample_rows(model, fitted.pipeline, rows, name).to_parquet(results / name, index=False)
    return Outcome(
        result, fitted.metrics, fitted.environment, platform.python_version(), seconds, _extent(fit_rows), _extent(holdout), threshold,
        classes_of(fitted.pipeline) if model.task == "multiclass" else (),
    )  # fmt: skip


def _extent(rows: pd.DataFrame) -> tuple[int, str, str]:
    return len(rows), str(rows[PARTITION].min()), str(rows[PARTITION].max())


def _tuning_result(written: dict[str, Any]) -> TuningResult:
    return TuningResult(Chosen(**written["chosen"]), written["tuning"])


def _usable_rows(model: ModelConfig, subject: str, frame: pd.DataFrame, modules: Modules) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to fit on and the holdout; refused are rows of which nothing can be learnt, or on which nothing can be measured."""
    fit_rows, holdout = split_by_time(model, frame)
    left_out = len(frame) - len(fit_rows) - len(holdout)
    if left_out and not len(fit_rows):
        raise DataError(
            f"{subject}: no class has {model.target.min_class_rows} rows to fit on, as target.min_class_rows asks, and is declared if any "
            f"are. Choose a longer train.window_days, or another target.column."
        )
    for rows, message in ((fit_rows, "there are no rows to fit on"), (holdout, "the holdout has no rows")):
        if not len(rows):
            raise DataError(
                f"{subject}: {message}. The snapshot has rows of {frame[PARTITION].nunique()} "
                f"{model.grain.noun}s, of which train.holdout keeps the newest {model.train.holdout}. Ingest more, or choose a later as_of."
            )
    if model.task != "regression" and fit_rows[TARGET].nunique() < 2:
        raise DataError(
            f"{subject}: all {len(fit_rows)} rows to fit on have the same target, so there is "
            f"nothing to learn. Check target.{model.target.positive_text if model.task == 'classification' else 'column'} and the window."
        )
    if model.task == "multiclass" and (count := fit_rows[TARGET].nunique()) > MOST_CLASSES:
        raise DataError(
            f"{subject}: target.column {model.target.column} has {count} different values in the rows to fit on, and there may be at most "
            f"{MOST_CLASSES} classes. Declare target.classes, or choose a column of fewer values."
        )
    if left_out:
        log.warning("%s: %d rows teach nothing, as they are of classes that are too rare or not declared", subject, left_out)
    check_choices(model)
    refuse_unfit(model, modules)
    return fit_rows, holdout
