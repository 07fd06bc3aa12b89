"""One CSV file a partition."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.evergreen.config import DatasetConfig, expand
from include.evergreen.config.models import Column
from include.evergreen.errors import DataError, TransientError

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER_LINES = 1
INTEGER = r"[+-]?\d{1,18}"


class FilesReader:
    """Reads a dataset whose source is ``files``."""

    def __init__(self, dataset: DatasetConfig) -> None:
        self.dataset = dataset

    def path(self, partition: dt.date) -> Path:
        pattern = expand(self.dataset.source.path, where=f"{self.dataset.name}: source.path")
        return Path(pattern.replace("{partition}", partition.isoformat()))

    def read(self, partition: dt.date) -> pd.DataFrame:
        path = self.path(partition)
        text = self._read_text(path)
        return pd.DataFrame({column.name: _typed(text[column.name], column, path) for column in self.dataset.columns})

    def _read_text(self, path: Path) -> pd.DataFrame:
        """Every declared column as strings, so that a bad cell can be named by line and shown as it stands."""
        try:
            text = pd.read_csv(
                path,
                dtype="string",
                keep_default_na=False,
                na_values=list(self.dataset.source.missing_values),
                skip_blank_lines=False,
            )
        except FileNotFoundError as error:
            raise DataError(
                f"{self.dataset.name}: the source has no file {path}. Has the system that delivers it done so? "
                f"Ingest the partition again once the file is there."
            ) from error
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self.dataset.name}: {path} cannot be read as CSV: {str(error).strip()}. Ask the source for a whole file."
            ) from error
        except OSError as error:
            raise TransientError(f"{self.dataset.name}: {path} could not be read: {error}") from error
        if not isinstance(text.index, pd.RangeIndex):  # pandas takes surplus cells for an index, and shifts every column
            raise DataError(
                f"{self.dataset.name}: {path} cannot be read as CSV: its lines have more cells than its header. "
                f"Ask the source for a whole file."
            )
        _refuse_missing_columns([column.name for column in self.dataset.columns], list(text.columns), path, self.dataset.name)
        return text


def _refuse_missing_columns(declared: Sequence[str], found: Sequence[str], path: Path, dataset: str) -> None:
    if missing := [name for name in declared if name not in found]:
        raise DataError(
            f"{dataset}: {path} lacks the column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}; "
            f"it has: {', '.join(found)[:300]}. Mend the file, or the columns that {dataset}'s dataset.yaml declares."
        )


def _typed(text: pd.Series, column: Column, path: Path) -> pd.Series:
    """``text`` in the declared type; missing cells stay missing."""
    typed: pd.Series[Any]
    if column.type == "timestamp":
        typed = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601").astype("datetime64[us, UTC]")
    elif column.type == "boolean":
        typed = text.str.lower().map({"true": True, "false": False, "1": True, "0": False}).astype("boolean")
    elif column.type == "number":
        typed = pd.to_numeric(text, errors="coerce").astype("float64").replace([float("inf"), float("-inf")], float("nan"))
    elif column.type == "integer":
        typed = text.where(text.str.fullmatch(INTEGER))  # through text, not float: exact up to 64 bits
    else:
        return text
    _refuse_bad_cells(text, typed.isna() & text.notna(), column, path)
    return typed.astype("Int64") if column.type == "integer" else typed


def _refuse_bad_cells(text: pd.Series, bad: pd.Series, column: Column, path: Path) -> None:
    if not bad.any():
        return
    row = int(bad.to_numpy().argmax())
    raise DataError(
        f"{path}, line {row + 1 + HEADER_LINES}: {column.name} is {str(text.iloc[row])[:80]!r}, which is not a valid {column.type} "
        f"({int(bad.sum())} such cell{'s' * (int(bad.sum()) > 1)} in the file). Mend the file at its source."
    )
