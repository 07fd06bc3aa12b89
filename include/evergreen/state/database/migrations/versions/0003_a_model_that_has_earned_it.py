"""A model that has earned it: recipes, claims, approvals, pauses, alerts"""

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.types import Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("severity", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("words", sa.String(length=1000), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", Moment(), nullable=False),
        sa.Column("last_at", Moment(), nullable=False),
        sa.Column("resolved_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("key", name=op.f("uq_alerts_key")),
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("request", sa.String(length=250), nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("model", "version", "request", name=op.f("uq_approvals_model")),
    )
    op.create_table(
        "pauses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.Column("lifted_at", Moment(), nullable=True),
        sa.Column("lifted_by", sa.String(length=120), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
    )
    op.create_table(
        "recipes",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_recipes")),
    )
    op.create_table(
        "run_claims",
        sa.Column("run_key", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("mlflow_run_id", sa.String(length=60), nullable=False),
        sa.Column("chosen", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("run_key", name=op.f("pk_run_claims")),
    )
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False))
        batch_op.add_column(sa.Column("mode", sa.String(length=10), server_default=sa.text("'enabled'"), nullable=False))
        batch_op.drop_constraint(batch_op.f("uq_decisions_run_key"), type_="unique")
        batch_op.create_unique_constraint(batch_op.f("uq_decisions_run_key"), ["run_key", "champion_version", "gate_digest", "attempt"])

    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("approval_because", sa.String(length=500), server_default=sa.text("''"), nullable=False))
        batch_op.add_column(sa.Column("card_path", sa.String(length=500), server_default=sa.text("''"), nullable=False))

    with op.batch_alter_table("promotions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(length=10), server_default=sa.text("'promotion'"), nullable=False))
        batch_op.add_column(sa.Column("request", sa.String(length=250), server_default=sa.text("''"), nullable=False))
        batch_op.add_column(sa.Column("shown_at", Moment(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("promotions", schema=None) as batch_op:
        batch_op.drop_column("shown_at")
        batch_op.drop_column("request")
        batch_op.drop_column("kind")

    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.drop_column("card_path")
        batch_op.drop_column("approval_because")

    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_decisions_run_key"), type_="unique")
        batch_op.create_unique_constraint(batch_op.f("uq_decisions_run_key"), ["run_key", "champion_version", "gate_digest"])
        batch_op.drop_column("mode")
        batch_op.drop_column("attempt")

    op.drop_table("run_claims")
    op.drop_table("recipes")
    op.drop_table("pauses")
    op.drop_table("approvals")
    op.drop_table("alerts")
