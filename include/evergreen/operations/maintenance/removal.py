"""Removes files of the storage one by one, each with its reason in the log, and counts them."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from include.evergreen.state import storage

log = logging.getLogger(__name__)
PROGRESS_EVERY_FILES = 500


@dataclass(frozen=True)
class Removal:
    """A file that was removed, or in a dry run would be: its size in bytes, and why."""

    path: str
    size: int
    why: str


def remove_files(wanted: Iterable[tuple[str, str]], *, written_before: dt.datetime, dry_run: bool) -> list[Removal]:
    """Remove files, each with its reason in the log.

    Files are named by their content: a run that is under way may just have written the same file again. That is why
    each is looked at once more, immediately before it goes.

    :param wanted: path in the storage, and why it goes
    :param written_before: what was written since then stays
    :param dry_run: remove nothing; only tell what would go
    :returns: what went, or would go; a file that is gone already is not among them
    """
    removed: list[Removal] = []
    for path, why in wanted:
        file = storage.find(path)
        if file is None or file.modified > written_before:
            continue
        if not dry_run:
            storage.remove(path)
        log.info("%s %s (%d bytes): %s", "would remove" if dry_run else "removed", path, file.size, why)
        removed.append(Removal(path, file.size, why))
        if len(removed) % PROGRESS_EVERY_FILES == 0:
            log.info("%d files so far, %d bytes", len(removed), sum(removal.size for removal in removed))
    return removed
