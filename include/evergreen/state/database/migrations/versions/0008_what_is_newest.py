"""Which delivery is the newest: when its source began to be read"""

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.tables import Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("partition_versions", "validations"):
        op.add_column(table, sa.Column("delivered_at", Moment(), nullable=True))


def downgrade() -> None:
    for table in ("partition_versions", "validations"):
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_column("delivered_at")
