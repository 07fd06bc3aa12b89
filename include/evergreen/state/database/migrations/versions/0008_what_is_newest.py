"""Which delivery is the newest, by what its knowledge time was said, and the corrections of that"""

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.types import Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("partition_versions", "validations"):
        op.add_column(table, sa.Column("delivered_at", Moment(), nullable=True))
    op.add_column("partition_versions", sa.Column("arrived_at", Moment(), nullable=True))
    op.add_column("partition_versions", sa.Column("knowledge", sa.JSON(), nullable=True))
    op.create_table(
        "knowledge_corrections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(length=60), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knowledge_corrections")),
    )
    op.create_index("ix_knowledge_corrections_dataset", "knowledge_corrections", ["dataset", "recorded_at"])


def downgrade() -> None:
    op.drop_table("knowledge_corrections")
    with op.batch_alter_table("partition_versions") as batch_op:
        batch_op.drop_column("knowledge")
        batch_op.drop_column("arrived_at")
    for table in ("partition_versions", "validations"):
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_column("delivered_at")
