"""On call: alerts with states, places and a timeline; what tasks say when they fail; leases, notifications, maintenance windows"""

import sqlalchemy as sa
from alembic import op

from include.evergreen.state.database.types import Moment

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

OPEN = sa.text("resolved_at IS NULL")


def upgrade() -> None:
    op.drop_index("ix_alerts_firing", "alerts")
    with op.batch_alter_table("alerts") as batch_op:
        batch_op.drop_constraint("uq_alerts_key", type_="unique")
        batch_op.add_column(sa.Column("kind", sa.String(length=40), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("dataset", sa.String(length=60), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("error", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("assignee", sa.String(length=120), nullable=True))
        batch_op.add_column(sa.Column("snoozed_until", Moment(), nullable=True))
        batch_op.add_column(sa.Column("remind_at", Moment(), nullable=True))
        batch_op.add_column(sa.Column("reopened", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("cleared_at", Moment(), nullable=True))
        batch_op.add_column(sa.Column("resolved_by", sa.String(length=120), nullable=True))
    connection = op.get_bind()
    for alert_id, key in connection.execute(sa.text("SELECT id, key FROM alerts")).all():
        connection.execute(sa.text("UPDATE alerts SET kind = :kind WHERE id = :id"), {"kind": key.partition("/")[0], "id": alert_id})
    with op.batch_alter_table("alerts") as batch_op:
        batch_op.alter_column("kind", server_default=None)
        batch_op.alter_column("dataset", server_default=None)
    op.create_index("uq_alerts_open", "alerts", ["key"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("ix_alerts_open", "alerts", ["severity", "last_at", "id"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("ix_alerts_open_model", "alerts", ["model"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("ix_alerts_key", "alerts", ["key", "id"])
    op.create_index("ix_alerts_last", "alerts", ["last_at"])
    op.create_table(
        "alert_places",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("task_id", sa.String(length=250), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("dataset", sa.String(length=60), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("partition", sa.String(length=40), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("last_at", Moment(), nullable=False),
        sa.Column("cleared_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"]),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_places")),
        sa.UniqueConstraint("alert_id", "dag_id", "task_id", "model", "dataset", name=op.f("uq_alert_places_alert_id")),
    )
    op.create_index("ix_alert_places_dag", "alert_places", ["dag_id", "alert_id"])
    op.execute(
        sa.text(
            "INSERT INTO alert_places (alert_id, dag_id, task_id, model, dataset, run_id, map_index, try_number, partition, times, last_at, cleared_at)"
            " SELECT id, '', '', model, '', '', -1, 0, '', times, last_at, resolved_at FROM alerts WHERE model != ''"
        )
    )
    op.create_table(
        "alert_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("message", sa.String(length=2000), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"]),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_events")),
    )
    op.create_index("ix_alert_events_alert", "alert_events", ["alert_id", "id"])
    op.create_index("ix_alert_events_recorded", "alert_events", ["recorded_at"])
    op.create_table(
        "task_failures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("task_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("partition", sa.String(length=40), nullable=False),
        sa.Column("error_class", sa.String(length=120), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=True),
        sa.Column("cleared_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"]),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_failures")),
        sa.UniqueConstraint("dag_id", "task_id", "run_id", "map_index", "try_number", name=op.f("uq_task_failures_dag_id")),
    )
    unsettled = sa.text("alert_id IS NOT NULL AND cleared_at IS NULL")
    op.create_index("ix_task_failures_open", "task_failures", ["alert_id"], sqlite_where=unsettled, postgresql_where=unsettled)
    op.create_index("ix_task_failures_recorded", "task_failures", ["recorded_at"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("term", sa.Integer(), nullable=False),
        sa.Column("acquired_at", Moment(), nullable=False),
        sa.Column("renewed_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=60), nullable=False),
        sa.Column("recipient", sa.String(length=120), nullable=False),
        sa.Column("action", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("sent_at", Moment(), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"]),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("key", name=op.f("uq_notifications_key")),
    )
    due = sa.text("state IN ('pending', 'sending')")
    op.create_index("ix_notifications_due", "notifications", ["due_at"], sqlite_where=due, postgresql_where=due)
    op.create_index("ix_notifications_alert", "notifications", ["alert_id", "id"])
    told, sent = sa.text("state IN ('sent', 'acked')"), sa.text("sent_at IS NOT NULL")
    op.create_index("ix_notifications_told", "notifications", ["alert_id"], sqlite_where=told, postgresql_where=told)
    op.create_index("ix_notifications_sent", "notifications", ["sent_at"], sqlite_where=sent, postgresql_where=sent)
    op.create_table(
        "kept_files",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_kept_files")),
    )
    op.create_table(
        "maintenance_windows",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("starts_at", Moment(), nullable=False),
        sa.Column("ends_at", Moment(), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.Column("lifted_at", Moment(), nullable=True),
        sa.Column("lifted_by", sa.String(length=120), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance_windows")),
    )
    op.create_index("ix_maintenance_windows_end", "maintenance_windows", ["name", "ends_at"])


def downgrade() -> None:
    for table in ("kept_files", "maintenance_windows", "notifications", "leases", "task_failures", "alert_events", "alert_places"):
        op.drop_table(table)
    # a key had one row, the newest
    op.execute(sa.text("DELETE FROM alerts WHERE id NOT IN (SELECT max(id) FROM alerts GROUP BY key)"))
    op.execute(sa.text("UPDATE alerts SET state = 'firing' WHERE state IN ('acknowledged', 'snoozed')"))
    for index in ("uq_alerts_open", "ix_alerts_open", "ix_alerts_open_model", "ix_alerts_key", "ix_alerts_last"):
        op.drop_index(index, "alerts")
    with op.batch_alter_table("alerts") as batch_op:
        for column in (
            "kind",
            "dataset",
            "error",
            "revision",
            "assignee",
            "snoozed_until",
            "remind_at",
            "reopened",
            "cleared_at",
            "resolved_by",
        ):
            batch_op.drop_column(column)
        batch_op.create_unique_constraint("uq_alerts_key", ["key"])
    firing = sa.text("state = 'firing'")
    op.create_index("ix_alerts_firing", "alerts", ["model"], sqlite_where=firing, postgresql_where=firing)
