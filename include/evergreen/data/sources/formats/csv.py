"""CSV, with a header.

Arrow reads whole blocks. What it refuses is read again by Python's own reader, which takes the same text for the
same cells, and can say what is wrong in which line. (docs/decisions/how-csv-is-read.md)
"""

from __future__ import annotations

import codecs
import csv
import functools
import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from include.evergreen.data.sources.conversion import convert_batch
from include.evergreen.data.sources.formats import Piece
from include.evergreen.data.sources.formats.blocks import LONGEST_ROW, Block, count_lines, end_of_lines, not_in_its_encoding, read_blocks
from include.evergreen.foundation.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ARROW_BLOCK = 1024**2  # each thread's share of a block
BYTES = "latin-1"  # in which each byte is a character, and none is refused
MARK = "\ue000"  # none of those
csv.field_size_limit(2 * LONGEST_ROW)  # of this process: what limits a row here is `read_blocks`
OTHER_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tabulator", "|": "a vertical bar"}


def read(file: BinaryIO, piece: Piece) -> Iterator[pa.RecordBatch]:
    """Read the rows of a CSV file; blank lines count as lines, and are no rows.

    :param file: its bytes
    :param piece: what is read, and how: its delimiter, its encoding, and the texts that stand for no value
    :yields: batches in the schema of `arrow_schema`
    :raises DataError: when the file has no header, or content that does not fit
    """
    lexer = _Lexer(piece.csv.delimiter, piece.missing_values)
    header: list[str] | None = None
    for block in read_blocks(file, piece, lexer.end_of_rows):
        if header is None:
            header, end = _header(block, lexer, piece)
            if header is None:
                continue
            block = replace(block, data=block.data[end:], first_line=block.first_line + count_lines(block.data[:end]))  # noqa: PLW2901
        if block.data.strip(b"\r\n"):
            yield _batch(block, header, lexer, piece)
    if header is None:
        trouble = "is empty: it has not even a header. Ask the source for a whole file; a day without rows has a header alone."
        raise DataError(piece.message(trouble))


def _header(block: Block, lexer: _Lexer, piece: Piece) -> tuple[list[str] | None, int]:
    """The column names, and where the rows begin; None when all lines are blank."""
    for _, cells, end in lexer.records(block, piece):
        try:
            names = [cell.decode() for cell in cells]
        except UnicodeDecodeError:
            raise not_in_its_encoding(Block(block.data[:end], block.first_line), piece) from None
        piece.check_columns(names, hint=_other_delimiter(names, piece))
        return names, end
    return None, len(block.data)


def _other_delimiter(names: list[str], piece: Piece) -> str:
    whole = piece.csv.delimiter.join(names)
    for delimiter, words in OTHER_DELIMITERS.items():
        parts = {part.strip('"') for part in whole.split(delimiter)}
        if delimiter != piece.csv.delimiter and len(parts) > 1 and parts & set(piece.dataset.source_names):
            return (
                f"It looks as if the delimiter were {words}, and it is declared as {piece.csv.delimiter!r}: "
                f"set csv.delimiter to {delimiter!r} in the source, or have it write {piece.csv.delimiter!r}."
            )
    return ""


def _batch(block: Block, header: list[str], lexer: _Lexer, piece: Piece) -> pa.RecordBatch:
    wanted = [header.index(name) for name in piece.dataset.source_names]
    columns = _by_arrow(block, len(header), wanted, lexer, piece)
    if columns is None:
        columns = _by_lexer(block, header, wanted, lexer, piece)
    if "" in piece.missing_values and b'"' in block.data:
        columns = [_without_empty_text(column) for column in columns]
    lines = functools.cache(lambda: [line for line, _, _ in lexer.records(block, piece)])
    return convert_batch(
        piece.dataset,
        dict(zip(piece.dataset.source_names, columns, strict=True)),
        lambda row: f"{piece.place}, line {lines()[row]}",
        missing=piece.missing_values,
    )


