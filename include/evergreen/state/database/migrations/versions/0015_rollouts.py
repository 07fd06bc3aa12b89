"""Roll-outs: a version takes the champion's place step by step"""

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.types import Moment

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

RUNNING = sa.text("state = 'running'")


def upgrade() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("champion_version", sa.Integer(), nullable=False),
        sa.Column("decision", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.String(length=12), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("first", sa.String(length=20), nullable=False),
        sa.Column("last", sa.String(length=20), nullable=True),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("because", sa.String(length=1000), nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("note", sa.String(length=1000), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
    )
    op.create_index("ix_rollouts_entry", "rollouts", ["entry"], unique=True)
    op.create_index("ix_rollouts_model", "rollouts", ["model", "id"])
    op.create_index("ix_rollouts_version", "rollouts", ["model", "version", "id"])
    op.create_index("uq_rollouts_running", "rollouts", ["model"], unique=True, sqlite_where=RUNNING, postgresql_where=RUNNING)


def downgrade() -> None:
    op.drop_table("rollouts")
