"""What became of a firing: whether its training was decided, or ended without"""

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.types import Moment

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("firings", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("firings", sa.Column("answered_at", Moment(), nullable=True))
    op.add_column("firings", sa.Column("failed_at", Moment(), nullable=True))
    # until now, a firing counted as answered as soon as its training was asked for
    op.execute(sa.text("UPDATE firings SET attempts = 1, answered_at = recorded_at WHERE training_run_id IS NOT NULL"))


def downgrade() -> None:
    with op.batch_alter_table("firings") as batch_op:
        batch_op.drop_column("failed_at")
        batch_op.drop_column("answered_at")
        batch_op.drop_column("attempts")
