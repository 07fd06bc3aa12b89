"""How rows are written in files: one module for each format, with one function ``read``.

Each reads any binary file object, a block at a time, and gives the declared columns in the declared types. So files,
object stores and HTTP answers are read alike.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, cast

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Column
from include.evergreen.config.sources import DelimitedText
from include.evergreen.foundation.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("csv", "jsonl", "parquet")  # as config.sources.FileFormat allows them; each is a module here
SIGNATURES = {b"PAR1": "a Parquet file", b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip file", b"\xff\xfe": "UTF-16 text"}


@dataclass
class Piece:
    """One file, or one member of an archive, and how it is to be read.

    ``place`` names it for people. Columns that it has and the dataset does not declare are added to ``undeclared``.
    ``max_bytes`` is for formats that say by themselves how large they are; None where nobody has set a limit.
    """

    dataset: DatasetConfig
    place: str
    csv: DelimitedText = field(default_factory=DelimitedText)
    missing_values: Collection[str] = ()
    undeclared: list[str] = field(default_factory=list)
    max_bytes: int | None = None

    def message(self, trouble: str, *, line: int | None = None) -> str:
        """Write an error about this piece, or about a line of it.

        :param trouble: the rest of the sentence, which begins with the piece's name
        :param line: counted from 1; None for the piece as a whole
        :returns: the message, which names the dataset too
        """
        place = f"{self.place}, line {line}," if line is not None else self.place
        return f"{self.dataset.name}: {place} {trouble}"

    def error(self, trouble: str, *, line: int | None = None) -> DataError:
        """Make the error with a `message`, for the caller to raise.

        :param trouble: the rest of the sentence, which begins with the piece's name
        :param line: counted from 1; None for the piece as a whole
        :returns: the error
        """
        return DataError(self.message(trouble, line=line))

    def check_columns(self, names: Sequence[str], *, hint: str = "") -> None:
        """Refuse repeated and missing columns, and note those that are not declared.

        :param names: of the columns that the piece has
        :param hint: what may be wrong when one is missing; by default the file or the declaration
        :raises DataError: when a name is repeated, or a declared column is missing
        """
        if repeated := sorted({name for name in names if name and names.count(name) > 1}):
            times = names.count(repeated[0])
            raise DataError(self.message(f"has the column {repeated[0]!r} {times} times. Have the source name each column once."))
        if missing := [column for column in self.dataset.columns if column.source_name not in names]:
            present = f"it has: {', '.join(names)[:300]}"
            if self.dataset.personal_columns and len(missing) == len(self.dataset.columns):  # its first row may be of a person
                present = "what it has is not shown, as some columns are personal"
            hint = hint or f"Fix the file, or the columns that {self.dataset.name}'s dataset.yaml declares."
            lacking = f"lacks the column{'s' * (len(missing) > 1)} {as_the_source_has_them(missing)}"
            raise DataError(self.message(f"{lacking}; {present}. {hint}"))
        known = {*self.dataset.source_names, *self.undeclared}
        self.undeclared += [name for name in names if name not in known]


def as_the_source_has_them(columns: Sequence[Column]) -> str:
    """Name columns as the source calls them, and as dataset.yaml does where that differs.

    :param columns: as they are declared
    :returns: their names for a message, in their order
    """
    return ", ".join(repr(column.source_name) + (f" (declared as {column.name!r})" if column.from_ else "") for column in columns)


def read(name: str, file: BinaryIO, piece: Piece) -> Iterator[pa.RecordBatch]:
    """Read the rows of a file of any format.

    Raises `DataError` for content that does not fit; what the file object raises passes through.

    :param name: the format, one of `FORMATS`
    :param file: its bytes, unpacked; for Parquet it must be able to seek
    :param piece: what is read, and how
    :returns: batches in the schema of `arrow_schema`, each read when it is asked for
    """
    module = importlib.import_module(f"{__name__}.{name}")
    return cast("Iterator[pa.RecordBatch]", module.read(file, piece))
