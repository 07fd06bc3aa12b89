"""Snapshots of windows that are not said in days"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("snapshots", sa.Column("window", sa.String(length=40), nullable=True))


def downgrade() -> None:
    op.drop_column("snapshots", "window")
