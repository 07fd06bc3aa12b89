"""Files under EVERGREEN_STORAGE: a local folder, or any URL that fsspec knows.

Callers name files by paths relative to it, so that the database stays true when the storage moves. A file appears whole
or not at all.
"""

from __future__ import annotations

import io
import os
import posixpath
import secrets
from typing import TYPE_CHECKING, cast

from include.evergreen.errors import ConfigError, DataError, TransientError
from include.evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from fsspec import AbstractFileSystem


def write_frame(path: str, frame: pd.DataFrame) -> None:
    """Write ``frame`` as Parquet, without its index."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    write_bytes(path, buffer.getvalue())


def read_frame(path: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file, all of it or some columns."""
    import pandas as pd

    return pd.read_parquet(io.BytesIO(read_bytes(path)), columns=columns)


def write_bytes(path: str, content: bytes) -> None:
    """Write a file atomically. Raises `TransientError` when the disk or the server refuses."""
    filesystem, whole = _locate(path)
    try:
        if "file" not in filesystem.protocol:
            filesystem.pipe_file(whole, content)  # object stores show an object only when it is complete
            return
        os.makedirs(posixpath.dirname(whole), exist_ok=True)
        unfinished = f"{whole}.{secrets.token_hex(4)}.unfinished"
        try:
            with open(unfinished, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, whole)
        finally:
            if os.path.exists(unfinished):
                os.unlink(unfinished)
    except OSError as error:
        raise TransientError(f"{whole} could not be written: {error}. Is there room, and may this process write there?") from error


def read_bytes(path: str) -> bytes:
    """Read a file. Raises `DataError` when it is not there, `TransientError` when the storage does not answer."""
    filesystem, whole = _locate(path)
    try:
        return cast(bytes, filesystem.cat_file(whole))
    except FileNotFoundError as error:
        raise DataError(f"{whole} is recorded in the database but is not in the storage. Ingest or score it again.") from error
    except OSError as error:
        raise TransientError(f"{whole} could not be read: {error}") from error


def exists(path: str) -> bool:
    """Whether the file is there. Raises `TransientError` when the storage does not answer."""
    filesystem, whole = _locate(path)
    try:
        return bool(filesystem.exists(whole))
    except OSError as error:
        raise TransientError(f"{whole} could not be looked for: {error}") from error


def _locate(path: str) -> tuple[AbstractFileSystem, str]:
    import fsspec

    storage = Settings.from_environment().storage
    try:
        filesystem, root = fsspec.core.url_to_fs(storage)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"EVERGREEN_STORAGE is {storage!r}, which fsspec cannot open: {error}. Give a folder or a known URL.") from error
    return filesystem, posixpath.join(root, path)
