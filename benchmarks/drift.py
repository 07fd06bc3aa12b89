"""How long a verdict on a partition takes: beside Evidently's DataDriftPreset, and beside the least that anybody must do.

    python -m benchmarks.drift [--json] [--small]    small: a few rows, without Evidently, whose import takes seconds

A partition of mixed columns (four fifths numbers) lies as Parquet, as scorings write it, and has been read before; the reference is
known. *Ours* reads, profiles and judges, a group of rows at a time; *bare binning* reads and counts each column once, in the same bins
and categories; *Evidently* reads and runs its preset (without its import). Both counts must agree. Then a year of daily profiles is
read from bytes, merged, and the window judged; and a week is judged by its columns together, like the reference and with two of them
correlated, beside the verdict on each column.
``peak_..._mb`` is the greatest memory of a process of its own that judges a partition, with all libraries.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.report import Report, arguments, run_benchmark, say
from benchmarks.scratch import run_python
from include.evergreen.data.partitions.files import GROUP_ROWS, read_batches
from include.evergreen.monitoring.profiles import (
    NumericColumn,
    Profile,
    StoredProfile,
    from_bytes,
    profile_batches,
    profile_partition,
    profile_reference,
    to_bytes,
)
from include.evergreen.monitoring.verdicts import Limits, Verdict, judge, judge_together

LIMITS = Limits(numeric=0.1, categorical=0.05)
REFERENCE_ROWS, REFERENCE_DAYS = 5_000, 50
CHUNK_ROWS = 1_000_000  # that are made up together
REPEATS = 3  # of which the quickest counts


def main(given: list[str] | None = None) -> int:
    options = arguments(__doc__ or "").parse_args(given)
    sizes = ((5_000, 10),) if options.small else ((1_000_000, 10), (1_000_000, 50))
    return run_benchmark("drift", lambda folder: measure(folder, sizes, small=options.small), as_json=options.json)


def measure(folder: Path, sizes: tuple[tuple[int, int], ...], *, small: bool) -> Report:
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    differences: list[str] = []
    for rows, columns in sizes:
        size = f"{rows // 1_000_000}m_{columns}" if rows >= 1_000_000 else f"{rows}_{columns}"
        say(f"{rows:,} rows of {columns} columns")
        reference_rows, reference = _rows(1, REFERENCE_ROWS, columns), reference_of(columns)
        current = _written(folder / f"{size}.parquet", rows, columns)
        ours = _quickest(lambda reference=reference, current=current, rows=rows: verdict(reference, batches(current), rows))  # type: ignore[misc]
        bare = _quickest(partial(_counted, reference, current))
        figures |= {f"ours_{size}_s": ours, f"bare_binning_{size}_s": bare}
        ratios[f"ours_over_bare_binning_{size}"] = ours / bare
        profile = profile_batches(reference, "now", batches(current), rows)
        figures[f"profile_{size}_kb"] = len(to_bytes(StoredProfile(profile, ""), reference)) / 1000
        differences += _differences(profile, _counted(reference, current))
        if not small:
            evidently = _evidently(reference_rows, current)
            figures[f"evidently_{size}_s"] = evidently
            ratios[f"ours_over_evidently_{size}"] = ours / evidently
    figures |= _peaks(folder, (50_000,) if small else (1_000_000, 10_000_000))
    if not small:
        ratios["peak_10m_over_peak_1m"] = figures["peak_10m_10_mb"] / figures["peak_1m_10_mb"]
    figures |= _year(30 if small else 365, 10 if small else 50) | _together(10 if small else 50)
    return Report("drift", figures, ratios, differences)


def _rows(seed: int, rows: int, columns: int) -> pa.Table:
    random = np.random.default_rng(seed)
    names = np.array([f"category {number}" for number in range(20)])
    return pa.table(
        {
            f"{number}": names[random.integers(0, 20, rows)] if number % 5 == 0 else random.normal(number, 1 + number, rows)
            for number in range(columns)
        }
    )


def _written(file: Path, rows: int, columns: int) -> Path:
    with pq.ParquetWriter(file, _rows(2, 1, columns).schema) as writer:
        for number in range(0, rows, CHUNK_ROWS):
            writer.write_table(_rows(2 + number, min(CHUNK_ROWS, rows - number), columns), row_group_size=GROUP_ROWS)
    return file


def _peaks(folder: Path, sizes: tuple[int, ...]) -> dict[str, float]:
    """The memory of a process that judges a partition of ten columns."""
    found = {}
    for rows in sizes:
        file = _written(folder / f"{rows}.parquet", rows, 10)
        name = f"{rows // 1_000_000}m" if rows >= 1_000_000 else f"{rows}"
        found[f"peak_{name}_10_mb"] = json.loads(run_python("benchmarks.drift_once", file, str(rows), "10"))["peak_mb"]
        file.unlink()
    return found


def reference_of(columns: int) -> Profile:
    """The reference of partitions of so many columns."""
    return _reference(_rows(1, REFERENCE_ROWS, columns))


def _reference(rows: pa.Table) -> Profile:
    days = [f"{number % REFERENCE_DAYS:03}" for number in range(len(rows))]
    return profile_reference(
        rows, days, {name: "categorical" if pa.types.is_string(rows[name].type) else "numeric" for name in rows.column_names}
    )


def batches(file: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a partition, as monitoring reads them."""
    return read_batches(file)


