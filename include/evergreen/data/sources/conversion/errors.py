"""What is said of cells that are not of their column's type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from include.evergreen.config.datasets import Column
from include.evergreen.foundation.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Where = Callable[[int], str]
"""Says where a row of a batch came from, for people: ``landing/2013-02-09.csv, line 17``. Rows count from 0."""

SHOWN = 80  # characters of a bad value
ALLOWED = {
    "integer": "a whole number such as 42, from -9223372036854775808 to 9223372036854775807",
    "number": "a decimal number such as -1.5 or 2e3",
    "string": "text without NUL characters",
    "timestamp": "ISO 8601 with a zone, such as 2013-02-09T08:00:00Z or 2013-02-09T10:00:00.5+02:00",
    "boolean": "true, false, 1 or 0",
}


def bad_cell(value: object, column: Column, place: str, *, why: str, cells: int, rows: int) -> str:
    """Write the error about the first bad cell of a column.

    :param value: what the cell has; not shown where the column is personal
    :param column: as it is declared
    :param place: where the row came from
    :param why: what is wrong with the cell
    :param cells: how many bad cells there are
    :param rows: among how many rows
    :returns: the message
    """
    if column.personal:
        shown = "a value that is not shown, as the column is personal"
    else:
        text = value if isinstance(value, str) else str(value)
        shown = repr(text[:SHOWN]) + (f" and {len(text) - SHOWN} characters more" if len(text) > SHOWN else "")
    many = f" ({cells} such cells among the {rows} rows that were read together)" if cells > 1 else ""
    return (
        f"{place}: {column.label} is {shown}, which is not a valid {column.type}: {why}{many}. "
        f"Allowed: {ALLOWED[column.type]}. Fix it at its source."
    )


def refuse_cells(bad: pa.Array, array: pa.Array, column: Column, where: Where, why: str, show: Callable[[Any], str] = str) -> None:
    """Refuse a column if it has a bad cell.

    :param bad: one boolean for each of ``array``'s cells; missing ones mark nothing
    :param array: the cells
    :param column: as it is declared
    :param where: says where a row came from, by its index
    :param why: what is wrong with the cells that are marked
    :param show: writes the value of a cell for the message
    :raises DataError: about the first cell that ``bad`` marks
    """
    import pyarrow.compute as pc

    cells = pc.sum(bad).as_py()
    if cells:
        row = pc.index(bad, True).as_py()
        raise DataError(bad_cell(show(array[row].as_py()), column, where(row), why=why, cells=cells, rows=len(array)))
