"""Reads a sample of what is stored again every night, and compares it with the digests that were recorded."""

from __future__ import annotations

import logging
import random
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen import ledger
from include.evergreen.database import reading, writing
from include.evergreen.database.tables import ledger as ledger_table
from include.evergreen.database.tables import partition_versions, prediction_sets
from include.evergreen.errors import DataError
from include.evergreen.maintenance.records import kept_members
from include.evergreen.partitions.digest import canonical_json
from include.evergreen.partitions.verification import stored_rows

log = logging.getLogger(__name__)
LEDGER_KIND = "damage"


@dataclass(frozen=True)
class Damage:
    """Stored rows that are not those which were recorded. ``found`` is their digest now, empty when they cannot be read."""

    subject: str
    path: str
    recorded: str
    found: str
    words: str
    mend: str
    model: str


@dataclass(frozen=True)
class Verified:
    """How many of all that could have been verified were, and what was wrong with them."""

    checked: int
    population: int
    damage: list[Damage]


def verify_sample(size: int, *, night: str) -> Verified:
    """Verify ``size`` partition versions and prediction sets: those that ``night`` (any text) chooses, the same each time.

    Chosen among the current versions, those that the snapshot of a blessed or registered candidate names, and all
    prediction sets. Damage is recorded in the ledger, once. Raises `TransientError` when the storage does not answer.
    """
    population = _population()
    chosen = random.Random(f"evergreen {night}").sample(population, min(size, len(population)))  # noqa: S311 no secret
    damage: list[Damage] = []
    for done, (table, number) in enumerate(sorted(chosen), start=1):
        damage += _damage_of_version(number) if table == "partition" else _damage_of_predictions(number)
        if done % 10 == 0 or done == len(chosen):
            log.info("%d of %d verified", done, len(chosen))
    for each in damage:
        log.error("%s: %s. %s.", each.subject, each.words, each.mend)
    _record(damage)
    return Verified(len(chosen), len(population), damage)


def refuse_damage(damage: list[Damage]) -> None:
    """`DataError` that lists what is damaged, if anything is."""
    if damage:
        lines = "\n".join(f"- {each.subject}: {each.words}. {each.mend}." for each in damage)
        raise DataError(f"{len(damage)} files do not hold what was recorded:\n{lines}\nFind out who or what changed the storage.")


def _population() -> list[tuple[str, int]]:
    """(kind, id) of all that may be chosen, in an order that does not depend on the database."""
    table = partition_versions
    newest = sa.func.max(table.c.version).over(partition_by=(table.c.dataset, table.c.partition)).label("newest")
    columns = (table.c.id, table.c.dataset, table.c.partition, table.c.version, table.c.removed_at, newest)
    with reading() as connection:
        kept = kept_members(connection, set())
        rows = connection.execute(sa.select(*columns)).all()
        predictions = connection.execute(sa.select(prediction_sets.c.id)).scalars().all()
    versions = [row for row in rows if row.version == row.newest or (row.dataset, row.partition, row.version) in kept]
    return sorted([("partition", row.id) for row in versions if row.removed_at is None] + [("predictions", each) for each in predictions])


def _damage_of_version(number: int) -> list[Damage]:
    row = _row(partition_versions, number)
    if row is None or row.removed_at is not None:
        return []
    files = [("accepted", row.path, row.digest), ("quarantined", row.quarantine_path, row.quarantine_digest)]
    if row.raw_path and row.raw_digest:
        files.append(("raw", row.raw_path, row.raw_digest))
    mend = f"ingest {row.dataset} {row.partition} again, or restore the file from a backup"
    found = []
    for kind, path, digest in files:
        subject = f"{row.dataset} {row.partition}: version {row.version}, its {kind} rows"
        found += _damage(subject, path, digest, mend, "")
    return found if found and _row(partition_versions, number) == row else []  # else it was rewritten or removed while we read


def _damage_of_predictions(number: int) -> list[Damage]:
    row = _row(prediction_sets, number)
    if row is None:
        return []
    mend = f"remove the file, then `python -m include.evergreen rescore {row.model} --from {row.partition} --to {row.partition}`"
    found = _damage(f"{row.model} {row.partition}: its predictions", row.path, row.digest, mend, row.model)
    return found if found and _row(prediction_sets, number) == row else []


def _damage(subject: str, path: str, digest: str, mend: str, model: str) -> list[Damage]:
    now = stored_rows(path, digest)
    if now.state == "whole":
        return []
    return [Damage(subject, path, digest, now.digest, now.words, mend, model)]


def _row(table: sa.Table, number: int) -> sa.Row[Any] | None:
    with reading() as connection:
        return connection.execute(table.select().where(table.c.id == number)).first()


def _record(damage: list[Damage]) -> None:
    if not damage:
        return
    with writing() as connection:
        known = set(connection.execute(sa.select(ledger_table.c.body).where(ledger_table.c.kind == LEDGER_KIND)).scalars())
        for each in damage:
            body = asdict(each)
            if canonical_json(body) not in known:  # night after night it would be the same
                ledger.append(connection, kind=LEDGER_KIND, model=each.model, body=body)
