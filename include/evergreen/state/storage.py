"""Files under EVERGREEN_STORAGE: a local folder, or any URL that fsspec knows.

Callers name files by paths relative to it, so that the database stays true when the storage moves. A file appears whole
or not at all.
"""

from __future__ import annotations

import datetime as dt
import os
import posixpath
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from fsspec import AbstractFileSystem

UNFINISHED = ".unfinished"  # where a local storage keeps files that are being written


@dataclass(frozen=True)
class StoredFile:
    """A file of the storage: its path below the root, its size in bytes and when it was last written (UTC)."""

    path: str
    size: int
    modified: dt.datetime


def write_frame(path: str, frame: pd.DataFrame) -> None:
    """Write a data frame as Parquet, whole or not at all. Raises `TransientError` when the disk or the server refuses.

    :param path: of the file, below the storage's root
    :param frame: the rows; its index is left out
    """
    with scratch_file() as scratch:
        with refusals(str(scratch)):
            frame.to_parquet(scratch, index=False)
        keep_file(scratch, path)


def read_frame(path: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file into pandas. Raises what `read_table` does.

    :param path: of the file, below the storage's root
    :param columns: the names of those to read, and nothing else of the file; None for all
    :returns: the rows in the file's order, numbered from 0
    """
    return cast("pd.DataFrame", read_table(path, columns).to_pandas(use_threads=False))


def read_table(path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file as `read_frame` does, into Arrow.

    Raises `DataError` when the file is not there, is damaged or is no Parquet file, `TransientError` when the storage does not answer.

    :param path: of the file, below the storage's root
    :param columns: the names of those to read, and nothing else of the file; None for all
    :returns: the rows in the file's order
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    filesystem, whole = _locate(path)
    with _absence(whole), pa.OSFile(whole) if _is_local(filesystem) else filesystem.open(whole, "rb") as file, damage(whole):
        return pq.ParquetFile(file).read(columns=list(columns) if columns is not None else None, use_threads=False)


@contextmanager
def damage(subject: str) -> Iterator[None]:
    """Turn what Arrow raises over damaged bytes into an error that is not worth a retry. What a disk or a server says passes through.

    :param subject: the file that is read, for people
    :yields: once, to read Parquet and do nothing else
    :raises DataError: when the bytes are no Parquet
    :raises MemoryError: when memory does not suffice, or a damaged length asks for too much: nobody can tell
    :raises OSError: of the disk or the server; Arrow's own, of a damaged page, has no number
    """
    import pyarrow as pa

    try:
        yield
    except MemoryError:
        raise
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:
            raise
        raise DataError(_damaged(subject, error)) from error
    except (pa.ArrowException, ValueError, LookupError, OverflowError, NotImplementedError) as error:
        raise DataError(_damaged(subject, error)) from error


def _damaged(subject: str, error: Exception) -> str:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return f"{subject} is damaged and cannot be read: {said}. Ingest or score it again."


def write_bytes(path: str, content: bytes) -> None:
    """Write a file, whole or not at all. Raises `TransientError` when the disk or the server refuses.

    :param path: of the file, below the storage's root; one that is there is replaced
    :param content: all of it
    """
    with scratch_file() as scratch:
        with refusals(str(scratch)):
            scratch.write_bytes(content)
        keep_file(scratch, path)


def read_bytes(path: str) -> bytes:
    """Read a file into memory. Raises `DataError` when it is not there, `TransientError` when the storage does not answer.

    :param path: of the file, below the storage's root
    :returns: all of its content
    """
    filesystem, whole = _locate(path)
    with _absence(whole):
        return cast(bytes, filesystem.cat_file(whole))


def exists(path: str) -> bool:
    """Say whether something lies at a path. Raises `TransientError` when the storage does not answer.

    :param path: of a file or a folder, below the storage's root
    :returns: whether it is there
    """
    filesystem, whole = _locate(path)
    with _absence(whole):
        return bool(filesystem.exists(whole))


@contextmanager
def scratch_file() -> Iterator[Path]:
    """Have a place on a local disk to write a file of any size to, for `keep_file`. Raises `TransientError` when the disk refuses.

    :yields: a path at which nothing lies yet, and nothing afterwards: what is not kept is removed
    """
    filesystem, root = _locate("")
    folder = Path(root, UNFINISHED) if _is_local(filesystem) else Path(tempfile.gettempdir())
    scratch = folder / f"evergreen-{os.getpid()}-{secrets.token_hex(6)}"
    with refusals(str(scratch)):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def keep_file(scratch: Path, path: str) -> None:
    """Make a `scratch_file` the content of a path, whole or not at all; raises `TransientError` when the disk or the server refuses.

    :param scratch: a file that `scratch_file` named, and that is written; it is moved where the storage is a local folder
    :param path: of the file, below the storage's root; one that is there is replaced
    :raises FileNotFoundError: when its folder is removed each time that it is made; `refusals` makes `TransientError` of it
    """
    filesystem, whole = _locate(path)
    with refusals(whole):
        if not _is_local(filesystem):
            filesystem.put_file(str(scratch), whole)  # object stores show an object only when it is complete
            return
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())
        for another_try in (True, True, False):
            os.makedirs(posixpath.dirname(whole), exist_ok=True)
            try:
                os.replace(scratch, whole)
            except FileNotFoundError:  # maintenance removed the folder, which was empty until now
                if not another_try:
                    raise
            else:
                return


@contextmanager
def local_file(path: str) -> Iterator[Path]:
    """Have a file on a local disk, itself or a copy for as long as it is needed; raises `TransientError` when the storage does not answer.

    :param path: of the file, below the storage's root
    :yields: where it lies; only to be read
    :raises DataError: when the file is not there
    """
    filesystem, whole = _locate(path)
    if _is_local(filesystem):
        if not os.path.exists(whole):
            raise DataError(_absent(whole))
        yield Path(whole)
        return
    with scratch_file() as scratch:
        with _absence(whole):
            filesystem.get_file(whole, str(scratch))
        yield scratch


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Have a file open to read parts of it, of which nothing else is fetched.

    Raises `DataError` when the file is not there, `TransientError` when the storage does not answer.

    :param path: of the file, below the storage's root
    :yields: the file, which seeks; each read of a remote one is a request
    """
    import pyarrow as pa

    filesystem, whole = _locate(path)
    with _absence(whole), pa.OSFile(whole) if _is_local(filesystem) else filesystem.open(whole, "rb", cache_type="none") as file:
        yield file


def remove(path: str) -> None:
    """Remove a file, and the folders that it leaves empty; one that is not there counts as removed.

    :param path: of the file, below the storage's root
    :raises TransientError: when the storage refuses, or does not answer
    """
    filesystem, whole = _locate(path)
    try:
        filesystem.rm_file(whole)
    except FileNotFoundError:
        return
    except _refused() as error:
        raise TransientError(f"{whole} could not be removed: {error}. May this process write there?") from error
    if _is_local(filesystem):
        _remove_empty_folders(Path(whole).parent, Path(_locate("")[1]))


def find(path: str) -> StoredFile | None:
    """Look one file up.

    :param path: of the file, below the storage's root
    :returns: what is known of it; None when it is not there, or is a folder
    :raises TransientError: when the storage does not answer
    """
    filesystem, whole = _locate(path)
    try:
        filesystem.invalidate_cache()  # object stores answer from a listing that may be old
        facts = filesystem.info(whole)
    except FileNotFoundError:
        return None
    except _refused() as error:
        raise TransientError(f"{whole} could not be looked at: {error}") from error
    return StoredFile(path, int(facts["size"] or 0), _written(facts)) if facts["type"] == "file" else None


def files(folder: str) -> Iterator[StoredFile]:
    """List every file below a folder of the storage, unfinished ones too.

    :param folder: below the storage's root; empty for all of the storage
    :yields: the files, sorted by their paths; none when the folder is not there
    :raises TransientError: when the storage does not answer
    """
    filesystem, root = _locate("")
    whole = posixpath.join(root, folder) if folder else root
    try:
        filesystem.invalidate_cache()
        listing = filesystem.find(whole, detail=True)
    except FileNotFoundError:
        return
    except _refused() as error:
        raise TransientError(f"{whole} could not be listed: {error}") from error
    prefix = root.rstrip("/") + "/"
    for name, facts in sorted(listing.items()):
        yield StoredFile(name.removeprefix(prefix), int(facts["size"]), _written(facts))


def unfinished_files() -> list[Path]:
    """List the scratch files on this machine's disk.

    :returns: their paths, sorted; those of processes that are still at work are among them
    """
    filesystem, root = _locate("")
    folder = Path(root, UNFINISHED) if _is_local(filesystem) else Path(tempfile.gettempdir())
    return sorted(path for path in folder.glob("evergreen-*-*") if path.is_file())


@contextmanager
def refusals(subject: str, *, doing: str = "written") -> Iterator[None]:
    """Turn what a disk or a server says to a write, or to what else is being done, into an error that is worth a retry.

    :param subject: what is written, for people
    :param doing: the participle of what is done to it: ``written``, ``read``, ``listed``
    :yields: once
    :raises TransientError: when the disk or the server refuses
    """
    try:
        yield
    except _refused() as error:
        hint = "Is there room, and may this process write there?" if doing == "written" else "May this process read there?"
        raise TransientError(f"{subject} could not be {doing}: {error}. {hint}") from error


@contextmanager
def _absence(subject: str) -> Iterator[None]:
    """What a disk or a server says to a read, as `DataError` or `TransientError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(_absent(subject)) from error
    except _refused() as error:
        raise TransientError(f"{subject} could not be read: {error}") from error


def _refused() -> tuple[type[Exception], ...]:
    """What disks raise, and what the clients of object stores do, where they are in use: theirs are no `OSError`."""
    botocore, aiohttp = sys.modules.get("botocore.exceptions"), sys.modules.get("aiohttp")
    of_clients = [botocore.BotoCoreError, botocore.ClientError] if botocore else []
    return (OSError, *of_clients, *([aiohttp.ClientError] if aiohttp else []))


def _absent(subject: str) -> str:
    return f"{subject} is recorded in the database but is not in the storage. Ingest or score it again."


def _remove_empty_folders(folder: Path, root: Path) -> None:
    while folder != root and root in folder.parents:
        try:
            folder.rmdir()
        except OSError:  # not empty, or another process was quicker
            return
        folder = folder.parent


def _written(facts: Mapping[str, object]) -> dt.datetime:
    """When a file was last written, as each of fsspec's file systems says it; now, when it does not say, so that nobody thinks it old."""
    value = facts.get("mtime") or facts.get("LastModified") or facts.get("updated") or facts.get("created")
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC)
    return dt.datetime.fromtimestamp(float(cast(float, value)), dt.UTC) if value else dt.datetime.now(dt.UTC)


def _is_local(filesystem: AbstractFileSystem) -> bool:
    return "file" in filesystem.protocol


def _locate(path: str) -> tuple[AbstractFileSystem, str]:
    import fsspec

    storage = Settings.from_environment().storage
    try:
        filesystem, root = fsspec.core.url_to_fs(storage, use_listings_cache=False)  # other processes write there too
    except (ValueError, ImportError) as error:
        raise ConfigError(f"EVERGREEN_STORAGE is {storage!r}, which fsspec cannot open: {error}. Give a folder or a known URL.") from error
    return filesystem, posixpath.join(root, path) if path else root
