"""Lost files: records whose files are gone. Maintenance cannot restore them, so it reports them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from include.evergreen.operations.maintenance.records import OF_DATASETS, OF_MODELS, Named, files_of_datasets, files_of_models
from include.evergreen.state import storage

log = logging.getLogger(__name__)


def records_without_files() -> list[Named]:
    """List the files that our records name and the storage does not hold; each is logged as an error.

    What retention or an erasure took away is not among them, for its record says so.

    :returns: each with its fix; empty when all is there
    """
    lost = [*_lost(files_of_datasets, OF_DATASETS), *_lost(files_of_models, OF_MODELS)]
    for file in lost:
        log.error("%s: gone: %s. %s.", file.subject, file.path, file.fix)
    return lost


def _lost(recorded: Callable[[], list[Named]], folders: tuple[str, ...]) -> list[Named]:
    """Compared twice: a record that was replaced between the two looks has taken its file with it, and that is well."""
    before = recorded()
    stored = {file.path for folder in folders for file in storage.files(folder)}
    log.info("%d files are recorded under %s, and %d lie there", len({file.path for file in before}), ", ".join(folders), len(stored))
    missing = {file.path for file in before if file.expected and file.path not in stored and storage.find(file.path) is None}
    return [file for file in recorded() if file.expected and file.path in missing] if missing else []
