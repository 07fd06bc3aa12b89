"""Anchors: the ledger's newest entry of each day, kept outside the database.

Whoever can write to the database can cut the ledger's end off, or write it anew with hashes that fit. An anchor is written
once and never again, so it may lie where this process itself can change nothing any more: a bucket with object lock.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import posixpath
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.settings import Settings
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.ledger.entries import GENESIS, newest_entry

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

log = logging.getLogger(__name__)
ENDING = ".json"


@dataclass(frozen=True)
class Anchor:
    """``date`` (UTC) began its night with entry ``sequence``, of ``hash``, as the newest; 0 and GENESIS when there was none."""

    date: dt.date
    sequence: int
    hash: str


def anchor() -> tuple[Anchor, bool]:
    """Keep the ledger's newest entry as today's anchor, unless there is one for today.

    Raises `TransientError` when the place of the anchors, or the database, does not answer.

    :returns: today's anchor, and whether it is new
    :raises DataError: when the newest anchor names an entry that the ledger has not: its tail was cut
    """
    today = clock.now().date()
    known, _ = anchors()
    with reading() as connection:
        newest = newest_entry(connection)
    latest = Anchor(today, newest.sequence, newest.hash) if newest else Anchor(today, 0, GENESIS)
    if known and known[-1].sequence > latest.sequence:
        raise DataError(
            f"The ledger ends with entry {latest.sequence}, and the anchor of {known[-1].date} names entry {known[-1].sequence}: its tail "
            f"was cut. No anchor is written. Run `evergreen verify-ledger`, and restore the database from a backup."
        )
    if existing := next((kept for kept in known if kept.date == today), None):
        return existing, False
    content = json.dumps({**asdict(latest), "date": str(today)}).encode()
    if not _write_once(f"{today}{ENDING}", content):
        return anchor()  # another process was quicker
    log.info("the ledger's entry %d is the anchor of %s", latest.sequence, today)
    return latest, True


def anchors(place: str | None = None) -> tuple[list[Anchor], list[str]]:
    """Read the ledger's anchors, to compare the ledger with.

    Raises `TransientError` when the place does not answer, `ConfigError` when fsspec does not know it.

    :param place: a folder or a URL; by default where `anchor` writes them
    :returns: the anchors, oldest first, and one sentence for each that cannot be read
    """
    filesystem, folder = _locate(place)
    readable, problems = [], []
    for name in _names(filesystem, folder):
        try:
            document = json.loads(_read(filesystem, posixpath.join(folder, name)))
            readable.append(Anchor(dt.date.fromisoformat(document["date"]), int(document["sequence"]), str(document["hash"])))
        except (ValueError, KeyError, TypeError) as error:
            problems.append(f"the anchor {name} in {folder} is damaged ({error!r}), so nothing can be compared with it")
    return sorted(readable, key=lambda anchor: anchor.date), problems


def _names(filesystem: AbstractFileSystem, folder: str) -> list[str]:
    with storage.refusals(folder, doing="listed"):
        filesystem.invalidate_cache()
        try:
            paths = filesystem.ls(folder, detail=False)
        except FileNotFoundError:
            return []
    return sorted(name for name in map(posixpath.basename, paths) if name.endswith(ENDING) and not name.startswith("."))


def _read(filesystem: AbstractFileSystem, path: str) -> bytes:
    with storage.refusals(path, doing="read"):
        return bytes(filesystem.cat_file(path))


def _write_once(name: str, content: bytes) -> bool:
    """Write the file whole, unless one of that name is there; says whether it did."""
    filesystem, folder = _locate(None)
    path = posixpath.join(folder, name)
    with storage.refusals(path):
        try:
            if "file" not in filesystem.protocol:
                filesystem.pipe_file(path, content, mode="create")
                return True
            os.makedirs(folder, exist_ok=True)
            scratch = posixpath.join(folder, f".{name}-{os.getpid()}-{secrets.token_hex(4)}")
            try:
                with open(scratch, "xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(scratch, path)  # all of it at once, and only where nothing is
            finally:
                os.unlink(scratch)
        except FileExistsError:
            return False
    return True


def _locate(place: str | None) -> tuple[AbstractFileSystem, str]:
    import fsspec

    url = place or Settings.from_environment().ledger_anchors
    try:
        filesystem, folder = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise ConfigError(
            f"The ledger's anchors are to be at {url!r}, which fsspec cannot open: {error}. "
            f"Give a folder or a known URL in EVERGREEN_LEDGER_ANCHORS."
        ) from error
    return filesystem, folder
