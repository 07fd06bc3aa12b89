"""Verifies stored rows: reads them again, and compares their digest with the recorded one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from include.evergreen.data.partitions.files import read_batches, read_schema
from include.evergreen.foundation.digest import ContentDigest
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.state import storage

State = Literal["whole", "missing", "changed"]


@dataclass(frozen=True)
class StoredRows:
    """What a file of the storage holds now. ``digest`` is empty unless the rows could be read; ``message`` says why not."""

    state: State
    digest: str
    rows: int
    message: str


def file_digest(path: str) -> tuple[str, int]:
    """Compute the content digest of a stored Parquet file, in the order in which its rows lie.

    Memory is that of a few batches. Raises `DataError` when the file is missing or damaged.

    :param path: of the file, below the storage's root
    :returns: the digest in hex, and the number of rows
    :raises TransientError: when the storage does not answer, or when memory does not suffice
    """
    with storage.local_file(path) as file, storage.refusals(path, doing="read"):
        try:
            digest = ContentDigest(read_schema(file))
            for batch in read_batches(file):
                digest.update(batch)
        except MemoryError as error:  # or a damaged length: nobody can tell
            raise TransientError(
                f"{path} needs more memory to be read than there is: {error}. If it always does, it is damaged."
            ) from error
    return digest.hexdigest(), digest.rows


def stored_rows(path: str, digest: str) -> StoredRows:
    """Say whether a stored Parquet file still holds the rows that were recorded.

    Raises `TransientError` when the storage does not answer, which says nothing about the rows.

    :param path: of the file, below the storage's root
    :param digest: the content digest that was recorded, in hex
    :returns: what it holds now; a file that is missing or damaged is said to be so, and raises nothing
    """
    if not storage.exists(path):
        return StoredRows("missing", "", 0, f"{path} is not in the storage")
    try:
        actual, rows = file_digest(path)
    except DataError as error:
        return StoredRows("changed", "", 0, str(error))
    if actual != digest:
        return StoredRows("changed", actual, rows, f"{path} has {rows} rows with digest {actual[:12]}; {digest[:12]} was recorded")
    return StoredRows("whole", actual, rows, "")
