"""Which snapshots name a partition version, and which of those are kept for ever, by indexed queries."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.batches import in_batches
from include.evergreen.foundation.grain import Partition
from include.evergreen.state.database.tables import candidates, decisions, model_versions, snapshot_spans, snapshots

Member = tuple[str, Partition, int]  # dataset, partition, version
AT_ONCE = 200  # snapshots whose members are read at a time: each may name hundreds
CLOCKS_APART = dt.timedelta(hours=1)  # those of two machines, at most


@dataclass(frozen=True)
class Seen:
    """What was recorded when somebody looked: a later decision, registration or snapshot may name what none did before."""

    decision: int
    registration: int
    timestamp: dt.datetime


def look(connection: sa.Connection, timestamp: dt.datetime) -> Seen:
    """Remember what is recorded now, for `named_since`.

    :param connection: to read with
    :param timestamp: when the caller began, by its own clock
    :returns: the newest ids and the time, `CLOCKS_APART` earlier, since snapshots may be recorded by another machine
    """
    newest = [connection.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0 for table in (decisions, model_versions)]
    return Seen(newest[0], newest[1], timestamp - CLOCKS_APART)


def snapshots_naming(connection: sa.Connection, versions: Collection[Member]) -> dict[Member, set[str]]:
    """Find the snapshots that name partition versions.

    :param connection: to read with
    :param versions: which ones
    :returns: for each, the digests of the snapshots that name it; those that none names are left out
    """
    days: dict[str, list[Partition]] = defaultdict(list)
    for dataset, partition, _ in versions:
        days[dataset].append(partition)
    span = snapshot_spans.c
    digests = set()
    for dataset, wanted in days.items():
        near = sa.select(snapshot_spans).where(span.dataset == dataset, span.last >= min(wanted), span.first <= max(wanted))
        digests |= {row.snapshot_digest for row in connection.execute(near) if any(row.first <= day <= row.last for day in wanted)}
    return _naming(connection, digests, set(versions))


def named_since(connection: sa.Connection, versions: Collection[Member], seen: Seen) -> set[Member]:
    """Tell which versions a snapshot names that was recorded, blessed or registered after `look`. Quick: it is called under the write lock.

    :param connection: inside a transaction; nothing is committed here
    :param versions: which ones
    :param seen: what `look` returned
    :returns: those of ``versions`` that are named by now
    """
    of_candidate = sa.select(candidates.c.snapshot_digest)
    later = (
        of_candidate.join(decisions).where(decisions.c.id > seen.decision, decisions.c.verdict == "blessed"),
        of_candidate.join(model_versions).where(model_versions.c.id > seen.registration),
        sa.select(snapshots.c.digest).where(snapshots.c.recorded_at >= seen.timestamp),
    )
    digests = {digest for query in later for digest in connection.execute(query).scalars()}
    return set(_naming(connection, digests, set(versions)))


def kept_snapshots(connection: sa.Connection, digests: Collection[str]) -> set[str]:
    """Tell which snapshots have a candidate that was blessed or registered: retention keeps what these name.

    :param connection: to read with
    :param digests: of snapshots, in any number
    :returns: those that are kept
    """
    kept: set[str] = set()
    for batch in in_batches(sorted(digests), AT_ONCE):
        query = sa.select(candidates.c.snapshot_digest).where(candidates.c.snapshot_digest.in_(batch), is_kept())
        kept.update(connection.execute(query).scalars())
    return kept


def is_kept() -> sa.ColumnElement[bool]:
    """Build the condition that a candidate was blessed or registered.

    :returns: for a query on the table `candidates`
    """
    registered = sa.select(model_versions.c.id).where(model_versions.c.run_key == candidates.c.run_key).exists()
    blessed = sa.select(decisions.c.id).where(decisions.c.run_key == candidates.c.run_key, decisions.c.verdict == "blessed").exists()
    return registered | blessed


def parse_member(key: str, member: Mapping[str, Any]) -> Member:
    """Read one entry of a snapshot's members.

    :param key: its name, such as ``weather/2013-02-09/v1``
    :param member: what it says of the partition version, of which ``version`` is read
    :returns: dataset, partition and number of the version
    """
    dataset, partition, *_ = key.split("/")
    return dataset, Partition(partition), int(member["version"])


def _naming(connection: sa.Connection, digests: Iterable[str], versions: set[Member]) -> dict[Member, set[str]]:
    datasets = {dataset for dataset, _, _ in versions}
    naming: dict[Member, set[str]] = defaultdict(set)
    for batch in in_batches(sorted(digests), AT_ONCE):
        for row in connection.execute(sa.select(snapshots.c.digest, snapshots.c.members).where(snapshots.c.digest.in_(batch))):
            for key, member in row.members.items():
                if key.split("/", 1)[0] in datasets and (named := parse_member(key, member)) in versions:
                    naming[named].add(row.digest)
    return dict(naming)
