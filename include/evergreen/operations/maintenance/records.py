"""The files that our records name: what each belongs to, and how to restore it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring.kept_profiles import profiled_rows
from include.evergreen.monitoring.window import parse_report_path
from include.evergreen.operations.maintenance.naming import is_kept, kept_snapshots
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import (
    candidates,
    firings,
    model_versions,
    partition_versions,
    prediction_sets,
    reports,
    snapshots,
    validations,
)
from include.evergreen.training.candidate import holdout_path
from include.evergreen.training.snapshot import parts_path, window_of

OF_DATASETS = ("raw", "datasets", "quarantine")  # folders of the storage, with one folder for each dataset in them
OF_MODELS = ("predictions", "reports", "training", "references", "cards")


@dataclass(frozen=True)
class Named:
    """A file that a record names: what it is to people, and what to do when it is gone.

    ``expected`` is false where the file may be gone, or not made yet, and all is well.
    """

    path: str
    subject: str
    fix: str
    expected: bool = True


def files_of_datasets(dataset: str | None = None) -> list[Named]:
    """List the files that the versions of one dataset, or of all, name; what retention removed is not among them.

    :param dataset: its name, as in ``include/datasets``; None: all
    :returns: by dataset, partition and version; a file that several versions share comes several times
    """
    table = partition_versions
    newest = sa.func.max(table.c.version).over(partition_by=(table.c.dataset, table.c.partition)).label("newest")
    query = sa.select(table, newest).order_by(table.c.dataset, table.c.partition, table.c.version)
    if dataset is not None:
        query = query.where(table.c.dataset == dataset)
    named = []
    with reading() as connection:
        for row in connection.execute(query):
            whose = f"{row.dataset} {row.partition}: version {row.version} ({'current' if row.version == row.newest else 'superseded'})"
            again = f"ingest {row.dataset} {row.partition} again: content that has not changed gets its file back"
            fix = again if row.version == row.newest else "restore it from a backup; reads as of then, and snapshots that name it, fail"
            if row.removed_at is None:
                named.append(Named(row.path, f"{whose}, its {row.rows} accepted rows", fix))
                named.append(Named(row.quarantine_path, f"{whose}, its {row.quarantined} quarantined rows", fix))
            if row.raw_path:
                named.append(Named(row.raw_path, f"{whose}, its raw rows", fix))
    return named


def files_of_models(model: str | None = None) -> list[Named]:
    """List what is needed of one model, or of all: predictions, reports, cards, and the files of blessed or registered candidates.

    :param model: its name, as in ``include/models``; None: all
    :returns: kind by kind; a file that several records share comes several times
    """
    named = []
    with reading() as connection:
        for row in connection.execute(_of(prediction_sets, model)):
            fix = f"`evergreen rescore {row.model} --from {row.partition} --to {row.partition}`"
            named.append(Named(row.path, f"{row.model} {row.partition}: its {row.rows} predictions", fix))
        for row in connection.execute(_of(reports, model).where(reports.c.path != "")):
            fix = f"`evergreen report {row.model} {row.partition}` draws it"
            named.append(Named(row.path, f"{row.model} {row.partition}: its drift report", fix, expected=False))  # drawn when it is wanted
        for row in connection.execute(_of(model_versions, model, "version").where(model_versions.c.card_path != "")):
            fix = f"`evergreen card {row.model} {row.version}` writes it again"
            named.append(Named(row.card_path, f"{row.model} version {row.version}: its model card", fix))
        for row in connection.execute(_kept_candidates(model)):
            whose = f"{row.model} as of {row.as_of}"
            fix = f"train {row.model} as of {row.as_of} again ({window_of(row)}): what is missing is written again"
            named.append(Named(row.reference_path, f"{whose}: the reference sample of candidate {row.run_key[:12]}", fix))
            sample = f"{whose}: the holdout sample of candidate {row.run_key[:12]}"
            named.append(Named(holdout_path(row.reference_path), sample, fix, expected=False))  # earlier releases kept none
            frame = f"{whose}: the training frame of snapshot {row.snapshot_digest[:12]}"
            named.append(Named(row.frame_path, frame, fix, expected=not row.tombstones))  # an erasure may leave none
    return named


def parts_of_snapshots(model: str) -> set[str]:
    """Tell where the parts of each snapshot lie that a blessed or registered candidate was trained on.

    :param model: its name, as in ``include/models``
    :returns: their paths in the storage
    """
    with reading() as connection:
        return {parts_path(row.model, row.snapshot_digest) for row in connection.execute(_kept_candidates(model))}


def unregistered_files(model: str) -> set[str]:
    """Tell which recorded training frames, parts of snapshots and reference samples no candidate of worth needs.

    :param model: its name, as in ``include/models``
    :returns: their paths in the storage, whether the files are there or not
    """
    taken = sa.select(snapshots.c.model, snapshots.c.digest, snapshots.c.frame_path).where(snapshots.c.model == model)
    with reading() as connection:
        frames = {path for row in connection.execute(taken) for path in (row.frame_path, parts_path(model, row.digest))}
        references = connection.execute(sa.select(candidates.c.reference_path).where(candidates.c.model == model)).scalars()
        trained = {path for reference in references for path in (reference, holdout_path(reference))}
        kept = connection.execute(_kept_candidates(model)).all()
    needed = {
        path
        for row in kept
        for path in (row.frame_path, row.reference_path, holdout_path(row.reference_path), parts_path(model, row.snapshot_digest))
    }
    return (frames | trained) - needed


def unregistered_among(model: str, paths: Iterable[str]) -> list[str]:
    """Tell which files `unregistered_files` names; looked up one by one, as most records' files are gone by now.

    :param model: its name, as in ``include/models``
    :param paths: of files of this model under ``training`` and ``references``
    :returns: those that no candidate of worth needs, in their order; what no record names at all is not among them
    """
    with reading() as connection:
        return [path for path in paths if _is_unregistered(connection, model, path)]


def _is_unregistered(connection: sa.Connection, model: str, path: str) -> bool:
    beginning = path.rsplit("/", 1)[-1].partition(".")[0]  # of the digest or run key that the file is named by
    until = f"{beginning}~"  # after all that begin so
    if path.startswith("references/"):
        key = candidates.c.run_key
        trained = sa.select(candidates.c.model, candidates.c.reference_path, is_kept()).where(key >= beginning, key < until)
        kept = [
            is_needed
            for whose, reference, is_needed in connection.execute(trained)
            if whose == model and profiled_rows(path) in (reference, holdout_path(reference))
        ]
        return bool(kept) and not any(kept)
    digest = snapshots.c.digest
    taken = sa.select(digest, snapshots.c.model, snapshots.c.frame_path).where(digest >= beginning, digest < until)
    digests = [
        row.digest for row in connection.execute(taken) if row.model == model and path in (row.frame_path, parts_path(model, row.digest))
    ]
    return bool(digests) and not kept_snapshots(connection, digests)


def raw_files_of_validations(dataset: str, newer_than: dt.datetime | None, partitions: Collection[Partition] | None = None) -> set[str]:
    """Tell where the raw rows of each partition's newest validation lie; of a stopped one there is nothing else.

    :param dataset: its name, as in ``include/datasets``
    :param newer_than: validations that were recorded before are left out; None: none are
    :param partitions: of these days alone; None: of all
    :returns: the paths in the storage
    """
    table = validations.c
    query = sa.select(table.partition, table.raw_digest).where(table.dataset == dataset)
    if newer_than is not None:
        query = query.where(table.recorded_at >= newer_than)
    if partitions is not None:
        query = query.where(table.partition.in_(partitions))
    with reading() as connection:
        return {f"raw/{dataset}/{row.partition}/{row.raw_digest[:16]}.parquet" for row in connection.execute(query)}


def owner(path: str) -> str:
    """Tell in whose folder a file lies.

    :param path: in the storage, below one of `OF_DATASETS` and `OF_MODELS`
    :returns: the name of the dataset or model; empty when the file lies in no such folder
    """
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""


def reports_without_evidence(paths: Iterable[str]) -> list[str]:
    """Tell which files are drift reports of windows that made no rule trip.

    :param paths: of files below ``reports``; what is no report's is left out
    :returns: those of days that no firing is as of, in their order
    """
    with reading() as connection:
        return [path for path in paths if (window := parse_report_path(path)) and not _has_fired(connection, *window)]


def _has_fired(connection: sa.Connection, model: str, day: Partition) -> bool:
    fired = sa.select(firings.c.id).where(firings.c.model == model, firings.c.as_of == day).limit(1)
    return connection.execute(fired).first() is not None


def _kept_candidates(model: str | None) -> sa.Select[Any]:
    names = ("model", "as_of", "run_key", "snapshot_digest", "reference_path")
    query = (
        sa.select(
            *(candidates.c[name] for name in names),
            snapshots.c.frame_path,
            snapshots.c.tombstones,
            snapshots.c.window_days,
            snapshots.c.window,
        )
        .join(snapshots)
        .where(is_kept())
        .order_by(candidates.c.model, candidates.c.as_of)
    )
    return query if model is None else query.where(candidates.c.model == model)


def _of(table: sa.Table, model: str | None, order: str = "partition") -> sa.Select[Any]:
    query = table.select().order_by(table.c.model, table.c[order])
    return query if model is None else query.where(table.c.model == model)
