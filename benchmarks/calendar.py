"""When rules would have fired in 2013, and when performance really fell: one champion of January, replayed from February to December.

    python -m benchmarks.calendar [--json] [--small] [--home FOLDER] [--pictures FOLDER] [--nannyml PYTHON]

Each day of the example's two models is scored and monitored by our own code, without Airflow (`benchmarks.calendar_year`; some minutes,
and none again with the same ``--home``). Rules are replayed as `evergreen replay-triggers` does, which also draws the pictures.

What counts was written down before anything was measured:

- performance *fell* on a day when its realised figure (log loss, or the mean absolute error) is beyond the upper end of the .95 prediction
  interval of one more day like those of the champion's holdout (Student's t over their daily figures, one-sided);
- a rule *trips* on a day, and is *right* when performance fell on that day or on one of the two before or after it;
- ``precision``: the share of the days on which it trips that are right; ``recall``: the share of the fallen days that have such a day at
  most two days away; ``precision_by_lot`` and ``recall_by_lot`` are those of tripping as often on days drawn by lot;
- ``fired``: how often a training would be fired, with the cool-down, and ``precision_fired`` of these.

Beside them stand Evidently's DataDriftPreset as it is (a day trips when half of the columns drifted), on the same sample and days, and
NannyML as it is, with ``--nannyml`` (the Python of an environment that has it; `benchmarks/plain/alerts_of_nannyml.py`).
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.calendar_year import HOLDOUT, MODELS, REFERENCE, SCORED, replay
from benchmarks.report import Report, arguments, run_benchmark, say
from benchmarks.scratch import MeasuredProcessError, run_python, use_home
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.monitoring import Rule
from include.evergreen.features.columns import PARTITION, PREDICTION, TARGET
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.monitoring import Observation, list_observations
from include.evergreen.monitoring.triggers import replay_rules

AS_OF, LAST = "2013-02-01", "2013-12-31"
SMALL_AS_OF, SMALL_LAST = "2013-01-16", "2013-01-18"
FIGURE = {"flight_delay": "log_loss", "air_time": "mae"}
CONFIDENCE = 0.95
NEAR_DAYS = 2
LEAST_ROWS = 100  # labelled, of a day on which performance is said to have fallen or not
HALF = 0.5
TRIED: Mapping[str, Sequence[Rule]] = {
    "flight_delay": (
        Rule(metric="prediction_drift.score", above=1, k=1, n=1),
        Rule(metric="drift.share", above=0.2, k=1, n=1),
        Rule(metric="estimated.log_loss", above=0.8, k=1, n=1),
        Rule(metric="performance.log_loss", above=0.8, k=1, n=1),
        Rule(metric="concept_drift.score", above=1, k=1, n=1),
    ),
    "air_time": (
        Rule(metric="prediction_drift.score", above=1, k=1, n=1),
        Rule(metric="estimated.mae", above=15, k=1, n=1),
        Rule(metric="performance.mae", above=15, k=2, n=3),
        Rule(metric="concept_drift.score", above=1, k=1, n=1),
    ),
}


@dataclass(frozen=True)
class Year:
    """The days on which something could be said, and those on which realised performance fell."""

    days: list[Partition]
    fallen: set[Partition]
    bound: float
    realised: dict[Partition, float]

    def near(self, days: Collection[Partition]) -> set[Partition]:
        """These days, and those within `NEAR_DAYS` of any."""
        return {DAILY.shift(day, by) for day in days for by in range(-NEAR_DAYS, NEAR_DAYS + 1)}

    def judge(self, tripped: Collection[Partition]) -> dict[str, float]:
        """How well a method told: see the module. A share of nothing is left out."""
        tripped = set(tripped) & set(self.days)
        found: dict[str, float] = {"days": len(tripped)}
        if tripped:
            found["precision"] = len(tripped & self.near(self.fallen)) / len(tripped)
        if self.fallen:
            found["recall"] = len(self.fallen & self.near(tripped)) / len(self.fallen)
            found["recall_by_lot"] = 1 - (1 - len(tripped) / len(self.days)) ** (2 * NEAR_DAYS + 1)
        return found


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--home", type=Path, help="where the replayed year is kept, and found the next time (default: it is not kept)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw each model's calendar there, as replay-triggers does")
    parser.add_argument("--nannyml", metavar="PYTHON", help="the Python of an environment that has NannyML")
    options = parser.parse_args(given)
    as_of, last, models = (SMALL_AS_OF, SMALL_LAST, MODELS[:1]) if options.small else (AS_OF, LAST, MODELS)

    def measure(folder: Path) -> Report:
        home = options.home.absolute() if options.home else folder / "home"
        replay(home, models, as_of, last, judged=not options.small)
        use_home(home)
        figures: dict[str, Any] = {"from": as_of, "to": last}
        wrong: list[str] = []
        for name in models:
            figures[name], words = _of_model(Catalog().model(name), home / "calendar" / name, options.nannyml, small=options.small)
            wrong += words
            if options.pictures:
                picture = options.pictures / f"calendar-{name.replace('_', '-')}.svg"
                run_python("include.evergreen", "replay-triggers", name, "--from", as_of, "--to", last, "--output", picture)
        return Report("calendar", figures, {}, wrong)

    return run_benchmark("calendar", measure, as_json=options.json)


def _of_model(model: ModelConfig, folder: Path, nannyml: str | None, *, small: bool) -> tuple[dict[str, Any], list[str]]:
    observed = list_observations(model.name)
    reference, holdout, scored = (pd.read_parquet(folder / name) for name in (REFERENCE, HOLDOUT, SCORED))
    year = _year(model, holdout, observed)
    figures: dict[str, Any] = {
        "days": len(year.days),
        f"{FIGURE[model.name]} of a fallen day, at least": year.bound,
        "fallen": len(year.fallen),
        "precision_by_lot": len(year.near(year.fallen) & set(year.days)) / len(year.days),
    }
    for rule in model.retrain.rules:
        figures[f"shipped: {rule.name}"] = _judged(year, model, [rule], observed)
    figures["shipped: all rules"] = _judged(year, model, model.retrain.rules, observed)
    for rule in TRIED[model.name]:
        figures[f"tried: {rule.name}"] = _judged(year, model, [rule], observed)
    if not small:
        say(f"{model.name}: Evidently's preset, day by day")
        figures["Evidently: half of the columns drifted"] = year.judge(_evidently(reference, scored))
    if nannyml:
        say(f"{model.name}: NannyML")
        alerts = _nannyml(nannyml, folder, model.task)
        figures["NannyML"] = {"version": alerts.pop("version")}
        figures |= {f"NannyML: {what}": year.judge(days) for what, days in alerts.items()}
    return figures, _differences(model, year, scored)


def _year(model: ModelConfig, holdout: pd.DataFrame, observed: Sequence[Observation]) -> Year:
    metric = f"performance.{FIGURE[model.name]}"
    realised = {each.partition: each.value for each in observed if each.metric == metric and each.rows >= LEAST_ROWS}
    of_days = [_realised(model.name, rows) for _, rows in holdout.groupby(holdout[PARTITION].astype(str)) if len(rows) >= LEAST_ROWS]
    spread = float(np.std(of_days, ddof=1)) * math.sqrt(1 + 1 / len(of_days))
    bound = float(np.mean(of_days)) + float(stats.t.ppf(CONFIDENCE, len(of_days) - 1)) * spread
    return Year(sorted(realised), {day for day, value in realised.items() if value > bound}, bound, realised)


def _realised(model: str, rows: pd.DataFrame) -> float:
    """Plainly, the figure of one day."""
    rows = rows.dropna(subset=[TARGET])
    truth, predicted = rows[TARGET].to_numpy(dtype="float64"), rows[PREDICTION].to_numpy(dtype="float64")
    if FIGURE[model] == "mae":
        return float(np.abs(truth - predicted).mean())
    return float(-np.log(np.where(truth == 1, predicted, 1 - predicted)).mean())


def _judged(year: Year, model: ModelConfig, rules: Sequence[Rule], observed: Sequence[Observation]) -> dict[str, float]:
    changed = model.model_copy(update={"retrain": model.retrain.model_copy(update={"rules": tuple(rules)})})
    replayed = replay_rules(changed, observed)
    fired = [each.partition for each in replayed if each.held_until is None]
    of_fired = year.judge(fired)
    found = year.judge([each.partition for each in replayed]) | {"fired": of_fired["days"]}
    return found | ({"precision_fired": of_fired["precision"]} if "precision" in of_fired else {})


def _evidently(reference: pd.DataFrame, scored: pd.DataFrame) -> list[Partition]:
    from evidently import DataDefinition, Dataset
    from evidently import Report as EvidentlyReport
    from evidently.presets import DataDriftPreset

    columns = [name for name in reference.columns if name not in {PARTITION, TARGET}]
    numbers = [name for name in columns if pd.api.types.is_numeric_dtype(reference[name])]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=[name for name in columns if name not in numbers])
    plain = {name: object for name in columns if name not in numbers}
    before = Dataset.from_pandas(reference[columns].astype(plain), definition)
    days = []
    for day, rows in scored.groupby(scored[PARTITION].astype(str)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = EvidentlyReport([DataDriftPreset()])
            told = report.run(current_data=Dataset.from_pandas(rows[columns].astype(plain), definition), reference_data=before).dict()
        share = next(each["value"]["share"] for each in told["metrics"] if isinstance(each["value"], dict) and "share" in each["value"])
        if share >= HALF:
            days.append(str(day))
    return days


def _nannyml(python: str, folder: Path, task: str) -> dict[str, Any]:
    command = [python, str(Path(__file__).with_name("plain") / "alerts_of_nannyml.py"), str(folder), task]
    quiet = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1"}  # it would tell its makers
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", env=quiet)
    if done.returncode:
        raise MeasuredProcessError(f"{python} with NannyML failed with {done.returncode}:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _differences(model: ModelConfig, year: Year, scored: pd.DataFrame) -> list[str]:
    """In words, where what monitoring realised is not what the rows say plainly."""
    found = []
    for day, rows in scored.groupby(scored[PARTITION].astype(str)):
        if str(day) in year.realised and abs(_realised(model.name, rows) - year.realised[str(day)]) > 1e-6:
            found.append(f"{model.name} {day}: {year.realised[str(day)]} was observed, {_realised(model.name, rows)} is plain")
    return found


if __name__ == "__main__":
    sys.exit(main())
