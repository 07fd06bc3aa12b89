"""Files as they are delivered, into streams of bytes: gzip and zip are unpacked on the way, and never beyond a limit."""

from __future__ import annotations

import errno
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from include.evergreen.config import DatasetConfig
from include.evergreen.config.sources import FileFormat
from include.evergreen.data.sources import formats
from include.evergreen.data.sources.formats import Piece
from include.evergreen.foundation.errors import DataError, EvergreenError, TransientError
from include.evergreen.state import storage

if TYPE_CHECKING:
    import pyarrow as pa

SEEKING = {"parquet"}  # formats that are read from their end
CHUNK = 1024**2
COMPRESSIONS = {".gz": "gzip", ".zip": "zip"}
NOT_DATA = ("__MACOSX/",)  # what some zip programs add


@dataclass(frozen=True)
class DeliveredFile:
    """A file of a partition: its name for people, and how to open it.

    ``state`` says what changes when the file is written again (its size, when it was written); None where nobody knows.
    """

    place: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    state: Callable[[], object] = lambda: None


def read_files(dataset: DatasetConfig, form: FileFormat, files: list[DeliveredFile], undeclared: list[str]) -> Iterator[pa.RecordBatch]:
    """Read the rows of a partition's files, one file after the other.

    Raises `DataError` when a file is not there, or its content does not fit.

    :param dataset: which declares the columns
    :param form: the format and the compression of the files, and the most bytes that they may have together, unpacked
    :param files: each is opened when the one before it was read
    :param undeclared: gets the names of columns that files have and ``dataset`` does not declare
    :yields: batches in the schema of `arrow_schema`
    :raises TransientError: when a file cannot be read, or was written to meanwhile
    """
    budget = _Budget(dataset, form.max_bytes)
    for delivered in files:
        piece = Piece(dataset, delivered.place, form.csv, form.missing_values, undeclared, form.max_bytes)
        before = delivered.state()
        with ExitStack() as leaving:
            raw = cast(BinaryIO, _Steady(leaving.enter_context(_opened(dataset, delivered)), dataset, delivered.place))
            for member, stream in _unpacked(raw, form.compression, piece):
                yield from _rows(stream, form.format, member, budget, packed=stream is not raw)
        if delivered.state() != before:
            raise TransientError(f"{dataset.name}: {delivered.place} was written to while it was read. Try again when it is whole.")


def no_file(dataset: DatasetConfig, place: str) -> str:
    """Write the error about a file that is not there.

    :param dataset: whose source is read
    :param place: the file, for people
    :returns: the message, for the caller to raise
    """
    return (
        f"{dataset.name}: the source has no file {place}. Has the system that delivers it done so? "
        f"Ingest the partition again once the file is there."
    )


@contextmanager
def answering(dataset: DatasetConfig, place: str) -> Iterator[None]:
    """Turn whatever a filesystem raises into an error that is worth a retry; our own errors pass.

    :param dataset: whose source is read
    :param place: what is read, for people
    :yields: once
    :raises TransientError: for any error that is not ours
    :raises EvergreenError: as it was raised within the context
    """
    try:
        yield
    except EvergreenError:
        raise
    except Exception as error:  # filesystems of all kinds raise what they like
        raise TransientError(_not_read(dataset, place, error)) from error


def _opened(dataset: DatasetConfig, delivered: DeliveredFile) -> AbstractContextManager[BinaryIO]:
    with answering(dataset, delivered.place):
        try:
            return delivered.open()
        except FileNotFoundError as error:
            raise DataError(no_file(dataset, delivered.place)) from error


def _rows(stream: BinaryIO, form: str, piece: Piece, budget: _Budget, *, packed: bool) -> Iterator[pa.RecordBatch]:
    if form not in SEEKING:
        yield from formats.read(form, cast(BinaryIO, _Metered(stream, piece, budget)), piece)
        return
    if not packed:
        yield from _counted(formats.read(form, stream, _within(budget, piece)), piece, budget)
        return
    with storage.scratch_file() as scratch:
        with storage.refusals(str(scratch)), scratch.open("wb") as copy:
            metered = _Metered(stream, piece, budget)
            while chunk := metered.read(CHUNK):
                copy.write(chunk)
        with scratch.open("rb") as file:
            yield from _counted(formats.read(form, file, _within(budget, piece)), piece, budget)


def _within(budget: _Budget, piece: Piece) -> Piece:
    return replace(piece, max_bytes=max(0, budget.max_bytes - budget.spent))


def _counted(batches: Iterator[pa.RecordBatch], piece: Piece, budget: _Budget) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        budget.spend(batch.nbytes, piece)
        yield batch


def _unpacked(raw: BinaryIO, compression: str, piece: Piece) -> Iterator[tuple[Piece, BinaryIO]]:
    if compression == "infer":
        compression = COMPRESSIONS.get(PurePosixPath(piece.place).suffix.lower(), "none")
    if compression == "gzip":
        yield piece, cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb"))
    elif compression == "zip":
        yield from _members(raw, piece)
    else:
        yield piece, raw