def _by_arrow(block: Block, width: int, wanted: list[int], lexer: _Lexer, piece: Piece) -> list[pa.Array] | None:
    """The wanted columns as text, or None where Arrow refuses, or would take what is damaged."""
    import pyarrow as pa
    import pyarrow.csv

    if block.data.startswith(codecs.BOM_UTF8) or lexer.is_ambiguous(block.data) or (block.last and lexer.ends_in_quotes(block.data)):
        return None
    names = [str(number) for number in range(width)]
    used = [names[number] for number in wanted]
    parsing = pyarrow.csv.ParseOptions(delimiter=lexer.delimiter, newlines_in_values=b'"' in block.data)
    converting = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(used, pa.string()),
        include_columns=list(dict.fromkeys(used)),
        null_values=list(piece.missing_values),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    shares = [ARROW_BLOCK, len(block.data) + 1]  # a row that is longer than a share needs the second
    if _splits_a_line_end(block.data, ARROW_BLOCK):
        del shares[0]
    for size in shares:
        reading = pyarrow.csv.ReadOptions(column_names=names, block_size=size)
        try:
            table = pyarrow.csv.read_csv(pa.BufferReader(block.data), reading, parsing, converting)
        except pa.ArrowInvalid:
            continue
        return [table.column(name).combine_chunks() for name in used]
    return None


