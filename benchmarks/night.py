"""One night of one model through the real scheduler, beside a plain script that does the same in one cold process.

    python -m benchmarks.night [--json] [--nights N] [--no-preload]

A night: the day's schedule and yesterday's weather and outcomes arrive. They are ingested; the day is scored, its drift and
yesterday's performance are monitored; a candidate is trained, judged and, if it passes, promoted.

The scheduler's clock runs from just before the first trigger to the end of the last task. The training is triggered when its
inputs are published: in production its own schedule starts it, at about that time. The plain script's clock is that of its
whole process. The two take turns, each on a state of its own.
"""

from __future__ import annotations

import datetime as dt
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_memory_mb_during, proportional_memory_mb
from benchmarks.plain_script import PlainScript
from benchmarks.report import Report, arguments, differences, say
from benchmarks.scheduler import MODEL, Night, airflow_for_nights, anatomy, decided, ingested_in, run_night
from benchmarks.scratch import MeasuredProcessError, run_python, scratch_folder, use_home
from include.evergreen.clock import days
from include.evergreen.errors import EvergreenError
from include.evergreen.monitoring import observations_of
from include.evergreen.partitions import current_partition
from include.evergreen.registry.champions import champion_for
from include.evergreen.scoring import find_predictions
from include.evergreen.triggers import firings_of
from tools.landing_zone import COLUMNS, lay_out

FIRST_NIGHT = dt.date(2013, 2, 2)  # benchmarks.night_state prepares what is known before it
LAST_NIGHT = dt.date(2013, 2, 8)  # then comes the blizzard, and with it firings
NIGHTS = 5
LANDED = days(dt.date(2013, 1, 1), LAST_NIGHT)
# Our features round a mean once, the script's at each addition; a fit makes 1e-11 of the last bit.
TOLERANCE = {"predictions": 1e-9, "drift": 1e-9, "performance": 1e-9, "candidate": 1e-9}


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    most = (LAST_NIGHT - FIRST_NIGHT).days
    parser.add_argument(
        "--nights", type=int, default=NIGHTS, choices=range(1, most + 1), help=f"take the median of this many (default: {NIGHTS})"
    )
    parser.add_argument("--no-preload", action="store_true", help="measure the scheduler's nights once more, without preloaded modules")
    options = parser.parse_args(given)
    try:
        with scratch_folder("night") as folder:
            return _measure(folder, options.nights, without_preloading=options.no_preload).print(as_json=options.json)
    except KeyboardInterrupt:
        say("Stopped. Nothing is left running.")
        return 130
    except (EvergreenError, MeasuredProcessError) as error:
        say(str(error))
        return 1


def _measure(folder: Path, count: int, *, without_preloading: bool) -> Report:
    nights = days(FIRST_NIGHT, FIRST_NIGHT + dt.timedelta(days=count - 1))
    home, plain = folder / "home", PlainScript(folder / "plain", folder / "home" / "landing")
    _prepare(home, plain.state)
    say("The plain script runs once while nothing else does, on a copy of its state")
    figures: dict[str, Any] = {"script_beside_no_airflow_s": plain.rehearse(nights[0])}
    scheduler: list[Night] = []
    script: list[float] = []

    def between(night: dt.date, run: Callable[[], Night]) -> None:
        for is_ours in (True, False) if len(script) % 2 == 0 else (False, True):  # whoever comes second finds warmer caches
            scheduler.append(run()) if is_ours else script.append(plain.run(night))
        say(f"Night of {night}: {scheduler[-1].seconds:.1f} s through the scheduler, {script[-1]:.1f} s in the plain script")

    memory = _run_nights(home, nights, between)
    found = _differences(nights, plain)
    figures = {"script_s": statistics.median(script), "script_nights_s": script, **figures, **anatomy(scheduler), **memory}
    figures["verdicts"] = [plain.outputs(night)["verdict"] for night in nights]
    ratios = {"scheduler_over_script": figures["scheduler_s"] / figures["script_s"]}
    if without_preloading:
        cold = _without_preloading(folder / "cold", nights)
        found += _differences(nights, plain)
        figures["without_preloading"] = cold
        ratios["without_preloading_over_script"] = cold["scheduler_s"] / figures["script_s"]
    return Report("night", figures, ratios, found)


