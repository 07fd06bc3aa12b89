"""News of observations: one poll for all models that wait for a rule to trip"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "observation_news",
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_observation_news"),
        sa.UniqueConstraint("sequence", name="uq_observation_news_sequence"),
    )


def downgrade() -> None:
    op.drop_table("observation_news")
