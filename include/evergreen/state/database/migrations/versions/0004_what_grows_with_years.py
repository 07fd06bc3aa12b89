"""What grows with years: indexes for what is asked often, and four things that were worked out of all history each time"""

import datetime as dt
from collections import defaultdict

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.types import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

AT_ONCE = 500  # snapshots whose members are read at a time: each may name hundreds
INDEXES: dict[str, tuple[str, list[str], str]] = {
    "ix_partition_versions_superseded": (
        "partition_versions",
        ["dataset", "superseded_at"],
        "superseded_at IS NOT NULL AND removed_at IS NULL AND kept_at IS NULL",
    ),
    "ix_partition_versions_recorded": ("partition_versions", ["recorded_at"], ""),
    "ix_prediction_sets_recorded": ("prediction_sets", ["recorded_at"], ""),
    "ix_partition_versions_raw": ("partition_versions", ["dataset", "recorded_at"], "raw_path != ''"),
    "ix_validations_recorded": ("validations", ["dataset", "recorded_at"], ""),
    "ix_snapshots_model": ("snapshots", ["model", "as_of"], ""),
    "ix_snapshots_recorded": ("snapshots", ["recorded_at"], ""),
    "ix_snapshot_spans_dataset": ("snapshot_spans", ["dataset", "last"], ""),
    "ix_candidates_model": ("candidates", ["model", "as_of"], ""),
    "ix_candidates_snapshot": ("candidates", ["snapshot_digest"], ""),
    "ix_decisions_model": ("decisions", ["model", "id"], ""),
    "ix_model_versions_model": ("model_versions", ["model", "id"], ""),
    "ix_model_versions_as_of": ("model_versions", ["model", "as_of"], ""),
    "ix_promotions_model": ("promotions", ["model", "id"], ""),
    "ix_promotions_version": ("promotions", ["model", "version", "id"], ""),
    "ix_promotions_request": ("promotions", ["model", "request"], "request != ''"),
    "ix_promotions_line": ("promotions", ["model", "id"], "ended_by IS NULL"),
    "ix_alerts_firing": ("alerts", ["model"], "state = 'firing'"),
    "ix_ledger_model": ("ledger", ["model", "sequence"], ""),
    "ix_ledger_damage": ("ledger", ["model"], "kind = 'damage'"),
    "ix_observations_partition": ("observations", ["model", "partition"], ""),
    "ix_firings_model": ("firings", ["model", "id"], ""),
    "ix_firings_as_of": ("firings", ["model", "as_of"], ""),
}


def upgrade() -> None:
    op.create_table(
        "dataset_totals",
        sa.Column("dataset", sa.String(length=60), nullable=False),
        sa.Column("partitions", sa.Integer(), nullable=False),
        sa.Column("latest", sa.Date(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", name=op.f("pk_dataset_totals")),
    )
    op.create_table(
        "snapshot_spans",
        sa.Column("snapshot_digest", sa.String(length=64), nullable=False),
        sa.Column("dataset", sa.String(length=60), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(["snapshot_digest"], ["snapshots.digest"]),
        sa.PrimaryKeyConstraint("snapshot_digest", "dataset", name=op.f("pk_snapshot_spans")),
    )
    op.add_column("partition_versions", sa.Column("superseded_at", Moment(), nullable=True))
    op.add_column("partition_versions", sa.Column("kept_at", Moment(), nullable=True))
    op.add_column("promotions", sa.Column("ended_by", sa.Integer(), nullable=True))
    connection = op.get_bind()
    _say_when_each_was_superseded(connection)
    _count_what_is_current(connection)
    _measure_spans(connection)
    _draw_lines(connection)
    op.drop_index("ix_promotions_model", "promotions")
    for name, (table, columns, where) in INDEXES.items():
        condition = sa.text(where) if where else None
        op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    for name, (table, _, _) in reversed(INDEXES.items()):
        op.drop_index(name, table)
    op.create_index("ix_promotions_model", "promotions", ["model"])
    with op.batch_alter_table("promotions") as batch_op:
        batch_op.drop_column("ended_by")
    with op.batch_alter_table("partition_versions") as batch_op:
        batch_op.drop_column("kept_at")
        batch_op.drop_column("superseded_at")
    op.drop_table("snapshot_spans")
    op.drop_table("dataset_totals")


def _say_when_each_was_superseded(connection: sa.Connection) -> None:
    connection.execute(
        sa.text(
            "UPDATE partition_versions SET superseded_at = (SELECT after.recorded_at FROM partition_versions AS after "
            "WHERE after.dataset = partition_versions.dataset AND after.partition = partition_versions.partition "
            "AND after.version = partition_versions.version + 1)"
        )
    )


def _count_what_is_current(connection: sa.Connection) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO dataset_totals (dataset, partitions, latest, rows, quarantined) "
            "SELECT dataset, count(*), max(partition), sum(rows), sum(quarantined) FROM partition_versions "
            "WHERE superseded_at IS NULL GROUP BY dataset"
        )
    )


def _measure_spans(connection: sa.Connection) -> None:
    snapshots = sa.table("snapshots", sa.column("digest"), sa.column("members", sa.JSON))
    spans = sa.table(
        "snapshot_spans", sa.column("snapshot_digest"), sa.column("dataset"), sa.column("first", sa.Date), sa.column("last", sa.Date)
    )
    after = ""
    while True:
        query = sa.select(snapshots).where(snapshots.c.digest > after).order_by(snapshots.c.digest).limit(AT_ONCE)
        batch = connection.execute(query).all()
        rows = [span for digest, members in batch for span in _spans(digest, members)]
        if rows:
            connection.execute(spans.insert(), rows)
        if not batch:
            return
        after = batch[-1].digest


def _spans(digest: str, members: dict[str, object]) -> list[dict[str, object]]:
    days: dict[str, list[dt.date]] = defaultdict(list)
    for name in members:
        dataset, day, *_ = name.split("/")
        days[dataset].append(dt.date.fromisoformat(day))
    return [{"snapshot_digest": digest, "dataset": name, "first": min(dates), "last": max(dates)} for name, dates in days.items()]


def _draw_lines(connection: sa.Connection) -> None:
    """A promotion ends the version's earlier place in the line; a roll-back ends all places after the one that it goes back to."""
    rows = connection.execute(sa.text("SELECT id, model, version, kind FROM promotions ORDER BY id")).all()
    lines: dict[str, dict[int, int]] = defaultdict(dict)  # by model: the id of the promotion that each version of the line stands by
    ended: list[dict[str, int]] = []
    for row in rows:
        line = lines[row.model]
        if row.kind == "rollback" and row.version in line:
            gone = [version for version, place in line.items() if place > line[row.version]]
            ended.append({"place": row.id, "by": 0})
        else:
            gone = list(line) if row.kind == "rollback" else [row.version] if row.version in line else []
        ended += [{"place": line.pop(version), "by": row.id} for version in gone]
        if row.version not in line:
            line[row.version] = row.id
    if ended:
        connection.execute(sa.text("UPDATE promotions SET ended_by = :by WHERE id = :place"), ended)
