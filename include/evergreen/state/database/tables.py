"""Every table, with what one row of it stands for.

Partitions are dates, written ``YYYY-MM-DD``, so that text order is time order. Timestamps are UTC.

All of these but `pauses`, `erasures` and `knowledge_corrections` grow with the years, so whatever is asked of them often has an
index that answers it: a test fails for a query of the nightly verbs that reads a table from end to end.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from include.evergreen.state.database.types import Moment, check_what_is_bound

metadata = sa.MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "ix": "ix_%(table_name)s_%(column_0_name)s"}
)


def _key(name: str, length: int = 60) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _json(name: str) -> sa.Column[dict[str, object]]:
    return sa.Column(name, sa.JSON, nullable=False)


def _partition(name: str) -> sa.Column[str]:
    """The key of a partition: of one dataset, or one model, in the order of time."""
    return sa.Column(name, sa.String(20), nullable=False)


def _moment(name: str) -> sa.Column[dt.datetime]:
    return sa.Column(name, Moment, nullable=False)


def _entry() -> sa.Column[int]:
    """The row's entry in the ledger, which says what the row says (see the ledger's bindings); none: it was put in by other hands."""
    return sa.Column("entry", sa.Integer, index=True, unique=True)


def _index(name: str, *columns: str, where: str = "") -> sa.Index:
    """With ``where``, of the rows alone that the condition holds for: as long as those are few, so is the index."""
    condition = sa.text(where) if where else None
    return sa.Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


_running = sa.text("state = 'running'")

# One validated content of one partition. The row with the highest version is current.
partition_versions = sa.Table(
    "partition_versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("dataset"),
    _partition("partition"),
    sa.Column("version", sa.Integer, nullable=False),
    _key("digest", 64),
    _key("path", 500),
    sa.Column("rows", sa.Integer, nullable=False),
    _key("quarantine_digest", 64),
    _key("quarantine_path", 500),
    sa.Column("quarantined", sa.Integer, nullable=False),
    sa.Column("source_rows", sa.Integer, nullable=False),
    sa.Column("raw_digest", sa.String(64), nullable=False, server_default=sa.text("''")),  # empty: it did not come from a fetch
    sa.Column("raw_path", sa.String(500), nullable=False, server_default=sa.text("''")),  # empty: the raw rows are no longer kept
    _moment("knowledge_time"),
    sa.Column("knowledge_column", sa.String(120)),  # of the rows, which were known one by one; none: all at knowledge_time
    _key("origin", 10),
    _moment("recorded_at"),
    # When the source began to be read for the newest delivery that had this content; none: recorded by an earlier release.
    sa.Column("delivered_at", Moment),
    sa.Column("arrived_at", Moment),  # when the rows had come from the source; none: recorded by an earlier release
    # The declaration that knowledge_time was computed by, with `known_at` where a person gave it; none: by an earlier release.
    sa.Column("knowledge", sa.JSON(none_as_null=True)),
    sa.Column("removed_at", Moment),  # when retention took its files away; the record stays
    sa.Column("superseded_at", Moment),  # when the next version was recorded; none: it is current
    sa.Column("kept_at", Moment),  # when retention saw that it stays for ever, since a snapshot that we keep names it
    _entry(),
    sa.UniqueConstraint("dataset", "partition", "version"),
    _index(
        "ix_partition_versions_superseded",
        "dataset",
        "superseded_at",
        where="superseded_at IS NOT NULL AND removed_at IS NULL AND kept_at IS NULL",
    ),
    _index("ix_partition_versions_recorded", "recorded_at"),
    _index("ix_partition_versions_raw", "dataset", "recorded_at", where="raw_path != ''"),
)

# That a person corrected when versions of a dataset were known. `before` holds what was said until then, for what was read by it:
# a list of [partition, version, knowledge time, knowledge column].
knowledge_corrections = sa.Table(
    "knowledge_corrections",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("dataset"),
    _partition("first"),
    _partition("last"),
    sa.Column("before", sa.JSON, nullable=False),
    _key("actor", 120),
    _key("reason", 500),
    _moment("recorded_at"),
    _entry(),
    _index("ix_knowledge_corrections_dataset", "dataset", "recorded_at"),
)

# The current versions of a dataset's partitions, counted as they are published: a sum over years would be read again at each look.
dataset_totals = sa.Table(
    "dataset_totals",
    metadata,
    sa.Column("dataset", sa.String(60), primary_key=True),
    sa.Column("partitions", sa.Integer, nullable=False),
    _partition("latest"),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("quarantined", sa.BigInteger, nullable=False),
)

# The newest validation of one partition, passed or not.
validations = sa.Table(
    "validations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("dataset"),
    _partition("partition"),
    _key("raw_digest", 64),
    _key("verdict", 12),
    _json("result"),
    _moment("recorded_at"),
    sa.Column("delivered_at", Moment),  # when the source began to be read for these rows; none: recorded by an earlier release
    sa.UniqueConstraint("dataset", "partition"),
    _index("ix_validations_recorded", "dataset", "recorded_at"),
)

# Quarantined rows that a person released at once, for this and every later ingestion of the partition. `rows` has their digests, and a
# salt of its own, so that what the ledger holds of them tells nobody which rows they were.
quarantine_releases = sa.Table(
    "quarantine_releases",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("dataset"),
    _partition("partition"),
    _json("rows"),
    _key("actor", 120),
    _key("reason", 500),
    _moment("recorded_at"),
    _entry(),
    _index("ix_quarantine_releases_partition", "dataset", "partition"),
)

# A person whose rows were deleted, known by a keyed hash alone; rows that the source still delivers are dropped.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("dataset"),
    _key("columns", 500),  # whose values were hashed, in this order, separated by commas
    _key("subject_hash", 64),
    _key("status", 12),  # running, done
    _json("detail"),  # who asked for it, why, and a fingerprint of the secret
    _json("progress"),  # what was counted so far
    _moment("recorded_at"),
    _entry(),
    sa.UniqueConstraint("dataset", "columns", "subject_hash"),
)

# How far one stage of one model came with one partition: done, waiting for an input, skipped, or failed, and why.
stage_records = sa.Table(
    "stage_records",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    _key("stage", 20),
    _partition("partition"),
    _key("status", 12),
    _json("detail"),
    _moment("since"),
    _moment("recorded_at"),
    sa.UniqueConstraint("model", "stage", "partition"),
)

# The exact partitions and digests that a training run read.
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    _key("model"),
    _partition("as_of"),
    sa.Column("window_days", sa.Integer, nullable=False),  # 0: said in another unit
    sa.Column("window", sa.String(40)),  # then
    sa.Column("rows", sa.Integer, nullable=False),
    _json("members"),
    _key("frame_path", 500),
    sa.Column("tombstones", sa.JSON),  # what was deleted of it since, and why; none: it is whole
    _moment("recorded_at"),
    _entry(),
    _index("ix_snapshots_model", "model", "as_of"),
    _index("ix_snapshots_recorded", "recorded_at"),
)

# From which to which partition of a dataset a snapshot has members: finds the snapshots that may name a version.
snapshot_spans = sa.Table(
    "snapshot_spans",
    metadata,
    sa.Column("snapshot_digest", sa.String(64), sa.ForeignKey("snapshots.digest"), primary_key=True),
    sa.Column("dataset", sa.String(60), primary_key=True),
    _partition("first"),
    _partition("last"),
    _index("ix_snapshot_spans_dataset", "dataset", "last"),
)

# A training spec: what model.yaml declared, and the text of features.py. The digest is the document's.
recipes = sa.Table(
    "recipes",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    _key("model"),
    sa.Column("document", sa.Text, nullable=False),
    _moment("recorded_at"),
)

# Which MLflow run is the one of a run key. Who is first here decides; other runs of the key are removed.
run_claims = sa.Table(
    "run_claims",
    metadata,
    sa.Column("run_key", sa.String(64), primary_key=True),
    _key("model"),
    _key("mlflow_run_id"),
    sa.Column("chosen", sa.JSON(none_as_null=True)),  # by tuning, so that every attempt fits the same; none: not yet
    _moment("recorded_at"),
)

# A trained model, before any gate. The run key makes training again find it.
candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("run_key", sa.String(64), primary_key=True),
    _key("model"),
    _partition("as_of"),
    sa.Column("snapshot_digest", sa.String(64), sa.ForeignKey("snapshots.digest"), nullable=False),
    _key("recipe_digest", 64),
    _key("signature_digest", 64),
    _key("mlflow_run_id"),
    _key("artifact_uri", 1000),
    _key("artifact_digest", 64),
    _key("reference_path", 500),
    _json("metrics"),
    _json("facts"),
    sa.Column("irreproducible_because", sa.String(500)),  # none: it can be trained again from what is kept
    _moment("recorded_at"),
    _entry(),
    _index("ix_candidates_model", "model", "as_of"),
    _index("ix_candidates_snapshot", "snapshot_digest"),
)

# The gate's decision on a candidate, against the champion at the time.
decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    sa.Column("run_key", sa.String(64), sa.ForeignKey("candidates.run_key"), nullable=False),
    sa.Column("champion_version", sa.Integer, nullable=False),  # 0: there was none
    _key("gate_digest", 64),  # of the criteria: others are another question
    _partition("as_of"),
    sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("1")),  # a broken evaluation is tried again
    sa.Column("mode", sa.String(10), nullable=False, server_default=sa.text("'enabled'")),
    _key("verdict", 15),
    _json("criteria"),
    _moment("recorded_at"),
    _entry(),
    sa.UniqueConstraint("run_key", "champion_version", "gate_digest", "attempt"),
    _index("ix_decisions_model", "model", "id"),
)

# A registered model version: MLflow's number, and ours.
model_versions = sa.Table(
    "model_versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    sa.Column("version", sa.Integer, nullable=False),
    _key("semver", 20),
    sa.Column("run_key", sa.String(64), sa.ForeignKey("candidates.run_key"), nullable=False, unique=True),
    _partition("as_of"),
    sa.Column("approval_because", sa.String(500), nullable=False, server_default=sa.text("''")),  # empty: no person need approve it
    sa.Column("card_path", sa.String(500), nullable=False, server_default=sa.text("''")),  # empty: registered before cards were written
    _moment("recorded_at"),
    _entry(),
    sa.UniqueConstraint("model", "version"),
    _index("ix_model_versions_model", "model", "id"),
    _index("ix_model_versions_as_of", "model", "as_of"),
)

# A person's answer on a registered version; the newest one counts. A request is answered once.
approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    sa.Column("version", sa.Integer, nullable=False),
    _key("request", 250),
    _key("verdict", 10),  # approved, refused
    _key("actor", 120),
    _key("reason", 500),
    _moment("recorded_at"),
    _entry(),
    sa.UniqueConstraint("model", "version", "request"),
)

# Each time a version became champion. The newest row of a model names its champion; those without an end are the line of its champions.
promotions = sa.Table(
    "promotions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    sa.Column("version", sa.Integer, nullable=False),
    _partition("as_of"),
    sa.Column("previous_version", sa.Integer, nullable=False),  # 0: there was none
    # Kind: promotion, or rollback, which marks the previous one as rolled back.
    sa.Column("kind", sa.String(10), nullable=False, server_default=sa.text("'promotion'")),
    sa.Column("request", sa.String(250), nullable=False, server_default=sa.text("''")),  # whose repetition is no second rollback
    _key("actor", 120),
    _key("reason", 500),
    _moment("promoted_at"),
    sa.Column("shown_at", Moment),  # when MLflow's alias was seen to name it; none: not yet
    sa.Column("ended_by", sa.Integer),  # the promotion or rollback that took its place in the line; 0: a rollback, which takes none
    _entry(),
    _index("ix_promotions_model", "model", "id"),
    _index("ix_promotions_version", "model", "version", "id"),
    _index("ix_promotions_request", "model", "request", where="request != ''"),
    _index("ix_promotions_line", "model", "id", where="ended_by IS NULL"),
)

# How a version takes the champion's place step by step. It governs the partitions from `first` to `last`; at most one of a model runs.
rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("champion_version", sa.Integer, nullable=False),
    sa.Column("decision", sa.Integer, nullable=False),  # of the gate, which blessed it against that champion
    _key("strategy", 12),  # shadow, canary, ab
    _json("plan"),  # what was declared when it started, and by which it is decided
    _partition("first"),
    sa.Column("last", sa.String(20)),  # none: it runs
    sa.Column("steps", sa.JSON, nullable=False),  # of those that began: the share that it serves, from which partition on
    sa.Column("evidence", sa.JSON, nullable=False),  # of each step that was decided
    _key("state", 12),  # running, promoted, rolled_back, aborted
    _key("actor", 120),
    _key("reason", 500),
    _key("because", 1000),  # why it ended; empty while it runs
    _moment("started_at"),
    sa.Column("ended_at", Moment),  # none: it runs
    _key("note", 1000),  # what it waits for, or that MLflow does not show its end yet
    _entry(),
    _index("ix_rollouts_model", "model", "id"),
    _index("ix_rollouts_version", "model", "version", "id"),
    sa.Index("uq_rollouts_running", "model", unique=True, sqlite_where=_running, postgresql_where=_running),
)

# While one is active, nothing is promoted or retrained automatically.
pauses = sa.Table(
    "pauses",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("actor", 120),
    _key("reason", 500),
    _moment("recorded_at"),
    _moment("until"),
    sa.Column("lifted_at", Moment),  # none: it stands until its time is over
    sa.Column("lifted_by", sa.String(120)),
    _entry(),
)

# One cause that a person must see, from when it was first seen until it is gone. One that comes back soon is the same row again.
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("key", 250),  # names the cause
    _key("kind", 40),  # one of the alert kinds
    _key("model"),  # whose it is; empty: of several, or of none
    _key("dataset"),
    _key("severity", 10),
    _key("state", 12),  # firing, acknowledged, snoozed, resolved
    _key("message", 1000),
    sa.Column("error", sa.Text, nullable=False, server_default=sa.text("''")),  # the error's own words
    _json("evidence"),
    sa.Column("times", sa.Integer, nullable=False),
    _moment("first_at"),
    _moment("last_at"),
    sa.Column("revision", sa.Integer, nullable=False, server_default=sa.text("1")),  # counts its changes of state and assignee
    sa.Column("assignee", sa.String(120)),
    sa.Column("snoozed_until", Moment),
    sa.Column("remind_at", Moment),  # when an acknowledged one that is still open fires again
    sa.Column("reopened", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("cleared_at", Moment),  # when the cause of a flapping alert was last seen to be gone
    sa.Column("resolved_at", Moment),
    sa.Column("resolved_by", sa.String(120)),  # none: its cause went away
    sa.Index(
        "uq_alerts_open", "key", unique=True, sqlite_where=sa.text("resolved_at IS NULL"), postgresql_where=sa.text("resolved_at IS NULL")
    ),
    _index("ix_alerts_open_kind", "kind", where="resolved_at IS NULL"),
    _index("ix_alerts_snoozed", "snoozed_until", where="snoozed_until IS NOT NULL"),
    _index("ix_alerts_remind", "remind_at", where="remind_at IS NOT NULL"),
    _index("ix_alerts_cleared", "cleared_at", where="cleared_at IS NOT NULL"),
    _index("ix_alerts_open_model", "model", where="resolved_at IS NULL"),
    _index("ix_alerts_key", "key", "id"),
    _index("ix_alerts_last", "last_at"),
)

_open = sa.text("resolved_at IS NULL")
sa.Index(  # in the order of the inbox
    "ix_alerts_open",
    alerts.c.severity,
    alerts.c.last_at.desc(),
    alerts.c.id.desc(),
    alerts.c.state,
    sqlite_where=_open,
    postgresql_where=_open,
)

# Where the cause of an alert was seen: in Airflow, by DAG and task, with the newest run; without a DAG, the model or dataset alone.
alert_places = sa.Table(
    "alert_places",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("alert_id", sa.ForeignKey("alerts.id"), nullable=False),
    _key("dag_id", 250),
    _key("task_id", 250),
    _key("model"),
    _key("dataset"),
    _key("run_id", 250),
    sa.Column("map_index", sa.Integer, nullable=False),
    sa.Column("try_number", sa.Integer, nullable=False),
    _key("partition", 40),
    sa.Column("times", sa.Integer, nullable=False),
    _moment("last_at"),
    sa.Column("cleared_at", Moment),  # when the cause was seen to be gone here
    sa.UniqueConstraint("alert_id", "dag_id", "task_id", "model", "dataset"),
    _index("ix_alert_places_dag", "dag_id", "alert_id"),
)

# What happened to an alert, and who did what about it. Counting it again is no event.
alert_events = sa.Table(
    "alert_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("alert_id", sa.ForeignKey("alerts.id"), nullable=False),
    _moment("recorded_at"),
    _key("kind", 20),
    _key("actor", 120),  # empty: nobody, it came about by itself
    _key("message", 2000),
    _index("ix_alert_events_alert", "alert_id", "id"),
    _index("ix_alert_events_recorded", "recorded_at"),
)

# One failed attempt of a task: the task writes the error down, the watcher counts it in an alert, and sees whether it was made good.
task_failures = sa.Table(
    "task_failures",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("dag_id", 250),
    _key("task_id", 250),
    _key("run_id", 250),
    sa.Column("map_index", sa.Integer, nullable=False),
    sa.Column("try_number", sa.Integer, nullable=False),
    _key("partition", 40),
    _key("error_class", 120),  # empty: the task died without a word
    sa.Column("error", sa.Text, nullable=False),
    _moment("recorded_at"),
    sa.Column("alert_id", sa.ForeignKey("alerts.id")),  # none: the task may try again, or the watcher has not seen it yet
    sa.Column("cleared_at", Moment),  # when that task instance was seen to be well
    sa.UniqueConstraint("dag_id", "task_id", "run_id", "map_index", "try_number"),
    _index("ix_task_failures_open", "alert_id", where="alert_id IS NOT NULL AND cleared_at IS NULL"),
    _index("ix_task_failures_recorded", "recorded_at"),
)

# Who alone may do a work that several processes could do, and until when.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    _key("holder", 200),
    sa.Column("term", sa.Integer, nullable=False),  # grows with each new holder
    _moment("acquired_at"),
    _moment("renewed_at"),
    _moment("expires_at"),
)

# One message to one channel about one or several alerts. The key makes it the only one of its step.
notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(250), nullable=False, unique=True),
    sa.Column("alert_id", sa.ForeignKey("alerts.id"), nullable=False),
    _key("channel", 60),
    _key("recipient", 120),  # who is on call, or an address of the channel; empty: all of it
    _key("action", 12),  # trigger, acknowledge, resolve
    _key("state", 10),  # pending, sending, sent; acked, closed: and what became of the alert was told, too
    sa.Column("attempts", sa.Integer, nullable=False),
    _moment("due_at"),
    sa.Column("sent_at", Moment),
    _key("error", 500),
    _json("content"),
    _index("ix_notifications_due", "due_at", where="state IN ('pending', 'sending')"),
    _index("ix_notifications_alert", "alert_id", "id"),
    _index("ix_notifications_told", "alert_id", where="state IN ('sent', 'acked')"),
    _index("ix_notifications_sent", "sent_at", where="sent_at IS NOT NULL"),
)

# A file of a team's as it was when it was last sound: it stays in use while the one that stands there is wrong.
kept_files = sa.Table(
    "kept_files",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    _moment("recorded_at"),
)

# A planned outage of a dataset or model: what fires meanwhile is snoozed until it ends.
maintenance_windows = sa.Table(
    "maintenance_windows",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("name"),  # of the dataset or model
    _moment("starts_at"),
    _moment("ends_at"),
    _key("actor", 120),
    _key("reason", 500),
    _moment("recorded_at"),
    sa.Column("lifted_at", Moment),
    sa.Column("lifted_by", sa.String(120)),
    _index("ix_maintenance_windows_end", "name", "ends_at"),
)

# What was decided or done, for ever. Each row's hash covers the row before it.
ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    _key("kind", 30),
    _key("model"),
    sa.Column("body", sa.Text, nullable=False),
    _moment("recorded_at"),
    _key("previous_hash", 64),
    _key("hash", 64),
    _index("ix_ledger_model", "model", "sequence"),
    _index("ix_ledger_kind", "model", "kind", "sequence"),
    _index("ix_ledger_damage", "model", where="kind = 'damage'"),
)

# One scoring of one partition by one model. The first is what was served then; the one that nothing superseded is current.
prediction_sets = sa.Table(
    "prediction_sets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    _partition("partition"),
    sa.Column("scoring", sa.Integer, nullable=False, server_default=sa.text("1")),  # counts the partition's, from 1
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("challenger_version", sa.Integer, nullable=False),  # 0: none in shadow
    sa.Column("rows", sa.Integer, nullable=False),
    _key("digest", 64),
    _key("path", 500),
    _key("input_digest", 64),
    _key("origin", 10),
    _moment("recorded_at"),
    sa.Column("superseded_at", Moment),  # when the partition's next scoring was recorded; none: it is current
    _entry(),
    sa.UniqueConstraint("model", "partition", "scoring"),
    _index("ix_prediction_sets_recorded", "recorded_at"),
)


def _figure() -> list[sa.Column[Any]]:
    """One monitored figure of one model for one window, which the partition ends; ``low`` and ``high`` of its interval, if it has one."""
    return [
        sa.Column("id", sa.Integer, primary_key=True),
        _key("model"),
        _partition("partition"),
        _key("metric", 120),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("low", sa.Float),
        sa.Column("high", sa.Float),
        sa.Column("version", sa.Integer, nullable=False),
        _key("origin", 10),
        sa.Column("rows", sa.Integer, nullable=False),
        _moment("recorded_at"),
    ]


# What is observed now: the newest figure of each metric and partition.
observations = sa.Table(
    "observations",
    metadata,
    *_figure(),
    sa.UniqueConstraint("model", "metric", "partition"),
    _index("ix_observations_partition", "model", "partition"),
)

# What was observed of a partition before it was monitored again and came to another figure, or to none.
superseded_observations = sa.Table(
    "superseded_observations",
    metadata,
    *_figure(),
    _moment("superseded_at"),
    _index("ix_superseded_observations_partition", "model", "partition"),
    _index("ix_superseded_observations_superseded", "superseded_at"),
)

# What each estimator told of a window before its labels came, with the ends of its interval; those of the chosen one are observed, too.
estimates = sa.Table(
    "estimates",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    _partition("partition"),
    _key("estimator", 20),
    _key("metric", 120),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("low", sa.Float, nullable=False),
    sa.Column("high", sa.Float, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("is_observed", sa.Boolean, nullable=False),
    _moment("recorded_at"),
    sa.UniqueConstraint("model", "partition", "estimator", "metric"),
)

# When a model was observed last, as a count of all such events: what waits for news asks for the counts after the last that it knows.
observation_news = sa.Table(
    "observation_news",
    metadata,
    sa.Column("model", sa.String(60), primary_key=True),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.UniqueConstraint("sequence"),
)

# That one window of one model was monitored, and on what. `path` is where its drift report lies once it is drawn: the storage says
# whether it is. Empty: an earlier release drew one and retention removed it.
reports = sa.Table(
    "reports",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    _partition("partition"),
    _key("path", 500),
    _key("input_digest", 64),
    _moment("recorded_at"),
    sa.UniqueConstraint("model", "partition"),
)

# A rule that tripped, with its evidence; at most one for a rule and a newest partition.
firings = sa.Table(
    "firings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _key("model"),
    _key("rule", 200),
    _partition("as_of"),
    sa.Column("version", sa.Integer, nullable=False),
    _json("evidence"),
    _moment("recorded_at"),
    sa.Column("training_run_id", sa.String(250)),  # of the newest attempt; none until the training was asked for
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("answered_at", Moment),  # when the gate had decided on its training's candidate
    sa.Column("failed_at", Moment),  # when the newest attempt was seen to have ended without an answer
    _entry(),
    sa.UniqueConstraint("model", "rule", "as_of"),
    _index("ix_firings_model", "model", "id"),
    _index("ix_firings_as_of", "model", "as_of"),
)

check_what_is_bound(metadata)
