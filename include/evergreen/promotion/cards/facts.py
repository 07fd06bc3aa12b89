"""The facts on a model card: declarations and records up to registration, and the version's holdout results."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Partition
from include.evergreen.gates.decision import Decision, find_blessing
from include.evergreen.promotion.cards.holdout import Holdout, examine
from include.evergreen.promotion.cards.origins import Origins, find_origins
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.state import mlflow_store
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import candidates, model_versions, partition_versions, snapshots
from include.evergreen.training.metrics import Measures
from include.evergreen.training.recipes import recipe_of_version
from include.evergreen.training.snapshot import Snapshot, find_snapshot


@dataclass(frozen=True)
class Read:
    """What a training read of one dataset: its partitions from ``first`` to ``last``, and their rows."""

    dataset: str
    description: str
    partitions: int
    first: Partition
    last: Partition
    rows: int
    quarantined: int


@dataclass(frozen=True)
class Facts:
    """All that a card shows of one version; ``config`` is the model as the version's recipe declares it."""

    config: ModelConfig
    version: RegisteredVersion
    registered_at: dt.datetime
    approval_because: str
    training: Mapping[str, Any]
    trained_at: dt.datetime
    snapshot: Snapshot
    erased: tuple[str, ...]
    read: tuple[Read, ...]
    target_unit: str
    decision: Decision
    holdout: Holdout
    origins: Origins


def gather(catalog: Catalog, model: ModelConfig, version: RegisteredVersion) -> Facts:
    """Read the records, and examine the version's own artifact on its holdout.

    Passes on `DataError` when the artifact or the training frame is gone or changed.

    :param catalog: what is declared now; of its datasets it takes descriptions and units, which may be missing
    :param model: the model as it is declared now; the card shows it as the version's recipe declares it
    :param version: a registered version, whose candidate was blessed
    :returns: all that the card shows, as it was when the version was registered
    """
    recipe = recipe_of_version(catalog, model, version)
    config = recipe.config(model)
    with reading() as connection:
        registered = connection.execute(
            model_versions.select().where(model_versions.c.model == model.name, model_versions.c.version == version.version)
        ).one()
        candidate = connection.execute(candidates.select().where(candidates.c.run_key == version.run_key)).one()
        tombstones = connection.execute(
            sa.select(snapshots.c.tombstones).where(snapshots.c.digest == candidate.snapshot_digest)
        ).scalar_one()
    decision = find_blessing(version.run_key, until=registered.recorded_at)  # the one of that time, so that the card stays the same
    assert decision is not None
    snapshot = find_snapshot(candidate.snapshot_digest)
    pipeline = mlflow_store.load_model(version.artifact_uri, version.artifact_digest, model.train.trusted_types)
    measures = Measures.trained(config, candidate.facts, recipe.modules)
    return Facts(
        config=config,
        version=version,
        registered_at=registered.recorded_at,
        approval_because=registered.approval_because,
        training=candidate.facts,
        trained_at=candidate.recorded_at,
        snapshot=snapshot,
        erased=tuple(sorted({tombstone["why"] for tombstone in tombstones or []})),
        read=tuple(_read(catalog, snapshot)),
        target_unit=_unit(catalog, config),
        decision=decision,
        holdout=examine(
            measures, pipeline, snapshot.frame(), decision.criteria, run_key=version.run_key, first=candidate.facts.get("holdout_first")
        ),
        origins=find_origins(catalog, config, recipe),
    )


def _read(catalog: Catalog, snapshot: Snapshot) -> list[Read]:
    """The members of the snapshot, by dataset."""
    members: dict[str, set[tuple[Partition, int]]] = {}
    for name, member in snapshot.members.items():
        dataset, partition, _ = name.split("/")
        members.setdefault(dataset, set()).add((Partition(partition), member["version"]))
    summaries = []
    with reading() as connection:
        for dataset, wanted in sorted(members.items()):
            days = [day for day, _ in wanted]
            table = partition_versions
            query = table.select().where(table.c.dataset == dataset, table.c.partition.between(min(days), max(days)))
            rows = [row for row in connection.execute(query) if (row.partition, row.version) in wanted]
            summaries.append(
                Read(
                    dataset=dataset,
                    description=_description(catalog, dataset),
                    partitions=len(wanted),
                    first=min(days),
                    last=max(days),
                    rows=sum(row.rows for row in rows),
                    quarantined=sum(row.quarantined for row in rows),
                )
            )
    return summaries


def _unit(catalog: Catalog, config: ModelConfig) -> str:
    try:
        columns = catalog.dataset(config.target.dataset).columns
    except ConfigError:
        return ""
    return next((column.unit for column in columns if column.name == config.target.column and column.unit), "")


def _description(catalog: Catalog, dataset: str) -> str:
    try:
        return catalog.dataset(dataset).description
    except ConfigError:  # not declared any more, or wrongly
        return "(not declared any more)"
