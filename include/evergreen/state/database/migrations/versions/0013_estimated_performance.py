"""Estimated performance: what each estimator told of a window before its labels came"""

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.types import Moment

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "estimates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("partition", sa.Date(), nullable=False),
        sa.Column("estimator", sa.String(length=20), nullable=False),
        sa.Column("metric", sa.String(length=120), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=False),
        sa.Column("high", sa.Float(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_observed", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_estimates"),
        sa.UniqueConstraint("model", "partition", "estimator", "metric", name="uq_estimates_model"),
    )


def downgrade() -> None:
    op.drop_table("estimates")