def _members(raw: BinaryIO, piece: Piece) -> Iterator[tuple[Piece, BinaryIO]]:
    """The files in a zip archive, by name."""
    try:
        archive = zipfile.ZipFile(raw)
        members = sorted(archive.infolist(), key=lambda member: member.filename)
    except EvergreenError:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise errors of many kinds
        raise _damaged(piece, "zip archive", error) from error
    for member in members:
        if not member.filename:
            raise piece.error("is a zip archive that is damaged: a member has no name. Ask the source for a whole file.")
        _refuse_climbing(member.orig_filename, piece)
        _refuse_climbing(member.filename, piece)
    members = [member for member in members if _is_data(member)]
    if not members:
        raise piece.error("is a zip archive without files. Ask the source for a whole one.")
    for member in members:
        if member.flag_bits & 1:
            raise piece.error(
                f"has the encrypted member {member.filename[:200]!r}, which cannot be read. Have it delivered without a password."
            )
        within = replace(piece, place=f"{piece.place}/{member.filename}")
        try:
            stream = archive.open(member)
        except EvergreenError:
            raise
        except Exception as error:
            raise _damaged(within, "member of a zip archive", error) from error
        with stream:
            yield within, cast(BinaryIO, stream)


def _is_data(member: zipfile.ZipInfo) -> bool:
    hidden = PurePosixPath(member.filename).name.startswith(".")
    return not (member.is_dir() or hidden or member.filename.startswith(NOT_DATA))


def _refuse_climbing(name: str, piece: Piece) -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise piece.error(
            f"has the member {name[:200]!r}, whose path leads out of the archive; allowed are names within it. "
            f"Ask the source what it sends: a sound archive has no such names."
        )


class _Budget:
    """How many bytes a partition may still have.

    :param dataset: whose partition it is
    :param max_bytes: what it may have in all, unpacked
    """

    def __init__(self, dataset: DatasetConfig, max_bytes: int) -> None:
        self.dataset, self.max_bytes, self.spent = dataset, max_bytes, 0

    def spend(self, count: int, piece: Piece) -> None:
        self.spent += count
        if self.spent > self.max_bytes:
            raise piece.error(
                f"makes the partition larger, unpacked, than the {self.max_bytes} bytes that the source's max_bytes allows. "
                f"Is it what was asked for? Raise max_bytes if it is."
            )


class _Metered(io.RawIOBase):
    """What is read of a stream, counted; what unpacking says about damage, as `DataError`.

    :param stream: unpacked bytes
    :param piece: what is read, for errors
    :param budget: of the partition; each byte that is read is spent
    """

    def __init__(self, stream: BinaryIO, piece: Piece, budget: _Budget) -> None:
        self._stream, self._piece, self._budget = stream, piece, budget

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            chunk = self._stream.read(size if size >= 0 else CHUNK)
        except EvergreenError:
            raise
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError) as error:
            raise _damaged(self._piece, "packed file", error) from error
        self._budget.spend(len(chunk), self._piece)
        return chunk


class _Steady(io.RawIOBase):
    """A file whose every failure to be read is worth a retry; so that what else raises is about content.

    :param file: as it was delivered, perhaps packed
    :param dataset: whose source is read, for errors
    :param place: the file, for people
    """

    def __init__(self, file: BinaryIO, dataset: DatasetConfig, place: str) -> None:
        self._file, self._dataset, self._place = file, dataset, place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def read(self, size: int = -1) -> bytes:
        """Read as many bytes as are asked for, unless the file ends: Parquet's reader does not ask again for what is left.

        :param size: how many bytes; -1 for all
        :returns: that many, or what is left; empty at the end
        """
        chunks = [cast(bytes, self._tried(self._file.read, size))]
        missing = size - len(chunks[0])
        while missing > 0 and chunks[-1]:
            chunks.append(cast(bytes, self._tried(self._file.read, missing)))
            missing -= len(chunks[-1])
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def seek(self, offset: int, whence: int = 0) -> int:
        return cast(int, self._tried(self._file.seek, offset, whence))

    def tell(self) -> int:
        return cast(int, self._tried(self._file.tell))

    def _tried(self, call: Callable[..., Any], *arguments: object) -> Any:
        try:
            return call(*arguments)
        except EvergreenError:
            raise
        except Exception as error:
            if isinstance(error, ValueError) or (isinstance(error, OSError) and error.errno == errno.EINVAL):
                # A seek to before the beginning, which a damaged archive or Parquet file asks for.
                raise OSError(errno.EINVAL, "it is shorter than it says") from error
            raise TransientError(_not_read(self._dataset, self._place, error)) from error


def _not_read(dataset: DatasetConfig, place: str, error: Exception) -> str:
    return f"{dataset.name}: {place} could not be read: {error}. Is its disk or server there, and may this process read it? Then try again."


def _damaged(piece: Piece, kind: str, error: Exception) -> DataError:
    trouble = str(error) or type(error).__name__
    return piece.error(f"is a {kind} that is cut off or damaged: {trouble[:200]}. Ask the source for a whole file.")
