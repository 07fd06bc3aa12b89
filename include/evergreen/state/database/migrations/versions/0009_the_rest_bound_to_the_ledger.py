"""The rest of what answers an auditor is bound to the ledger: versions of partitions, corrections, releases, erasures, pauses, firings.

Rows of earlier releases are taken at their word: each gets an entry now, in the order in which the rows stand. A release of quarantined
rows becomes one row; what an erasure counts while it is at work stands apart from who asked for it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op

from include.evergreen.foundation.digest import canonical_json
from include.evergreen.state.database.types import Moment
from include.evergreen.state.ledger.entries import append

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# By table: the bound columns as they are in this release, and those of which the entry holds the SHA-256.
TYPES = {name: sa.Date for name in ("partition", "first", "last", "as_of")} | {
    name: Moment for name in ("knowledge_time", "recorded_at", "delivered_at", "arrived_at", "until", "lifted_at")
} | {name: sa.JSON for name in ("knowledge", "before", "detail", "evidence")}  # fmt: skip
COLUMNS = {
    "partition_versions": "dataset partition version digest path rows quarantine_digest quarantine_path quarantined source_rows raw_digest "
    "knowledge_time knowledge_column origin recorded_at delivered_at arrived_at knowledge",
    "knowledge_corrections": "dataset first last before actor reason recorded_at",
    "quarantine_releases": "dataset partition rows actor reason recorded_at",
    "erasures": "dataset columns subject_hash status detail recorded_at",
    "pauses": "actor reason recorded_at until lifted_at lifted_by",
    "firings": "model rule as_of version evidence recorded_at",
}
BY_DIGEST = {"knowledge_corrections": "before", "quarantine_releases": "rows"}
KINDS = {"partition_versions": "publication", "knowledge_corrections": "knowledge-correction", "erasures": "erasure",
         "quarantine_releases": "quarantine-release", "pauses": "pause", "firings": "firing"}  # fmt: skip
BECAUSE = "recorded by an earlier release, and bound when the database was upgraded"
ONE_RELEASE = ("dataset", "partition", "actor", "reason", "recorded_at")  # equal for all rows that were released at once


def upgrade() -> None:
    connection = op.get_bind()
    _make_releases(connection)
    _move_progress(connection)
    for name in COLUMNS:
        if name != "quarantine_releases":
            op.add_column(name, sa.Column("entry", sa.Integer(), nullable=True))
        op.create_index(f"ix_{name}_entry", name, ["entry"], unique=True)
    for name in COLUMNS:
        _bind(connection, name)


def downgrade() -> None:
    connection = op.get_bind()
    for name in COLUMNS:
        op.drop_index(f"ix_{name}_entry", name)
        if name != "quarantine_releases":
            with op.batch_alter_table(name) as batch_op:
                batch_op.drop_column("entry")
    table = sa.table("erasures", sa.column("id"), sa.column("detail", sa.JSON), sa.column("progress", sa.JSON))
    for row in connection.execute(table.select()).all():
        connection.execute(table.update().where(table.c.id == row.id).values(detail={**row.detail, **row.progress}))
    with op.batch_alter_table("erasures") as batch_op:
        batch_op.drop_column("progress")
    table = sa.table("quarantine_releases", *_typed([*ONE_RELEASE, "rows"], {"rows": sa.JSON}))
    releases = connection.execute(table.select()).mappings().all()
    op.drop_table("quarantine_releases")
    op.create_table(
        "quarantine_releases",
        *_release_columns(),
        sa.Column("row_digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine_releases"),
        sa.UniqueConstraint("dataset", "partition", "row_digest", name="uq_quarantine_releases_dataset"),
    )
    table = sa.table("quarantine_releases", *_typed([*ONE_RELEASE, "row_digest"], {}))
    single = {
        (row["dataset"], row["partition"], digest): {**{name: row[name] for name in ONE_RELEASE}, "row_digest": digest}
        for row in releases
        for digest in row["rows"]["digests"]
    }
    if single:
        connection.execute(table.insert(), list(single.values()))


def _make_releases(connection: sa.Connection) -> None:
    """One row for all rows that were released at once, with a salt, and without an index of their digests."""
    table = sa.table("quarantine_releases", *_typed([*ONE_RELEASE, "row_digest"], {}), sa.column("id"))
    releases: dict[tuple[Any, ...], list[str]] = {}
    for row in connection.execute(table.select().order_by(table.c.id)).mappings():
        releases.setdefault(tuple(row[name] for name in ONE_RELEASE), []).append(row["row_digest"])
    op.drop_table("quarantine_releases")
    op.create_table(
        "quarantine_releases",
        *_release_columns(),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine_releases"),
    )
    op.create_index("ix_quarantine_releases_partition", "quarantine_releases", ["dataset", "partition"])
    table = sa.table("quarantine_releases", *_typed([*ONE_RELEASE, "rows"], {"rows": sa.JSON}))
    for release, digests in releases.items():
        rows = {"digests": sorted(digests), "salt": secrets.token_hex(16)}
        connection.execute(table.insert().values(**dict(zip(ONE_RELEASE, release, strict=True)), rows=rows))


def _release_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(length=60), nullable=False),
        sa.Column("partition", sa.Date(), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
    ]


def _move_progress(connection: sa.Connection) -> None:
    op.add_column("erasures", sa.Column("progress", sa.JSON(), nullable=True))
    table = sa.table("erasures", sa.column("id"), sa.column("detail", sa.JSON), sa.column("progress", sa.JSON))
    for row in connection.execute(table.select()).all():
        moved = {name: row.detail[name] for name in ("counts", "unsearched") if name in row.detail}
        left = {name: value for name, value in row.detail.items() if name not in moved}
        connection.execute(table.update().where(table.c.id == row.id).values(detail=left, progress={"counts": {}, **moved}))
    with op.batch_alter_table("erasures") as batch_op:
        batch_op.alter_column("progress", existing_type=sa.JSON(), nullable=False)


def _bind(connection: sa.Connection, name: str) -> None:
    columns = COLUMNS[name].split()
    types = {**TYPES, "rows": sa.JSON} if name == "quarantine_releases" else TYPES
    table = sa.table(name, *_typed(["id", "entry", *columns], types))
    for row in connection.execute(table.select().order_by(table.c.id)).mappings().all():
        said = {column: row[column] for column in columns}
        if digested := BY_DIGEST.get(name):
            said[digested] = hashlib.sha256(canonical_json(said[digested]).encode()).hexdigest()
        kind = "resume" if name == "pauses" and row["lifted_at"] is not None else KINDS[name]
        body = {"because": BECAUSE, **json.loads(canonical_json(said)), "table": name}
        sequence = append(connection, kind=kind, model=said.get("model", ""), body=body)
        connection.execute(table.update().where(table.c.id == row["id"]).values(entry=sequence))


def _typed(columns: list[str], types: dict[str, Any]) -> list[sa.ColumnClause[Any]]:
    return [sa.column(column, {**TYPES, **types}.get(column)) for column in columns]
