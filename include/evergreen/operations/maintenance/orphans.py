"""Orphans: files that no record names, left by replaced predictions, stopped ingestions, and processes that were killed."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from include.evergreen.config import Catalog
from include.evergreen.config.datasets import Retention
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.operations.maintenance.limits import Limits
from include.evergreen.operations.maintenance.records import (
    OF_DATASETS,
    OF_MODELS,
    files_of_datasets,
    files_of_models,
    owner,
    parts_of_snapshots,
    unregistered_files,
)
from include.evergreen.operations.maintenance.removal import Removal, log, remove_files
from include.evergreen.operations.maintenance.retention import validated_raw
from include.evergreen.state import storage

NO_RECORD = "no record names it"
LONGEST_PROCESS = dt.timedelta(days=7)  # beyond it, a process of that number is another one


def remove_orphans(catalog: Catalog, limits: Limits, *, dry_run: bool = False) -> list[Removal]:
    """Remove each file under our folders of the storage that no record names and nobody wrote for ``grace_hours``.

    Folders of the storage that are not ours are left alone. Safe beside running tasks, as long as none of them takes longer
    than ``grace_hours`` from writing a file to recording it; safe to repeat, and to kill at any point.

    :param catalog: what is declared now; of a dataset that is declared wrongly or no more, raw rows of any age stay
    :param limits: of which ``grace_hours`` counts
    :param dry_run: remove nothing; only tell what would go
    :returns: what went, or would go, unfinished files of killed processes included
    """
    before = clock.now() - limits.grace
    removed: list[Removal] = []
    for folder in (*OF_DATASETS, *OF_MODELS):
        for whose, files in groupby(storage.files(folder), key=lambda file: owner(file.path)):
            old = [file.path for file in files if file.modified <= before]
            if old:  # the names are read after the files were listed: what was recorded in between has one
                named = _named_of_dataset(catalog, whose) if folder in OF_DATASETS else _named_of_model(whose)
                wanted = [(path, NO_RECORD) for path in old if path not in named and not _lies_beside(path, named)]
                removed.extend(remove_files(wanted, written_before=before, dry_run=dry_run))
    removed.extend(_remove_unfinished(before, dry_run=dry_run))
    return removed


def _lies_beside(path: str, named: set[str]) -> bool:
    """Whether the file bears the name of one that a record names, with an ending more: then it stays as long as that one."""
    while "." in path.rpartition("/")[2]:
        path = path.rpartition(".")[0]
        if path in named:
            return True
    return False


def _named_of_dataset(catalog: Catalog, dataset: str) -> set[str]:
    try:
        retention = catalog.dataset(dataset).retention
    except ConfigError:  # not declared any more, or wrongly: then its raw rows are kept
        retention = Retention(raw_days=None)
    return {file.path for file in files_of_datasets(dataset)} | validated_raw(dataset, retention, clock.now())


def _named_of_model(model: str) -> set[str]:
    return {file.path for file in files_of_models(model)} | parts_of_snapshots(model) | unregistered_files(model)


def _remove_unfinished(before: dt.datetime, *, dry_run: bool) -> Iterator[Removal]:
    """What killed processes were writing. A process that lives may be writing still, however long ago it began."""
    for path in storage.unfinished_files():
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue
        written = dt.datetime.fromtimestamp(facts.st_mtime, dt.UTC)
        if written > before or (_lives(path) and written > before - LONGEST_PROCESS):
            continue
        if not dry_run:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise TransientError(f"{path} could not be removed: {error}. May this process write there?") from error
        why = "a killed process was writing it"
        log.info("%s %s (%d bytes): %s", "would remove" if dry_run else "removed", path, facts.st_size, why)
        yield Removal(str(path), facts.st_size, why)


def _lives(scratch: Path) -> bool:
    """Whether a process of the number in the file's name runs on this machine."""
    number = scratch.name.split("-")[1]
    if not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
