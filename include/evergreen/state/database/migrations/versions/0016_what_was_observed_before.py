"""What was observed before: figures that a partition had, and the interval of each figure that has one"""

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.types import Moment

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

OF_ESTIMATE = (
    "(SELECT {end} FROM estimates WHERE estimates.model = observations.model AND estimates.partition = observations.partition "
    "AND estimates.is_observed AND 'estimated.' || estimates.metric = observations.metric)"
)


def upgrade() -> None:
    for end in ("low", "high"):
        op.add_column("observations", sa.Column(end, sa.Float(), nullable=True))
    ends = ", ".join(f"{end} = {OF_ESTIMATE.format(end=end)}" for end in ("low", "high"))
    op.execute(sa.text(f"UPDATE observations SET {ends} WHERE metric LIKE 'estimated.%'"))  # noqa: S608 - nothing of anybody's is in it
    op.create_table(
        "superseded_observations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("partition", sa.String(length=20), nullable=False),
        sa.Column("metric", sa.String(length=120), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.Column("superseded_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_superseded_observations"),
    )
    op.create_index("ix_superseded_observations_partition", "superseded_observations", ["model", "partition"])
    op.create_index("ix_superseded_observations_superseded", "superseded_observations", ["superseded_at"])


def downgrade() -> None:
    op.drop_table("superseded_observations")
    with op.batch_alter_table("observations") as batch_op:
        batch_op.drop_column("high")
        batch_op.drop_column("low")