def _without_empty_text(column: pa.Array) -> pa.Array:
    """A quoted empty cell means what a bare one means: whoever quotes every cell has no other way to leave one out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _splits_a_line_end(data: bytes, size: int) -> bool:
    """Whether one of these shares begins with the line feed of a carriage return: Arrow skips it, even within quotes."""
    return any(data[border - 1 : border + 1] == b"\r\n" for border in range(size, len(data), size))


def _by_lexer(block: Block, header: list[str], wanted: list[int], lexer: _Lexer, piece: Piece) -> list[pa.Array]:
    import pyarrow as pa

    missing = {value.encode() for value in piece.missing_values}
    columns: list[list[bytes | None]] = [[] for _ in wanted]
    for line, cells, _ in lexer.records(block, piece):
        if len(cells) != len(header):
            names = ", ".join(name or "a column without a name" for name in header)[:300]
            hint = f"Is a cell with a {lexer.delimiter!r} in it not quoted, or is the file cut off? Ask the source for a whole file."
            if not header[-1]:
                hint = f"Does the header end in a {lexer.delimiter!r} that its rows have not? Have the source write it without."
            raise piece.error(
                f"has {len(cells)} cell{'s' * (len(cells) != 1)}, and the header has {len(header)} ({names}). {hint}", line=line
            )
        for column, cell in zip(columns, (cells[number] for number in wanted), strict=True):
            column.append(None if cell in missing and not isinstance(cell, _QuotedWord) else cell)
    arrays = [pa.array(column, pa.binary()) for column in columns]
    try:
        return [array.cast(pa.string()) for array in arrays]
    except pa.ArrowInvalid:
        raise not_in_its_encoding(block, piece) from None


class _QuotedWord(bytes):
    """A cell in quotes whose text, without them, would mean that there is no value."""


class _Lexer:
    """Cuts text into rows and rows into cells as Arrow and Python's `csv` both do.

    A cell that begins with a quote goes on to the next single quote; two quotes in it are one. What follows the closing
    quote, and quotes in cells that do not begin with one, stand for themselves.

    :param delimiter: the one character between two cells
    :param missing_values: texts that stand for no value; one in quotes is a `_QuotedWord`
    """

    def __init__(self, delimiter: str, missing_values: Collection[str]) -> None:
        self.delimiter = delimiter
        words = "|".join(re.escape(word.encode().decode(BYTES)) for word in missing_values if word)
        border = f"[^{re.escape(delimiter)}\r\n]"
        self._quoted_word = re.compile(f'(?<!{border})"(?=(?:{words})"(?!{border}))') if words else None
        self._after_nothing = re.compile(f'""(?:{words})(?!{border})'.encode(BYTES)) if words else None
        self._around = np.zeros(256, dtype=bool)
        self._around[list(delimiter.encode() + b"\r\n")] = True

    def end_of_rows(self, data: bytes) -> int:
        """Find where the last whole row ends.

        :param data: text in UTF-8, which begins with a row
        :returns: how many of its bytes, from the first, are whole rows
        """
        if b'"' not in data:
            return end_of_lines(data)
        codes = np.frombuffer(data, dtype=np.uint8)
        quotes = np.flatnonzero(codes == ord('"'))
        if not self._all_in_pairs(codes, quotes):
            return self._end_by_lexing(data)
        ends = np.flatnonzero(codes == ord("\n"))
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
        return int(ends[-1]) + 1 if len(ends) else self._end_by_lexing(data)

    def records(self, block: Block, piece: Piece) -> Iterator[tuple[int, list[bytes], int]]:
        """Cut a block into rows.

        :param block: whole rows
        :param piece: what the block is of
        :yields: of every row that is not blank its line, its cells, and where it ends in the block
        :raises DataError: when a quote opens that never closes
        """
        for before, texts, end in self._rows(block.data):
            line, cells = block.first_line + before, list(map(self._cell, texts))
            if end is None:
                line += sum(map(count_lines, cells[:-1]))
                raise DataError(piece.message("opens a quote that never closes. Ask the source for a whole file.", line=line))
            if cells:
                yield line, cells, end

    def is_ambiguous(self, data: bytes) -> bool:
        """Say whether a word for no value follows an empty pair of quotes, which Arrow takes for quoted, and this for a bare word.

        :param data: text in UTF-8
        :returns: whether there may be such a cell
        """
        return self._after_nothing is not None and b'""' in data and self._after_nothing.search(data) is not None

    def ends_in_quotes(self, data: bytes) -> bool:
        """Say whether a text breaks off within quotes.

        :param data: text in UTF-8, which begins with a row
        :returns: whether its last cell opens a quote that does not close
        """
        return b'"' in data and any(end is None for _, _, end in self._rows(data[self.end_of_rows(data) :]))

    def _rows(self, data: bytes) -> Iterator[tuple[int, list[str], int | None]]:
        """Of every row the number of lines before it, its cells (none when it is blank), and its end: None when a quote is open there."""
        lines = data.splitlines(keepends=True)
        rows = csv.reader(itertools.chain(map(self._marked, lines), [""]), delimiter=self.delimiter)
        before = end = 0
        for cells in rows:
            if rows.line_num > len(lines):
                if before < len(lines):  # it took the line that we added
                    yield before, cells, None
                return
            end += sum(map(len, lines[before : rows.line_num]))
            yield before, cells, end
            before = rows.line_num

    def _marked(self, line: bytes) -> str:
        """The line as `csv` reads it, which drops quotes: with a mark where a word is quoted that would otherwise mean no value."""
        text = line.decode(BYTES)
        return self._quoted_word.sub(f'"{MARK}', text) if self._quoted_word else text

    @staticmethod
    def _cell(text: str) -> bytes:
        if MARK not in text:
            return text.encode(BYTES)
        plain = text.replace(MARK, "").encode(BYTES)
        return _QuotedWord(plain) if text == f"{MARK}{plain.decode(BYTES)}" else plain

    def _all_in_pairs(self, codes: np.ndarray, quotes: np.ndarray) -> bool:
        """Whether each quote opens at the beginning of a cell, closes at its end, or is one of two: so counting them is enough."""
        inner = len(codes) - 1
        opening, closing = quotes[0::2], quotes[1::2]
        opens = (opening == 0) | self._around[codes[np.maximum(opening - 1, 0)]]
        opens[1:] |= opening[1:] == closing[: len(opening) - 1] + 1
        closes = (closing == inner) | self._around[codes[np.minimum(closing + 1, inner)]]
        closes[: len(opening) - 1] |= opening[1:] == closing[: len(opening) - 1] + 1
        return bool(opens.all() and closes.all())

    def _end_by_lexing(self, data: bytes) -> int:
        return max((end for _, _, end in self._rows(data) if end is not None and end < len(data)), default=0)
