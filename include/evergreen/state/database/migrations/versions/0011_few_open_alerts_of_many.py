"""Indexes of open alerts for what asks every few seconds: in the order of the inbox, by kind, and by when time alone changes one"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

OPEN = sa.text("resolved_at IS NULL")
DUE = {"ix_alerts_snoozed": "snoozed_until", "ix_alerts_remind": "remind_at", "ix_alerts_cleared": "cleared_at"}


def upgrade() -> None:
    op.drop_index("ix_alerts_open", "alerts")
    columns = ["severity", sa.text("last_at DESC"), sa.text("id DESC"), "state"]
    op.create_index("ix_alerts_open", "alerts", columns, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("ix_alerts_open_kind", "alerts", ["kind"], sqlite_where=OPEN, postgresql_where=OPEN)
    for name, column in DUE.items():
        is_due = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "alerts", [column], sqlite_where=is_due, postgresql_where=is_due)


def downgrade() -> None:
    for name in (*DUE, "ix_alerts_open_kind", "ix_alerts_open"):
        op.drop_index(name, "alerts")
    op.create_index("ix_alerts_open", "alerts", ["severity", "last_at", "id"], sqlite_where=OPEN, postgresql_where=OPEN)
