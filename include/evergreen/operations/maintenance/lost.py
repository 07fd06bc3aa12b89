"""Records whose files are gone: no deletion mends them, so a person must hear of them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from include.evergreen.operations.maintenance.records import OF_DATASETS, OF_MODELS, Named, files_of_datasets, files_of_models
from include.evergreen.state import storage

log = logging.getLogger(__name__)


def records_without_files() -> list[Named]:
    """What our records name and the storage does not hold, each with what mends it.

    What retention or an erasure took away is not among them, for its record says so.
    """
    lost = [*_lost(files_of_datasets, OF_DATASETS), *_lost(files_of_models, OF_MODELS)]
    for each in lost:
        log.error("%s: gone: %s. %s.", each.subject, each.path, each.mend)
    return lost


def _lost(recorded: Callable[[], list[Named]], folders: tuple[str, ...]) -> list[Named]:
    """Compared twice: a record that was replaced between the two looks has taken its file with it, and that is well."""
    before = recorded()
    stored = {file.path for folder in folders for file in storage.files(folder)}
    log.info("%d files are recorded under %s, and %d lie there", len({each.path for each in before}), ", ".join(folders), len(stored))
    missing = {each.path for each in before if each.expected and each.path not in stored}
    if not missing:
        return []
    missing = {path for path in missing if storage.find(path) is None}
    return [each for each in recorded() if each.expected and each.path in missing]
