"""Rows bound to the ledger: each names its entry, which says what the row says. And every scoring of a partition is kept.

Rows of earlier releases are taken at their word: each gets an entry now, in the order in which the rows stand.
"""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic import op

from include.evergreen.foundation.digest import canonical_json
from include.evergreen.state.database.types import Moment
from include.evergreen.state.ledger.entries import append

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# By table: the bound columns as they are in this release, and those of which the entry holds the SHA-256.
TYPES = {"as_of": sa.Date, "partition": sa.Date, "recorded_at": Moment, "promoted_at": Moment, "superseded_at": Moment,
         "members": sa.JSON, "metrics": sa.JSON, "facts": sa.JSON, "criteria": sa.JSON}  # fmt: skip
COLUMNS = {
    "snapshots": "digest model as_of window_days rows members frame_path recorded_at",
    "candidates": "run_key model as_of snapshot_digest recipe_digest signature_digest mlflow_run_id artifact_digest "
    "reference_path metrics facts recorded_at",
    "decisions": "model run_key champion_version gate_digest as_of attempt mode verdict criteria recorded_at",
    "model_versions": "model version semver run_key as_of approval_because recorded_at",
    "approvals": "model version request verdict actor reason recorded_at",
    "promotions": "model version as_of previous_version kind request actor reason promoted_at",
    "prediction_sets": "model partition scoring version challenger_version rows digest path input_digest origin recorded_at",
}
BY_DIGEST = {"snapshots": "members", "candidates": "facts"}
KINDS = {"snapshots": "snapshot", "candidates": "training", "decisions": "decision", "model_versions": "registration",
         "prediction_sets": "scoring"}  # fmt: skip
ANSWERS = {"approved": "approval", "refused": "refusal"}
BECAUSE = "recorded by an earlier release, and bound when the database was upgraded"


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column(name, sa.Column("entry", sa.Integer(), nullable=True))
        op.create_index(f"ix_{name}_entry", name, ["entry"], unique=True)
    op.create_index("ix_ledger_kind", "ledger", ["model", "kind", "sequence"])
    with op.batch_alter_table("prediction_sets") as batch_op:
        batch_op.add_column(sa.Column("scoring", sa.Integer(), nullable=False, server_default=sa.text("1")))
        batch_op.add_column(sa.Column("superseded_at", Moment(), nullable=True))
        batch_op.drop_constraint("uq_prediction_sets_model", type_="unique")
        batch_op.create_unique_constraint("uq_prediction_sets_model", ["model", "partition", "scoring"])
    connection = op.get_bind()
    for name in COLUMNS:
        _bind(connection, name)


def downgrade() -> None:
    op.execute("DELETE FROM prediction_sets WHERE superseded_at IS NOT NULL")
    with op.batch_alter_table("prediction_sets") as batch_op:
        batch_op.drop_constraint("uq_prediction_sets_model", type_="unique")
        batch_op.create_unique_constraint("uq_prediction_sets_model", ["model", "partition"])
        batch_op.drop_column("superseded_at")
        batch_op.drop_column("scoring")
    op.drop_index("ix_ledger_kind", "ledger")
    for name in COLUMNS:
        op.drop_index(f"ix_{name}_entry", name)
        op.drop_column(name, "entry")


def _bind(connection: sa.Connection, name: str) -> None:
    columns = COLUMNS[name].split()
    number = "id" if name not in {"snapshots", "candidates"} else columns[0]
    table = sa.table(name, *(sa.column(column, TYPES.get(column)) for column in {*columns, number, "entry"}))
    order = table.c.id if number == "id" else table.c.recorded_at
    for row in connection.execute(table.select().order_by(order)).all():
        said = {column: row._mapping[column] for column in columns}
        if digested := BY_DIGEST.get(name):
            said[digested] = hashlib.sha256(canonical_json(said[digested]).encode()).hexdigest()
        kind = KINDS.get(name) or (row.kind if name == "promotions" else ANSWERS[row.verdict])
        body = {"because": BECAUSE, **json.loads(canonical_json(said)), "table": name}
        sequence = append(connection, kind=kind, model=row.model, body=body)
        connection.execute(table.update().where(table.c[number] == row._mapping[number]).values(entry=sequence))