def _prepare(home: Path, plain_state: Path) -> None:
    """Both sides' state as it is before the first night. From then on this process reads ``home``."""
    say("January is ingested and a first champion trained, without Airflow")
    year = home.with_name(f"{home.name}-year")
    lay_out(year)
    for dataset in COLUMNS:
        (home / "landing" / dataset).mkdir(parents=True)
        for day in LANDED:
            shutil.copy(year / dataset / f"{day}.csv", home / "landing" / dataset)
    shutil.rmtree(year)
    use_home(home)
    run_python("benchmarks.night_state", home, plain_state)


def _run_nights(
    home: Path, nights: Sequence[dt.date], each: Callable[[dt.date, Callable[[], Night]], None], environment: dict[str, str] | None = None
) -> dict[str, float]:
    """Call ``each`` with every night and what runs it, then run one more night without a clock, for its memory."""
    with airflow_for_nights(home, environment) as airflow:
        idle = proportional_memory_mb()
        for night in nights:
            each(night, lambda night=night: run_night(airflow, night))  # type: ignore[misc]
        peak = peak_memory_mb_during(lambda: run_night(airflow, nights[-1] + dt.timedelta(days=1)))
    return {"airflow_idle_pss_mb": idle, "airflow_peak_pss_mb": peak}


def _without_preloading(folder: Path, nights: Sequence[dt.date]) -> dict[str, Any]:
    """The scheduler's side again, from the same beginning in a home of its own."""
    _prepare(folder / "home", folder / "plain")
    measured: list[Night] = []

    def one(night: dt.date, run: Callable[[], Night]) -> None:
        measured.append(run())
        say(f"Night of {night}: {measured[-1].seconds:.1f} s through the scheduler without preloading")

    memory = _run_nights(folder / "home", nights, one, {"EVERGREEN_PRELOAD": "0"})
    return {**anatomy(measured), **memory}


def _differences(nights: Sequence[dt.date], plain: PlainScript) -> list[str]:
    """In words, where this process's home differs from what the plain script made of the same nights."""
    found = [
        words for night in nights for words in differences(_outputs(night), plain.outputs(night), tolerance=TOLERANCE, where=str(night))
    ]
    fired = [firing for firing in firings_of(MODEL) if firing.as_of <= nights[-1]]
    return found + [f"{firing.as_of}: the retraining sensor fired, which the plain script has no part for" for firing in fired]


def _outputs(night: dt.date) -> dict[str, Any]:
    """What came of a night on our side, in the shape of the plain script's outputs."""
    from include.evergreen.training import find_candidate

    ingested = {dataset: current_partition(dataset, day) for dataset, day in ingested_in(night)}
    predictions, decision, serving = find_predictions(MODEL, night), decided(night), champion_for(MODEL, night)
    assert predictions and decision and serving
    return {
        "datasets": {name: {"rows": each.rows, "quarantined": each.quarantined} for name, each in ingested.items() if each},
        "scored_rows": predictions.rows,
        "predictions": predictions.frame()["prediction"].tolist(),
        "drift": {**_observed("drift.", night), "prediction": _observed("prediction_drift.", night)["score"]},
        "performance": _observed("performance.", night - dt.timedelta(days=1)),
        "candidate": find_candidate(decision.run_key).metrics,
        "verdict": decision.verdict,
        "champion": serving.version,
    }


def _observed(prefix: str, day: dt.date) -> dict[str, float]:
    found = observations_of(MODEL, first=day, last=day)
    return {each.metric.removeprefix(prefix): each.value for each in found if each.metric.startswith(prefix)}


if __name__ == "__main__":
    sys.exit(main())
