"""JSON Lines: one JSON object a line.

A key that a line leaves out has no value there; a declared column that no line has is missing.
"""

from __future__ import annotations

import decimal
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from include.evergreen.data.sources.conversion import convert_batch
from include.evergreen.data.sources.conversion.cells import is_exact
from include.evergreen.data.sources.formats import Piece
from include.evergreen.data.sources.formats.blocks import Block, end_of_lines, not_in_its_encoding, read_blocks

if TYPE_CHECKING:
    import pyarrow as pa


BLANKS = " \t\r\n"  # JSON's
MOST_CELLS = 4 * 1024**2  # of one batch


def read(file: BinaryIO, piece: Piece) -> Iterator[pa.RecordBatch]:
    """Read the rows of a JSON Lines file; an empty file is a day without rows. Raises `DataError` for content that does not fit.

    :param file: its bytes
    :param piece: what is read, and in which encoding
    :yields: batches in the schema of `arrow_schema`
    """
    seen: set[str] = set()
    rows = 0
    for block in read_blocks(file, piece, end_of_lines):
        for lines, records in _records(block, piece):
            for record in records:
                seen.update(record)
            rows += len(records)
            columns = {name: [record.get(name) for record in records] for name in piece.dataset.source_names}
            yield convert_batch(piece.dataset, columns, lambda row, lines=lines: f"{piece.place}, line {lines[row]}")  # type: ignore[misc]
    if rows:
        piece.check_columns(sorted(seen))


def _records(block: Block, piece: Piece) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """The block's lines and what they hold, some at a time: an object that leaves all keys out has two characters, and a cell a column."""
    try:
        text = block.data.decode()
    except UnicodeDecodeError:
        raise not_in_its_encoding(block, piece) from None
    decoder = strict_decoder(text)
    most = max(1, MOST_CELLS // len(piece.dataset.column_names))
    lines, records = [], []
    for line, content in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=block.first_line):
        if not content.strip(BLANKS):
            continue
        lines.append(line)
        records.append(_record(content, line, decoder, piece))
        if len(records) == most:
            yield lines, records
            lines, records = [], []
    if records:
        yield lines, records


def _record(content: str, line: int, decoder: json.JSONDecoder, piece: Piece) -> dict[str, Any]:
    try:
        record = _scanned(content.strip(BLANKS), decoder)
    except (ValueError, RecursionError) as error:
        trouble = "it is nested too deeply" if isinstance(error, RecursionError) else getattr(error, "msg", str(error))
        raise piece.error(f"is not a line of JSON: {trouble}. Have the source write one whole JSON object a line.", line=line) from None
    if not isinstance(record, dict):
        raise piece.error(f"is a JSON {type(record).__name__}, not an object with the columns as keys. Fix it at its source.", line=line)
    return record


def _scanned(content: str, decoder: json.JSONDecoder) -> Any:
    """As the decoder reads it, by its shortest way; what that does not take, the long way has words for."""
    try:
        record, end = decoder.scan_once(content, 0)  # type: ignore[attr-defined]
    except StopIteration:
        end = -1
    return record if end == len(content) else decoder.decode(content)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated[:80]!r} is there {names.count(repeated)} times")
    return record


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number; allowed: finite numbers, and null where there is no value")


def _number(text: str) -> float | decimal.Decimal:
    """A float, or a decimal where a float would round what is written out past 2^53, for the conversion to refuse."""
    return float(text) if is_exact(text) else decimal.Decimal(text)


def strict_decoder(text: str) -> json.JSONDecoder:
    """Choose how JSON is decoded: no way takes keys that are there twice, NaN and infinities, or rounds a large number.

    :param text: all that is to be decoded
    :returns: the quickest decoder that is right for it
    """
    return _LARGE_NUMBERS if _LARGE.search(text) else _STRICT


_LARGE = re.compile(r"[0-9]{16}")  # without as many digits in a row, nothing is past 2^53 and has no exponent
_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
_LARGE_NUMBERS = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_number)
