"""Data that can be trusted: raw rows, releases, erasures, tombstones"""

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.types import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(length=60), nullable=False),
        sa.Column("columns", sa.String(length=500), nullable=False),
        sa.Column("subject_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
        sa.UniqueConstraint("dataset", "columns", "subject_hash", name=op.f("uq_erasures_dataset")),
    )
    op.create_table(
        "quarantine_releases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(length=60), nullable=False),
        sa.Column("partition", sa.Date(), nullable=False),
        sa.Column("row_digest", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine_releases")),
        sa.UniqueConstraint("dataset", "partition", "row_digest", name=op.f("uq_quarantine_releases_dataset")),
    )
    with op.batch_alter_table("candidates", schema=None) as batch_op:
        batch_op.add_column(sa.Column("irreproducible_because", sa.String(length=500), nullable=True))

    with op.batch_alter_table("partition_versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("raw_digest", sa.String(length=64), server_default=sa.text("''"), nullable=False))
        batch_op.add_column(sa.Column("raw_path", sa.String(length=500), server_default=sa.text("''"), nullable=False))
        batch_op.add_column(sa.Column("knowledge_column", sa.String(length=120), nullable=True))
        batch_op.add_column(sa.Column("removed_at", Moment(), nullable=True))

    with op.batch_alter_table("snapshots", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tombstones", sa.JSON(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("snapshots", schema=None) as batch_op:
        batch_op.drop_column("tombstones")

    with op.batch_alter_table("partition_versions", schema=None) as batch_op:
        batch_op.drop_column("removed_at")
        batch_op.drop_column("knowledge_column")
        batch_op.drop_column("raw_path")
        batch_op.drop_column("raw_digest")

    with op.batch_alter_table("candidates", schema=None) as batch_op:
        batch_op.drop_column("irreproducible_because")

    op.drop_table("quarantine_releases")
    op.drop_table("erasures")
