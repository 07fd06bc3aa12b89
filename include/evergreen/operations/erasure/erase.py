"""Erases a person's rows from everything that is stored, in an order that can be killed and restarted.

First the person is recorded, so that nothing read before can become current; then what was made of the rows goes
(reports, predictions, training frames); last the rows themselves, by which all of it is found. Every step looks for what
is still there, so the same command goes on where it was killed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.data.conditions import Conditions, canonical_text
from include.evergreen.data.erased.secret import secret
from include.evergreen.data.erased.subjects import subject_hash
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.reasons import checked_reason
from include.evergreen.operations.erasure.derived import Derived, erase_derived
from include.evergreen.operations.erasure.partitions import erase_partition, members_by_version
from include.evergreen.operations.erasure.record import begin, count, finish
from include.evergreen.operations.erasure.stored import FileWithRows, partition_files, search
from include.evergreen.operations.progress import Progress, no_progress
from include.evergreen.state.database.engine import compact

LONGEST_ERASURE_REASON = 400  # with the words around it, it must fit a candidate's record


@dataclass
class Erasure:
    """What was found of a person and, unless ``dry``, is gone. ``counts`` has rows by kind, and things by name."""

    dataset: str
    dry: bool
    subject: str
    counts: Counter[str] = field(default_factory=Counter)
    partitions: list[Partition] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)


def erase(
    catalog: Catalog,
    dataset: DatasetConfig,
    subject: Conditions,
    *,
    actor: str,
    reason: str,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Erasure:
    """Delete every stored row of a person, and what was made of it; later deliveries drop them.

    Passes on `ConfigError` for an invalid subject or reason, and `TransientError` while another erasure is unfinished.

    :param catalog: what is declared now
    :param dataset: the dataset as it is declared now
    :param subject: the columns (keys or personal) and values that name the person; rows that have all of them go
    :param actor: who asks for it, for the ledger
    :param reason: why, for the ledger, where it stays; see `checked_reason`; at most `LONGEST_ERASURE_REASON` characters, and no value of
        ``subject`` among them
    :param dry_run: remove and record nothing; only tell what would go
    :param progress: is told the step, how much of it is done, and of how much
    :returns: what went, or would go, and the files that could not be searched
    """
    _refuse_subject(dataset, subject)
    reason = checked_reason(f"an erasure from {dataset.name}", reason, most=LONGEST_ERASURE_REASON)
    _refuse_reason(subject, reason)
    columns = ",".join(sorted(subject.values))
    key = {"dataset": dataset.name, "columns": columns, "subject_hash": subject_hash(dict(sorted(subject.values.items())), secret())}
    outcome = Erasure(dataset.name, dry_run, key["subject_hash"])
    if not dry_run:
        begin(key, actor=actor, reason=reason)
    files_by_day = _search_all(dataset, subject, outcome, progress)
    outcome.partitions = sorted(files_by_day)
    for file in chain.from_iterable(files_by_day.values()):
        outcome.counts[f"{file.kind} rows"] += file.rows
    derived = Derived(catalog, dataset, {day: _list_keys(dataset, files) for day, files in files_by_day.items()})
    outcome.unsearched += derived.unsearched()
    if dry_run:
        outcome.counts.update(derived.counts())
        return outcome
    count(key, {}, unsearched=len(outcome.unsearched))
    for name, number in erase_derived(derived).items():
        outcome.counts[name] += number
        count(key, {name: number})
    members = members_by_version(dataset.name)
    for done, (partition, files) in enumerate(sorted(files_by_day.items())):
        progress("erase", done, len(files_by_day))
        erase_partition(dataset.name, partition, files, subject, key, reason, members)
    progress("erase", len(files_by_day), len(files_by_day))
    compact()
    finish(key, actor=actor, reason=reason)
    return outcome


def _refuse_subject(dataset: DatasetConfig, subject: Conditions) -> None:
    named = [column.name for column in dataset.columns if column.personal or column.name in dataset.keys]
    if other := [name for name in subject.values if name not in named]:
        raise ConfigError(
            f"{dataset.name}: {', '.join(other)} is neither a key nor marked personal, so it identifies no person; an erasure by it would "
            f"remove the rows of many. Identify a person by: {', '.join(named) or '(mark a column personal in dataset.yaml)'}."
        )
    if empty := [name for name, value in subject.values.items() if value is None]:
        raise ConfigError(f"{dataset.name}: {', '.join(empty)} has no value. A missing value identifies nobody; give one.")


def _refuse_reason(subject: Conditions, reason: str) -> None:
    for name, value in subject.values.items():
        if re.search(rf"(?<!\w){re.escape(canonical_text(value) or '')}(?!\w)", reason):
            raise ConfigError(
                f"The reason holds the value of {name} itself, and it is kept for ever. Refer to the request, not to the person."
            )


def _search_all(dataset: DatasetConfig, subject: Conditions, outcome: Erasure, progress: Progress) -> dict[Partition, list[FileWithRows]]:
    files_by_day: dict[Partition, list[FileWithRows]] = {}
    files = sorted(partition_files(dataset.name))
    for done, (partition, kind, path) in enumerate(files):
        progress("search", done, len(files))
        try:
            day = dataset.grain.parse(partition)
            file = search(path, kind, subject, list(dataset.keys))
        except (ConfigError, KeyError, DataError):  # of no partition, without the columns, or damaged
            outcome.unsearched.append(path)
            continue
        if file:
            files_by_day.setdefault(day, []).append(file)
    progress("search", len(files), len(files))
    return files_by_day


def _list_keys(dataset: DatasetConfig, files: Iterable[FileWithRows]) -> frozenset[tuple[str | None, ...]] | None:
    """The keys of the person's rows; None when not every file has the key columns, so that rows cannot be named."""
    keys: set[tuple[str | None, ...]] = set()
    for file in files:
        if file.keys is None:
            return None
        keys |= file.keys
    return frozenset(keys) if dataset.keys else None
