"""One large partition is scored, beside the estimator's own predictions of a frame in memory; and a training draws from a large window.

    python -m benchmarks.score [--json] [--small]

``ours_over_bare_predict`` is the time of a row: features, predictions, digest and Parquet of the whole partition on our side, the fitted
pipeline's ``predict_proba`` of rows that are in memory already on the other, both in one thread. ``peak_mb`` is the most that the process
held, libraries included. Both sides' predictions must be equal bit by bit.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Report, arguments, differences, run_benchmark, say
from benchmarks.scratch import run_python


@dataclass(frozen=True)
class Form:
    """``rows`` x ``features`` are scored, ``in_memory`` of them bare; a training draws ``max_rows`` of ``train_rows`` in ``days`` days."""

    rows: int
    features: int
    in_memory: int
    train_rows: int
    days: int
    max_rows: int
    parameters: str = "{}"  # of the estimator


FULL = Form(20_000_000, 30, 2_000_000, 20_000_000, 40, 1_000_000)
SMALL = Form(270_000, 4, 20_000, 40_000, 8, 10_000, "{max_iter: 10}")  # two batches of rows, and a window that is cut


def main(given: list[str] | None = None) -> int:
    options = arguments(__doc__ or "").parse_args(given)
    return run_benchmark("score", lambda folder: _measure(folder, SMALL if options.small else FULL), as_json=options.json)


def _measure(folder: Path, form: Form) -> Report:
    def step(name: str, words: str) -> dict[str, Any]:
        say(words)
        found: dict[str, Any] = json.loads(run_python("benchmarks.score_once", name, folder, json.dumps(asdict(form))).splitlines()[-1])
        return found

    step("prepare", f"a champion, and a partition of {form.rows:,} rows x {form.features} features")
    ours = step("score", "scoring it")
    bare = step("predict", f"the estimator's own predictions of {form.in_memory:,} rows in memory")
    trained = step("train", f"a training of {form.max_rows:,} of {form.train_rows:,} rows")
    figures = {
        "seconds": ours["seconds"],
        "microseconds_a_row": {"ours": 1e6 * ours["seconds"] / ours["rows"], "bare": 1e6 * bare["seconds"] / bare["rows"]},
        "libraries_mb": ours["before_mb"],
        "peak_mb": ours["peak_mb"],
        "train": trained,
    }
    ratios = {"ours_over_bare_predict": figures["microseconds_a_row"]["ours"] / figures["microseconds_a_row"]["bare"]}
    sides = [{"rows": form.rows, "predictions": ours["predictions"], "trained_on": form.max_rows},
             {"rows": ours["rows"], "predictions": bare["predictions"], "trained_on": trained["rows"]}]  # fmt: skip
    return Report("score", figures, ratios, differences(*sides, tolerance={}))


if __name__ == "__main__":
    sys.exit(main())
