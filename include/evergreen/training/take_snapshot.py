"""Takes a snapshot: selects the exact partitions that a training run reads, and builds the training frame."""

from __future__ import annotations

import datetime as dt
import logging

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.erased.stale_reads import refuse_stale_reads
from include.evergreen.data.partitions.corrections import refuse_corrected
from include.evergreen.data.partitions.store import refuse_changed_versions
from include.evergreen.features.build import code_now
from include.evergreen.features.columns import PARTITION
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import canonical_json, document_digest, frame_digest
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.overtaken import until_not_overtaken
from include.evergreen.foundation.span import Span
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import partition_versions, snapshot_spans, snapshots
from include.evergreen.state.database.upsert import insert_once
from include.evergreen.training.snapshot import Snapshot, compute_spans, parts_path, recorded_window
from include.evergreen.training.training_frame import training_days, training_frame

log = logging.getLogger(__name__)
PROGRESS_EVERY_DAYS = 10


def take_snapshot(catalog: Catalog, model: ModelConfig, as_of: Partition, window: Span | None = None) -> Snapshot:
    """Read the days before ``as_of`` as they were known then, and keep what was read.

    The same knowledge gives the same digest, however often and whenever it is taken. Raises `DataError` when fewer partitions have rows,
    inputs and labels than ``train.min_history`` asks for, and `OvertakenError` when knowledge times are corrected all the time.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param as_of: the day on which the training knows what it knows; no row of this day or later is read
    :param window: how far before ``as_of`` the rows begin that are read; None: ``train.window``
    :returns: the snapshot, which is recorded and stored
    """
    return until_not_overtaken(lambda: _take(catalog, model, as_of, window or model.train.window))


def _take(catalog: Catalog, model: ModelConfig, as_of: Partition, window: Span) -> Snapshot:
    began = clock.now()
    cache, code = PartitionCache(as_of, model=model), code_now(catalog, model)

    def progress(done: int, days: int) -> None:
        if done and done % PROGRESS_EVERY_DAYS == 0:
            log.info("%s as of %s: features of %d of %d %ss", model.name, as_of, done, days, model.grain.noun)

    built = training_frame(catalog, model, training_days(model, as_of, window), cache, code, progress=progress)
    _refuse_too_few_days(model, as_of, window, built.days)
    frame = built.rows
    members = {
        f"{dataset}/{partition}/v{number}": {"version": number, "digest": version.digest}
        for (dataset, partition, number), version in sorted(cache.read.items())
    }
    frame_hash = frame_digest(frame)
    digests = {name: member["digest"] for name, member in members.items()}
    asked = {"model": model.name, "as_of": as_of, **recorded_window(window)}  # without it, runs that read the same would share a record
    parts = {
        **asked,
        "members": digests,
        "frame": frame_hash,
        "features": code.text,
        **({"modules": dict(code.beside)} if code.beside else {}),
        **({"drawn_from": built.found} if built.found > len(frame) else {}),
    }
    digest = document_digest(parts)
    path = f"training/{model.name}/{digest[:16]}.parquet"
    storage.write_frame(path, frame)
    storage.write_bytes(parts_path(model.name, digest), canonical_json(parts).encode())
    snapshot = Snapshot(digest, model.name, as_of, window, len(frame), members, path)
    with reading() as connection:
        refuse_changed_versions(connection, cache.read.values())
    _record(snapshot, began, {model.target.dataset, *(model_input.dataset for model_input in model.inputs)})
    log.info(
        "%s as of %s: snapshot %s of %d partitions, %d rows%s of %d days (%s to %s)", model.name, as_of, digest[:12], len(members),
        len(frame), f" drawn from {built.found}" if built.found > len(frame) else "", built.days, frame[PARTITION].min(),
        frame[PARTITION].max(),
    )  # fmt: skip
    return snapshot


def _refuse_too_few_days(model: ModelConfig, as_of: Partition, window: Span, days: int) -> None:
    calendar, unit, least = model.calendar, model.grain.noun, model.train.min_history
    if days < (wanted := calendar.count_before(as_of, least)):
        asked = f"{least}" if least.unit == unit and calendar.cron is None else f"{least}, which are {wanted} {unit}s"
        raise DataError(
            f"{model.name} as of {as_of}: only {days} of the {calendar.count_before(as_of, window)} {unit}s before it have rows, inputs "
            f"and labels that were known then; train.min_history asks for {asked}. Ingest more {unit}s of "
            f"{', '.join(model_input.dataset for model_input in model.inputs)}, or choose a later as_of."
        )


def _refuse_removed(connection: sa.Connection, snapshot: Snapshot) -> None:
    """Within the transaction that records it, after which retention keeps what it names."""
    table = partition_versions.c
    for span in compute_spans(snapshot.digest, snapshot.members):
        within = table.dataset == span["dataset"], table.partition.between(span["first"], span["last"])
        for row in connection.execute(partition_versions.select().where(*within, table.removed_at.is_not(None))):
            if f"{row.dataset}/{row.partition}/v{row.version}" not in snapshot.members:
                continue
            raise DataError(
                f"{snapshot.model} as of {snapshot.as_of}: version {row.version} of {row.dataset} {row.partition} was removed by retention "
                f"while it was read. Choose a later as_of, or keep versions longer: retention.superseded_days."
            )


def _record(snapshot: Snapshot, began: dt.datetime, datasets: set[str]) -> None:
    with writing() as connection:
        refuse_corrected(connection, datasets, began)
        refuse_stale_reads(connection, {name.split("/")[0] for name in snapshot.members}, began, is_derived=True)
        _refuse_removed(connection, snapshot)
        values = {name: value for name, value in snapshot.__dict__.items() if name not in ("digest", "window")}
        values |= {"window_days": 0, **recorded_window(snapshot.window)}
        if insert_once(connection, snapshots, {"digest": snapshot.digest}, {**values, "recorded_at": clock.now()}):
            connection.execute(snapshot_spans.insert(), compute_spans(snapshot.digest, snapshot.members))
            ledger.bind(connection, snapshots, {"digest": snapshot.digest}, kind="snapshot")
