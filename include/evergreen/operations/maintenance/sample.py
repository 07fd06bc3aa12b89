"""Verifies a sample of the stored files every night against their recorded digests."""

from __future__ import annotations

import logging
import random
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.data.partitions.verification import stored_rows
from include.evergreen.foundation.digest import canonical_json
from include.evergreen.foundation.errors import DataError
from include.evergreen.operations.maintenance.naming import kept_snapshots, snapshots_naming
from include.evergreen.state import ledger
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import ledger as ledger_table
from include.evergreen.state.database.tables import partition_versions, prediction_sets

log = logging.getLogger(__name__)
LEDGER_KIND = "damage"
PROBED = 200  # ids that are looked at at once, and at least
PROBED_FOR_EACH = 40  # ids that are drawn for each that is to be verified, where most may not be chosen


@dataclass(frozen=True)
class Damage:
    """Stored rows that are not those which were recorded. ``found`` is their digest now, empty when they cannot be read."""

    subject: str
    path: str
    recorded: str
    found: str
    message: str
    fix: str
    model: str

    def as_record(self) -> dict[str, str]:
        """Write the damage as the ledger keeps it.

        :returns: the body of an entry, under the names that its entries have always had
        """
        names = {"message": "words", "fix": "mend"}
        return {names.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class SampleVerification:
    """How many were verified, of how many that could have been (of more than `PROBED`, about), and what was wrong with them."""

    checked: int
    population: int
    damage: list[Damage]


def verify_sample(size: int, *, night: str) -> SampleVerification:
    """Verify some partition versions and prediction sets against their digests.

    Chosen among the current versions, those that the snapshot of a blessed or registered candidate names, and all
    prediction sets. Damage is recorded in the ledger, once. Passes on `TransientError` when the storage does not answer.

    :param size: how many, if there are so many; 0: none
    :param night: any text, such as the date; the same one chooses the same, as long as nothing new is recorded
    :returns: what was verified and what is damaged; `refuse_damage` fails the task for it
    """
    chosen, population = _choose(size, night)
    damage: list[Damage] = []
    for done, (table, number) in enumerate(sorted(chosen), start=1):
        damage += _damage_of_version(number) if table == "partition" else _damage_of_predictions(number)
        if done % 10 == 0 or done == len(chosen):
            log.info("%d of %d verified", done, len(chosen))
    for damaged in damage:
        log.error("%s: %s. %s.", damaged.subject, damaged.message, damaged.fix)
    _record(damage)
    return SampleVerification(len(chosen), population, damage)


def refuse_damage(damage: list[Damage]) -> None:
    """Fail the task of a verification that found damage.

    :param damage: what was found, if anything
    :raises DataError: when anything is damaged; the message lists all of it, each with its fix
    """
    if damage:
        lines = "\n".join(f"- {damaged.subject}: {damaged.message}. {damaged.fix}." for damaged in damage)
        raise DataError(f"{len(damage)} files do not hold what was recorded:\n{lines}\nFind out who or what changed the storage.")


def _choose(size: int, night: str) -> tuple[list[tuple[str, int]], int]:
    """(kind, id) of ``size`` that may be chosen, and how many there are.

    Ids are drawn, and those that may not be chosen are passed over: nobody lists what was recorded in years to verify fifty of it.
    """
    with reading() as connection:
        ends = [connection.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0 for table in (partition_versions, prediction_sets)]
        total = sum(ends)
        drawn = random.Random(f"evergreen {night}").sample(range(total), min(total, max(PROBED, size * PROBED_FOR_EACH)))  # noqa: S311 no secret
        chosen: list[tuple[str, int]] = []
        probed = 0
        while probed < len(drawn) and (probed < PROBED or len(chosen) < size):
            batch = drawn[probed : probed + PROBED]
            probed += len(batch)
            chosen += _eligible(connection, [("partition", n + 1) if n < ends[0] else ("predictions", n + 1 - ends[0]) for n in batch])
    return chosen[:size], round(len(chosen) * total / probed) if probed else 0


def _eligible(connection: sa.Connection, drawn: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of ``drawn`` that exist and may be chosen, in the order in which they were drawn."""
    table = partition_versions.c
    numbers = {kind: [number for other, number in drawn if other == kind] for kind in ("partition", "predictions")}
    columns = (table.id, table.dataset, table.partition, table.version, table.superseded_at)
    versions = sa.select(*columns).where(table.id.in_(numbers["partition"]), table.removed_at.is_(None))
    rows = connection.execute(versions).all()
    superseded = {(row.dataset, row.partition, row.version) for row in rows if row.superseded_at is not None}
    naming = snapshots_naming(connection, superseded)
    kept = kept_snapshots(connection, {digest for digests in naming.values() for digest in digests})
    named = {member for member, digests in naming.items() if digests & kept}
    may = {("partition", row.id) for row in rows if row.superseded_at is None or (row.dataset, row.partition, row.version) in named}
    sets = sa.select(prediction_sets.c.id).where(prediction_sets.c.id.in_(numbers["predictions"]))
    may |= {("predictions", number) for number in connection.execute(sets).scalars()}
    return [pair for pair in drawn if pair in may]


def _damage_of_version(number: int) -> list[Damage]:
    row = _row(partition_versions, number)
    if row is None or row.removed_at is not None:
        return []
    files = [("accepted", row.path, row.digest), ("quarantined", row.quarantine_path, row.quarantine_digest)]
    if row.raw_path and row.raw_digest:
        files.append(("raw", row.raw_path, row.raw_digest))
    fix = f"ingest {row.dataset} {row.partition} again, or restore the file from a backup"
    damage = []
    for kind, path, digest in files:
        subject = f"{row.dataset} {row.partition}: version {row.version}, its {kind} rows"
        damage += _damage(subject, path, digest, fix, "")
    return damage if damage and _row(partition_versions, number) == row else []  # else it was rewritten or removed while we read


def _damage_of_predictions(number: int) -> list[Damage]:
    row = _row(prediction_sets, number)
    if row is None:
        return []
    fix = f"remove the file, then `evergreen rescore {row.model} --from {row.partition} --to {row.partition}`"
    damage = _damage(f"{row.model} {row.partition}: its predictions", row.path, row.digest, fix, row.model)
    return damage if damage and _row(prediction_sets, number) == row else []


def _damage(subject: str, path: str, digest: str, fix: str, model: str) -> list[Damage]:
    now = stored_rows(path, digest)
    if now.state == "whole":
        return []
    return [Damage(subject, path, digest, now.digest, now.message, fix, model)]


def _row(table: sa.Table, number: int) -> sa.Row[Any] | None:
    with reading() as connection:
        return connection.execute(table.select().where(table.c.id == number)).first()


def _record(damage: list[Damage]) -> None:
    """Each finding is recorded once: what the ledger already holds is not added again every night."""
    entry = ledger_table.c
    for damaged in damage:
        body = damaged.as_record()
        same = ledger_table.select().where(entry.model == damaged.model, entry.kind == LEDGER_KIND, entry.body == canonical_json(body))
        with writing() as connection:
            if connection.execute(same).first() is None:
                ledger.append(connection, kind=LEDGER_KIND, model=damaged.model, body=body)
