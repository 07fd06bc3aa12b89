"""Partitions by their keys: a day, a week or an hour is named by its text, which is in the order of time"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

COLUMNS = {
    "partition_versions": ["partition"],
    "knowledge_corrections": ["first", "last"],
    "dataset_totals": ["latest"],
    "validations": ["partition"],
    "quarantine_releases": ["partition"],
    "stage_records": ["partition"],
    "snapshots": ["as_of"],
    "snapshot_spans": ["first", "last"],
    "candidates": ["as_of"],
    "decisions": ["as_of"],
    "model_versions": ["as_of"],
    "promotions": ["as_of"],
    "prediction_sets": ["partition"],
    "observations": ["partition"],
    "estimates": ["partition"],
    "reports": ["partition"],
    "firings": ["as_of"],
}
KEY = sa.String(length=20)


def upgrade() -> None:
    _alter(sa.Date(), KEY, "to_char({}, 'YYYY-MM-DD')")


def downgrade() -> None:
    _refuse_shorter_than_a_day()
    _alter(KEY, sa.Date(), "to_date({}, 'YYYY-MM-DD')")


def _alter(before: sa.types.TypeEngine[object], after: sa.types.TypeEngine[object], using: str) -> None:
    """SQLite holds a date as the same text, in a column that takes any: there is nothing to change."""
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, columns in COLUMNS.items():
        for name in columns:
            quoted = op.get_bind().dialect.identifier_preparer.quote(name)
            op.alter_column(table, name, existing_type=before, type_=after, existing_nullable=False, postgresql_using=using.format(quoted))


def _refuse_shorter_than_a_day() -> None:
    for table, columns in COLUMNS.items():
        for name in columns:
            column = sa.column(name, sa.String)
            if op.get_bind().execute(sa.select(column).select_from(sa.table(table)).where(sa.func.length(column) != 10).limit(1)).first():
                raise RuntimeError(f"{table} has partitions shorter than a day, which an older release does not know; nothing was changed.")
