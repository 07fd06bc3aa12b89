"""Ingestion of one large partition, beside the bare libraries doing the least possible, and how it grows.

    python -m benchmarks.ingest [--json] [--small]

A million rows of twelve columns come as CSV: fetched, validated (fifteen expectations), quarantined and published, beside
pandas.read_csv, the same suite in boolean mode and to_parquet. The two take turns, each in a process of its own, and are
measured from when the libraries are imported. Then Parquet of 1, 5 and 20 million rows, with the peak of memory; then a
year's window of three columns, with the bytes that are read.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import sales
from benchmarks.report import Report, arguments, differences, run_benchmark, say
from benchmarks.scratch import run_python

LAST_BITS = 1e-15


@dataclass(frozen=True)
class Form:
    """``rows`` of CSV, so many ``rounds`` of it; ``growth``: rows of Parquet; a day's rows of the window, days before it, and its own."""

    rows: int
    rounds: int
    rehearsals: int  # which bring the libraries into the disk's cache
    growth: tuple[int, ...]
    window: tuple[int, int, int]


FULL = Form(1_000_000, rounds=5, rehearsals=1, growth=(1_000_000, 5_000_000, 20_000_000), window=(20_000, 731, 365))
SMALL = Form(20_000, rounds=1, rehearsals=0, growth=(10_000, 40_000), window=(500, 5, 30))


def main(given: list[str] | None = None) -> int:
    options = arguments(__doc__ or "").parse_args(given)
    return run_benchmark("ingest", lambda folder: _measure(folder, SMALL if options.small else FULL), as_json=options.json)


def _measure(folder: Path, form: Form) -> Report:
    ours, bare, found = _beside_the_bare_libraries(folder / "csv", form)
    grown = {rows: _grow(folder / f"parquet-{rows}", rows) for rows in form.growth}
    window = json.loads(run_python("benchmarks.window_once", folder / "window", *map(str, form.window)))
    smallest, largest = form.growth[0], form.growth[-1]
    figures: dict[str, Any] = {
        "ours_s": {step: statistics.median(each["seconds"][step] for each in ours) for step in ours[0]["seconds"]},
        "bare_s": {step: statistics.median(each["seconds"][step] for each in bare) for step in bare[0]["seconds"]},
        "ours_peak_mb": statistics.median(each["peak_mb"] for each in ours),
        "parquet_s": {_short(rows): each["seconds"]["all"] for rows, each in grown.items()},
        "parquet_peak_mb": {_short(rows): each["peak_mb"] for rows, each in grown.items()},
        "libraries_mb": grown[largest]["before_mb"],
        "window": window,
    }
    found += [f"parquet of {rows}: {each['rows']} rows" for rows, each in grown.items() if each["rows"] != rows]
    seconds_a_row = {rows: each["seconds"]["all"] / rows for rows, each in grown.items()}
    ratios = {
        "pipeline_over_bare": figures["ours_s"]["all"] / figures["bare_s"]["all"],
        f"seconds_a_row_of_{_short(largest)}_over_{_short(smallest)}": seconds_a_row[largest] / seconds_a_row[smallest],
        "window_bytes_read_over_all": window["bytes_read"] / window["bytes_of_partitions"],
    }
    return Report("ingest", figures, ratios, found)


def _short(rows: int) -> str:
    return f"{rows // 1_000_000}M" if rows >= 1_000_000 else f"{rows // 1_000}k"


def _beside_the_bare_libraries(folder: Path, form: Form) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    landing = folder / "home" / "landing" / f"{sales.PARTITION}.csv"
    say(f"laying out {form.rows:,} rows of CSV")
    sales.write_csv(landing, form.rows)
    sales.declare(folder / "include", suffix="csv")
    ours, bare, found = [], [], []
    for number in range(1 - form.rehearsals, form.rounds + 1):
        say("a rehearsal" if number < 1 else f"round {number} of {form.rounds}")
        home = folder / f"home-{number}"
        home.mkdir()
        (home / "landing").symlink_to(landing.parent)
        one = _ingest(home, folder / "include")
        other = json.loads(run_python("benchmarks.plain.ingest", landing, folder / "bare.parquet"))
        if number >= 1:
            ours.append(one)
            bare.append(other)
        found += _unequal(home / "storage", one, other, folder / "bare.parquet")
        shutil.rmtree(home)
    return ours, bare, found


def _grow(folder: Path, rows: int) -> dict[str, Any]:
    say(f"{rows:,} rows of Parquet")
    sales.write_parquet(folder / "home" / "landing" / f"{sales.PARTITION}.parquet", rows)
    sales.declare(folder / "include", suffix="parquet")
    try:
        return _ingest(folder / "home", folder / "include")
    finally:
        shutil.rmtree(folder)


def _ingest(home: Path, include: Path) -> dict[str, Any]:
    environment = {
        "EVERGREEN_HOME": str(home),
        "EVERGREEN_INCLUDE": str(include),
        "EVERGREEN_STORAGE": str(home / "storage"),
        "EVERGREEN_DATABASE_URL": f"sqlite:///{home}/evergreen.db",
    }
    measured: dict[str, Any] = json.loads(run_python("benchmarks.ingest_once", environment=environment).splitlines()[-1])
    return measured


def _unequal(storage: Path, ours: dict[str, Any], bare: dict[str, Any], written: Path) -> list[str]:
    """In words, where the two sides differ: what the suite said, and the rows, accepted and quarantined together."""
    import pandas as pd

    found = differences({"passed": ours["passed"], "rows": ours["rows"]}, {"passed": bare["passed"], "rows": bare["rows"]}, tolerance={})
    quarantined = pd.read_parquet(storage / ours["quarantine_path"]).drop(columns="quarantine_reason")
    accepted = pd.read_parquet(storage / ours["accepted_path"])
    if not (accepted["price"] >= 0).all() or not (quarantined["price"] < 0).all():
        found.append("a wrong row was accepted, or a right one set aside")
    whole = pd.concat([accepted, quarantined]).sort_values("order", ignore_index=True)
    expected = pd.read_parquet(written).sort_values("order", ignore_index=True)
    try:
        # pandas reads decimals quickly, and one in some is off in its last bit
        pd.testing.assert_frame_equal(whole, expected, check_dtype=False, check_exact=False, rtol=LAST_BITS, atol=0)
    except AssertionError as error:
        found.append(f"the rows differ: {str(error).splitlines()[-1]}")
    return found


if __name__ == "__main__":
    sys.exit(main())