def verdict(reference: Profile, rows: Iterator[pa.RecordBatch], count: int) -> Verdict:
    """What monitoring does with a partition's rows."""
    return judge(reference, profile_batches(reference, "now", rows, count), LIMITS)


def _counted(reference: Profile, current: Path) -> dict[str, Any]:
    table = pq.read_table(current)
    found: dict[str, Any] = {}
    for name, column in reference.columns.items():
        if isinstance(column, NumericColumn):
            found[name] = np.histogram(table[name].to_numpy(), np.concatenate([[-np.inf], column.bins.edges, [np.inf]]))[0]
        else:
            found[name] = pc.value_counts(table[name])
    return found


def _differences(profile: Profile, counted: dict[str, Any]) -> list[str]:
    differences = []
    for name, column in profile.columns.items():
        if isinstance(column, NumericColumn):
            same = column.counts[0].tolist() == counted[name].tolist()
        else:
            plain = {each["values"]: each["counts"] for each in counted[name].to_pylist()}
            same = {cell: count for cell, count in zip(column.cells.names, column.counts[0].tolist(), strict=True) if count} == plain
        if not same:
            differences.append(f"column {name}: other counts than plain binning")
    return differences


def _evidently(reference: pa.Table, current: Path) -> float:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numbers = [name for name in reference.column_names if not pa.types.is_string(reference[name].type)]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=[n for n in reference.column_names if n not in numbers])
    before = Dataset.from_pandas(reference.to_pandas(), definition)
    began = time.perf_counter()
    Report([DataDriftPreset()]).run(current_data=Dataset.from_pandas(pq.read_table(current).to_pandas(), definition), reference_data=before)
    return time.perf_counter() - began


def _year(days: int, columns: int) -> dict[str, float]:
    """Read a year's daily profiles from bytes, merge them and judge the window."""
    reference = _reference(_rows(1, REFERENCE_ROWS, columns))
    days_of_year = [profile_partition(reference, f"{day:03}", _rows(day, 1_000, columns)) for day in range(days)]
    stored = [to_bytes(StoredProfile(each, ""), reference) for each in days_of_year]
    began = time.perf_counter()
    profiles = [from_bytes(each, "A profile", reference, "").profile for each in stored]
    read = time.perf_counter()
    judge(reference, profiles[0].merge(*profiles[1:]), LIMITS)
    return {"year_read_s": read - began, "year_merged_and_judged_s": time.perf_counter() - read}


def _together(columns: int) -> dict[str, float]:
    """Judge a week by its columns together, and one by one."""
    reference = _reference(_rows(1, REFERENCE_ROWS, columns))
    days = [profile_partition(reference, f"{day:03}", _rows(day, 1_000, columns)) for day in range(2, 9)]
    correlated = [_rows(day, 1_000, columns) for day in range(2, 9)]
    moved = [
        profile_partition(reference, f"{day:03}", rows.set_column(2, "2", pc.add(rows["1"], pc.multiply(rows["2"], 0.2))))
        for day, rows in enumerate(correlated)
    ]
    week, other = days[0].merge(*days[1:]), moved[0].merge(*moved[1:])
    return {
        "week_judged_s": _quickest(partial(judge, reference, week, LIMITS)),
        "week_judged_together_s": _quickest(partial(judge_together, reference, week, 0.55)),
        "changed_week_judged_together_s": _quickest(partial(judge_together, reference, other, 0.55)),
    }


def _quickest(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    sys.exit(main())
