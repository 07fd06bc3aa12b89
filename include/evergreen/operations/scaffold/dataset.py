"""Generates a dataset.yaml from a CSV file of one day."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.operations.scaffold.writing import filled, free_folder, in_yaml, schema_from, write_declaration

if TYPE_CHECKING:
    import pandas as pd

ROWS_LOOKED_AT = 10_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WRITTEN = {
    "integer": r"[+-]?\d{1,18}",
    "number": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?",
    "boolean": r"(?i:true|false)",
    "timestamp": r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)",
}
_NO_FILE = "  - {name: id, type: integer, description: To be said}"


def new_dataset(catalog: Catalog, name: str, *, like: Path | None, known_after_hours: float, owner: str) -> Path:
    """Declare a dataset to begin with.

    Passes on `ConfigError` for a name that is none or is taken, and a file that is no CSV.

    :param catalog: whose root gets the dataset's folder
    :param name: of the dataset, which must be free
    :param like: a CSV file of one day with a header, which tells columns, types and key; None: one column ``id``, and a path to edit
    :param known_after_hours: when a day's rows are known, in hours from its beginning (UTC); negative: before
    :param owner: as dataset.yaml shows it
    :returns: the path of its dataset.yaml
    """
    folder = free_folder(catalog, "dataset", name)
    sample = None if like is None else _sample(like)
    path, days = (f"${{EVERGREEN_HOME}}/landing/{name}/{{partition}}.csv", []) if like is None else _deliveries(like)
    values = {
        "schema": schema_from(folder, "dataset"),
        "name": name,
        "owner": in_yaml(owner),
        "path": json.dumps(path),
        "offset": ", run_offset: -1" if known_after_hours > 0 else "",  # what is known afterwards is fetched afterwards
        "start": min(days, default=clock.now().date()),
        "end": f", end: {max(days)}" if days else "",
        "hours": f"{known_after_hours:g}",
        "keys": "id" if sample is None else _key(sample),
        "columns": _NO_FILE if sample is None else "\n".join(_declared(str(name), cells) for name, cells in sample.items()),
    }
    write_declaration(folder, {"dataset.yaml": filled("dataset.yaml", values)})
    return folder / "dataset.yaml"


def _sample(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_csv(file, nrows=ROWS_LOOKED_AT, dtype="string", keep_default_na=False, na_values=["", "NA"])
    except (OSError, ValueError) as error:  # the parser's errors are ValueErrors
        raise ConfigError(f"{file} cannot be read as CSV: {error}. Name a CSV file with a header.") from error
    if frame.empty:
        raise ConfigError(f"{file} has no rows, so that nothing tells its columns' types. Name a file with some.")
    return frame


def _deliveries(file: Path) -> tuple[str, list[Partition]]:
    """The path with ``{partition}`` for the day in the file's name, and the days that are there."""
    file = file.absolute()
    day = _DAY.search(file.name)
    if day is None:
        return f"{_from_home(file.parent)}/{{partition}}.csv", []
    before, after = file.name[: day.start()], file.name[day.end() :]
    days = []
    for delivery in file.parent.glob(f"{escape(before)}????-??-??{escape(after)}"):
        with suppress(ConfigError):
            days.append(DAILY.parse(delivery.name[day.start() : day.end()]))
    return f"{_from_home(file.parent)}/{before}{{partition}}{after}", days


def _from_home(folder: Path) -> str:
    home = Settings.from_environment().home
    return f"${{EVERGREEN_HOME}}/{folder.relative_to(home)}" if folder.is_relative_to(home) else str(folder)


def _declared(name: str, cells: pd.Series) -> str:
    nullable = ", nullable: true" if cells.isna().any() else ""
    return f"  - {{name: {in_yaml(name)}, type: {_type(cells)}{nullable}, description: To be said}}"


def _type(cells: pd.Series) -> str:
    """The first type that takes every cell as it is written."""
    present = cells.dropna()
    matching = (kind for kind, pattern in _WRITTEN.items() if len(present) and present.str.fullmatch(pattern).all())
    return next(matching, "string")


def _key(sample: pd.DataFrame) -> str:
    """The first column that no row lacks and no two rows share; empty when there is none."""
    identifying = (str(name) for name, cells in sample.items() if cells.notna().all() and cells.is_unique and _type(cells) != "number")
    return next(map(in_yaml, identifying), "")
