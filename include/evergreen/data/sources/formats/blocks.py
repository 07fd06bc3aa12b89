"""A stream of text cut into blocks of whole rows, in UTF-8, each knowing its first line."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from include.evergreen.data.sources.formats import SIGNATURES, Piece
from include.evergreen.foundation.errors import DataError

BLOCK_BYTES = 8 * 1024**2
LONGEST_ROW = 64 * 1024**2  # bytes: one row may not fill the memory
_UTF_8 = {"utf-8", "utf-8-sig"}


@dataclass(frozen=True)
class Block:
    """Whole rows, and the number of the line that they begin at. Only in the ``last`` one may a row lack its end."""

    data: bytes
    first_line: int
    last: bool = False


def read_blocks(file: BinaryIO, piece: Piece, end_of_rows: Callable[[bytes], int]) -> Iterator[Block]:
    """Cut a file of text into blocks of whole rows, of about `BLOCK_BYTES`.

    :param file: its bytes, in the encoding that ``piece`` declares
    :param piece: what is read, for errors
    :param end_of_rows: says how many of the bytes that it gets, from the first, are whole rows
    :yields: the blocks, in UTF-8 and without a byte order mark; none for an empty file
    :raises DataError: when the text is in another encoding, has NUL characters, or has a row longer than `LONGEST_ROW` bytes
    """
    held, line = b"", 1
    for chunk in _utf8_chunks(file, piece):
        held += chunk
        end = end_of_rows(held)
        if end:
            block = Block(held[:end], line)
            _refuse_nul(block, piece)
            yield block
            line += count_lines(block.data)
            held = held[end:]
        elif len(held) > LONGEST_ROW:
            _refuse_nul(Block(held, line), piece)
            trouble = (
                f"has a row that does not end within {LONGEST_ROW // 1024**2} MB. Has it line ends, and does every quote that opens close? "
                f"Ask the source for a whole file."
            )
            raise DataError(piece.message(trouble, line=line))
    if held:
        block = Block(held, line, last=True)
        _refuse_nul(block, piece)
        yield block


def end_of_lines(data: bytes) -> int:
    """Find where the last line ends that surely does: a carriage return at the very end may have its line feed to come.

    :param data: text in UTF-8
    :returns: how many bytes whole lines have, their ends included; 0 when no line ends
    """
    return data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, -1) + 1


def count_lines(data: bytes) -> int:
    """Count the lines that end in some text.

    :param data: text in UTF-8; its lines may end in a line feed, a carriage return or both
    :returns: how many line ends there are; a last line without one does not count
    """
    returns = data.count(b"\r")
    return data.count(b"\n") + (returns - data.count(b"\r\n") if returns else 0)


def not_in_its_encoding(block: Block, piece: Piece) -> DataError:
    """Make the error about the first character of a block that is not UTF-8, for the caller to raise.

    :param block: some bytes of which are not UTF-8
    :param piece: what the block is of
    :returns: the error, with the character's line
    :raises AssertionError: when all of the block is UTF-8, which is the caller's mistake
    """
    try:
        block.data.decode()
    except UnicodeDecodeError as error:
        line = block.first_line + count_lines(block.data[: error.start])
        return _not_in(piece.csv.encoding, line, block.data[error.start], piece)
    raise AssertionError("all of it is UTF-8")


def _utf8_chunks(file: BinaryIO, piece: Piece) -> Iterator[bytes]:
    encoding = codecs.lookup(piece.csv.encoding).name
    first = True
    decoder = None if encoding in _UTF_8 else codecs.getincrementaldecoder(encoding)()
    line = 1
    while True:
        chunk = file.read(BLOCK_BYTES)
        if first:
            _refuse_other_kinds(chunk, encoding, piece)
        if decoder is not None:
            try:
                text = decoder.decode(chunk, final=not chunk)
                converted = text.encode()
            except UnicodeError as error:
                start = getattr(error, "start", 0)
                wrong = error.object[start : start + 1] if isinstance(error, UnicodeDecodeError) else b"?"
                before = error.object[:start] if isinstance(error, UnicodeDecodeError) else b""
                raise _not_in(piece.csv.encoding, line + before.count(b"\n"), wrong[0] if wrong else 0, piece) from None
            line += converted.count(b"\n")
            if converted:
                yield converted
        elif chunk:
            yield chunk.removeprefix(codecs.BOM_UTF8) if first else chunk
        if not chunk:
            return
        first = False


def _refuse_other_kinds(start: bytes, encoding: str, piece: Piece) -> None:
    for signature, kind in SIGNATURES.items():
        if start.startswith(signature) and not (kind.startswith("UTF-16") and encoding.startswith("utf-16")):
            setting = "csv.encoding: utf-16" if kind.startswith("UTF-16") else "the format or the compression"
            raise piece.error(f"is {kind}, and is declared as text in {encoding}. Declare {setting} in the source, or have it write text.")


def _refuse_nul(block: Block, piece: Piece) -> None:
    if (position := block.data.find(b"\0")) >= 0:
        raise piece.error(
            "has a NUL character, which no text has: the file is damaged, or is in another encoding such as UTF-16. "
            "Ask the source for a whole file, or declare csv.encoding.",
            line=block.first_line + count_lines(block.data[:position]),
        )


def _not_in(encoding: str, line: int, byte: int, piece: Piece) -> DataError:
    others = "latin-1 or cp1252" if encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"} else "utf-8"
    return piece.error(
        f"is not written in {encoding} (byte 0x{byte:02x}). Have the source write {encoding}, or declare its encoding, "
        f"such as csv.encoding: {others}.",
        line=line,
    )
