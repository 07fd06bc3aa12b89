"""One night of one model through the real scheduler, beside a plain script that does the same in one cold process.

    python -m benchmarks.night [--json] [--nights N] [--no-preload] [--small]

A night: the day's schedule and yesterday's weather and outcomes arrive. They are ingested; the day is scored, its drift and
yesterday's performance are monitored; a candidate is trained, judged and, if it passes, promoted.

The scheduler's clock runs from just before the first trigger to the end of the last task. The training is triggered when its
inputs are published: in production its own schedule starts it, at about that time. The plain script's clock is that of its
whole process. The two take turns, each on a state of its own.

Ours also estimates the day's performance before its labels come, which the script does not: the ratio counts that against us.

The small form is one night of January after a champion of sixteen days. Its steps run in this process, without Airflow, so it says
whether both sides still do the same, and nothing of how long the night takes.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_memory_mb_during, proportional_memory_mb
from benchmarks.outcome import MODEL, compare_night
from benchmarks.plain_script import PlainScript
from benchmarks.report import Report, arguments, run_benchmark, say
from benchmarks.scheduler import Night, airflow_for_nights, anatomy, run_night
from benchmarks.scratch import forked_clean_processes, land, run_python
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.monitoring.triggers import list_firings

FIRST_NIGHT = "2013-02-02"  # benchmarks.night_state prepares what is known before it
LAST_NIGHT = "2013-02-08"  # then comes the blizzard, and with it firings
NIGHTS = 5
LANDED = DAILY.between("2013-01-01", LAST_NIGHT)
SMALL_CHAMPION_AS_OF, SMALL_NIGHT = "2013-01-24", "2013-01-25"  # the earliest that the gate blesses


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    most = DAILY.number(LAST_NIGHT) - DAILY.number(FIRST_NIGHT)
    parser.add_argument(
        "--nights", type=int, default=NIGHTS, choices=range(1, most + 1), help=f"take the median of this many (default: {NIGHTS})"
    )
    parser.add_argument("--no-preload", action="store_true", help="measure the scheduler's nights once more, without preloaded modules")
    options = parser.parse_args(given)
    measure = _small if options.small else partial(_measure, count=options.nights, without_preloading=options.no_preload)
    return run_benchmark("night", measure, as_json=options.json)


def _measure(folder: Path, count: int, *, without_preloading: bool) -> Report:
    nights = DAILY.between(FIRST_NIGHT, DAILY.shift(FIRST_NIGHT, count - 1))
    home, plain = folder / "home", PlainScript(folder / "plain", folder / "home" / "landing")
    _prepare(home, plain.state)
    say("The plain script runs once while nothing else does, on a copy of its state")
    figures: dict[str, Any] = {"script_beside_no_airflow_s": plain.rehearse(nights[0])}
    scheduler: list[Night] = []
    script: list[float] = []

    def between(night: Partition, run: Callable[[], Night]) -> None:
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


def _small(folder: Path) -> Report:
    from benchmarks import core_night, night_state  # with all that a task imports

    home, plain = folder / "home", PlainScript(folder / "plain", folder / "home" / "landing")
    land(home, LANDED[: LANDED.index(SMALL_NIGHT) + 1])
    with forked_clean_processes():
        night_state.prepare(plain.state, SMALL_CHAMPION_AS_OF)
        core = core_night.run_night(SMALL_NIGHT)
    figures: dict[str, Any] = {"core_s": core, "script_s": plain.run(SMALL_NIGHT)}
    figures["verdict"] = plain.outputs(SMALL_NIGHT)["verdict"]
    return Report("night", figures, {}, _differences([SMALL_NIGHT], plain))


def _prepare(home: Path, plain_state: Path) -> None:
    """Both sides' state as it is before the first night. From then on this process reads ``home``."""
    say("January is ingested and a first champion trained, without Airflow")
    land(home, LANDED)
    run_python("benchmarks.night_state", home, plain_state)


def _run_nights(
    home: Path,
    nights: Sequence[Partition],
    each: Callable[[Partition, Callable[[], Night]], None],
    environment: dict[str, str] | None = None,
) -> dict[str, float]:
    """Call ``each`` with every night and what runs it, then run one more night without a clock, for its memory."""
    with airflow_for_nights(home, environment) as airflow:
        idle = proportional_memory_mb()
        for night in nights:
            each(night, lambda night=night: run_night(airflow, night))  # type: ignore[misc]
        peak = peak_memory_mb_during(lambda: run_night(airflow, DAILY.shift(nights[-1], 1)))
    return {"airflow_idle_pss_mb": idle, "airflow_peak_pss_mb": peak}


def _without_preloading(folder: Path, nights: Sequence[Partition]) -> dict[str, Any]:
    """The scheduler's side again, from the same beginning in a home of its own."""
    _prepare(folder / "home", folder / "plain")
    measured: list[Night] = []

    def one(night: Partition, run: Callable[[], Night]) -> None:
        measured.append(run())
        say(f"Night of {night}: {measured[-1].seconds:.1f} s through the scheduler without preloading")

    memory = _run_nights(folder / "home", nights, one, {"EVERGREEN_PRELOAD": "0"})
    return {**anatomy(measured), **memory}


def _differences(nights: Sequence[Partition], plain: PlainScript) -> list[str]:
    """In words, where this process's home differs from what the plain script made of the same nights."""
    found = [words for night in nights for words in compare_night(night, plain)]
    fired = [firing for firing in list_firings(MODEL) if firing.as_of <= nights[-1]]
    return found + [f"{firing.as_of}: the retraining sensor fired, which the plain script has no part for" for firing in fired]


if __name__ == "__main__":
    sys.exit(main())
