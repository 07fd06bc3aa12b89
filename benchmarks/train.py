"""What a training costs around the fit: snapshot, features, logging, registration and model card, beside the bare fit and evaluation.

    python -m benchmarks.train [--json] [--rounds N] [--small]

On the flights, in one process whose libraries are loaded (as Airflow's tasks find them), each model on its declared window of
60 days: a round trains as of the next day. The bare side is what a notebook would do on the same frame: fit the pipeline, predict
the holdout, measure. Both sides' metrics must be the same. Beside the two models that ship, `flight_delay` is also trained with
gradient boosting, and with tuning; tuning's bare side is the time of its trials and its last fit, as the candidate recorded it.

The gate is listed apart: it evaluates too, and loads the artifact in a clean process, which costs that process's imports.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.outcome import DATASETS
from benchmarks.report import Report, arguments, differences, run_benchmark, say
from benchmarks.scratch import land, not_ingested
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.training import Train
from include.evergreen.data import ingestion
from include.evergreen.features.columns import TARGET
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.gates.decide import decide
from include.evergreen.promotion.cards import ensure_card
from include.evergreen.registry import champions
from include.evergreen.serving.inference import one_thread
from include.evergreen.state import mlflow_store
from include.evergreen.state.database import migrate
from include.evergreen.training.fit_job import split_by_time
from include.evergreen.training.metrics import Measures
from include.evergreen.training.pipeline import build_pipeline, fit, predict
from include.evergreen.training.snapshot import Snapshot
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train

FIRST_DAY = "2013-01-01"
ROUNDS = 3
MOST_ROUNDS = 20
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
BOOSTINGS_OWN = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)  # which skops does not load unasked


@dataclass(frozen=True)
class Form:
    """As of the day after ``as_of`` is the first round; without ``models`` all of them are trained."""

    as_of: Partition
    rounds: int
    rehearsals: int = 1
    models: tuple[str, ...] = ()


FULL_AS_OF = "2013-03-04"  # from here on, 60 days before it have all that they need
SMALL = Form("2013-01-17", rounds=1, rehearsals=0, models=("flight_delay",))
AROUND = ("snapshot", "train_around_fit", "register", "card")
T = TypeVar("T")


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, choices=range(1, MOST_ROUNDS + 1), help=f"take the median of this many (default: {ROUNDS})"
    )
    options = parser.parse_args(given)
    form = SMALL if options.small else Form(FULL_AS_OF, options.rounds)
    return run_benchmark("train", lambda folder: _measure(folder, form), as_json=options.json)


def _measure(folder: Path, form: Form) -> Report:
    catalog = Catalog()
    last = DAILY.shift(form.as_of, form.rounds)
    _prepare(folder / "home", catalog, last)
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    found: list[str] = []
    for name, model in _models(catalog).items():
        if form.models and name not in form.models:
            continue
        measured = []
        for number in range(1 - form.rehearsals, form.rounds + 1):
            as_of = DAILY.shift(form.as_of, number)
            say(f"{name}: {'a rehearsal' if number < 1 else f'round {number} of {form.rounds}'}, as of {as_of}")
            seconds, words = _train_once(catalog, model, as_of)
            found += [f"{name}: {each}" for each in words]
            say(", ".join(f"{part} {value:.2f} s" for part, value in seconds.items()))
            if number >= 1:
                measured.append(seconds)
            else:
                figures[f"{name}.first_card_s"] = seconds["card"]
        median = {part: statistics.median(each[part] for each in measured) for part in measured[0]}
        around = sum(median[part] for part in AROUND)
        figures[f"{name}.s"] = {**median, "around": around}
        ratios[f"around_over_fit.{name}"] = around / median["fit_and_evaluation"]
        ratios[f"around_over_fit_and_gate.{name}"] = around / (median["fit_and_evaluation"] + median["gate"])
    return Report("train", figures, ratios, found)


def _models(catalog: Catalog) -> dict[str, ModelConfig]:
    """The models that ship, and two that a team would come to; a gate that evaluates all, and lets every candidate through."""
    flight_delay, air_time = catalog.model("flight_delay"), catalog.model("air_time")
    own = {"schedule", "trusted_types", "estimator", "parameters", "search", "estimators", "tune"}
    window = flight_delay.train.model_dump(exclude=own, exclude_unset=True)
    boosting = Train(estimator=BOOSTING, parameters={"max_iter": 300, "early_stopping": False}, trusted_types=BOOSTINGS_OWN, **window)
    search = {"learning_rate": {"log_uniform": (0.02, 0.3)}, "max_leaf_nodes": {"integers": (8, 64)}}
    tuned = Train.model_validate(
        {
            "estimator": BOOSTING,
            "parameters": {"early_stopping": False},
            "search": search,
            "tune": {"candidates": 6},
            "trusted_types": BOOSTINGS_OWN,
            **window,
        }
    )
    chosen = {
        "flight_delay": flight_delay,
        "air_time": air_time,
        "boosting": flight_delay.model_copy(update={"train": boosting}),
        "tuned_boosting": flight_delay.model_copy(update={"train": tuned}),
    }
    return {name: model.model_copy(update={"gate": model.gate.model_copy(update={"mode": "dry_run"})}) for name, model in chosen.items()}


def _prepare(home: Path, catalog: Catalog, last: Partition) -> None:
    """All that is known as of the last round, ingested."""
    say("the flights until then are ingested")
    land(home, DAILY.between(FIRST_DAY, last))
    migrate()
    mlflow_store.prepare_store()
    for name, day in not_ingested(DATASETS, DAILY.between(FIRST_DAY, last)):
        ingestion.ingest(catalog.dataset(name), day, "backfill")


def _train_once(catalog: Catalog, model: ModelConfig, as_of: Partition) -> tuple[dict[str, float], list[str]]:
    """Seconds by part, and in words where our metrics differ from those of the bare side."""
    seconds: dict[str, float] = {}

    def timed(part: str, function: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = function()
        seconds[part] = time.perf_counter() - began
        return result

    snapshot = timed("snapshot", lambda: take_snapshot(catalog, model, as_of))
    candidate, is_new = timed("train", lambda: train(catalog, model, snapshot, "a benchmark"))
    assert is_new
    seconds["train_around_fit"] = seconds.pop("train") - candidate.facts["fit_seconds"]
    if candidate.facts["tuning"] is None:
        bare = timed("fit_and_evaluation", lambda: _fit_barely(model, snapshot))
        words = differences(candidate.metrics, bare, tolerance={}, where=f"metrics as of {as_of}")
    else:
        seconds["fit_and_evaluation"], words = candidate.facts["fit_seconds"], []
    timed("gate", lambda: decide(catalog, model, candidate))
    version = timed("register", lambda: champions.register(model.name, candidate.run_key))
    timed("card", lambda: ensure_card(catalog, model, version))
    return seconds, words


def _fit_barely(model: ModelConfig, snapshot: Snapshot) -> dict[str, float]:
    fit_rows, holdout = split_by_time(model, snapshot.frame())
    names = model.feature_names
    pipeline = build_pipeline(model)
    with one_thread():
        fit(pipeline, model, fit_rows[names], fit_rows[TARGET].to_numpy())
        return Measures.trained(model, {}).measure(holdout[TARGET].to_numpy(), predict(pipeline, model, holdout[names]))


if __name__ == "__main__":
    sys.exit(main())
