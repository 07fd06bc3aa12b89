"""Fills our database as the years of a fleet would, for `benchmarks.history`: a row for each thing that was recorded, made up by the
database itself, since millions of them would take an hour from here.

The records are consistent where our verbs look (a version has its candidate, its decision and its promotion), and say nothing true.
All files that they name are one small file, whose digest is what each of them records, so that verifying finds it whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import Moment, metadata
from include.evergreen.state.ledger import BINDINGS, bind

WEEK = 7
PROMOTED_EVERY = 4  # of the weekly trainings, which is blessed, registered and promoted; the others are rejected
CORRECTED_EVERY = 20  # of a dataset's partitions, which has a second version
METRICS = [f"drift.feature_{number}" for number in range(9)] + [
    "drift.share", "performance.mae", "performance.r2", "performance.rmse", "prediction_drift.score", "quality.quarantined_share",
]  # fmt: skip


@dataclass(frozen=True)
class Years:
    """How much there is to be. Every model trains weekly; ``daily_models`` of them have rows for each day, the others none.

    ``own`` names the model, and ``own_datasets`` the datasets, that are measured: they have all days, and all `METRICS`.
    """

    models: int
    datasets: int
    days: int
    daily_models: int
    metrics: int
    last: Partition
    own: str
    own_datasets: Sequence[str]

    @property
    def own_versions(self) -> int:
        """How many versions the measured model has when all is filled."""
        return len(range(0, (self.days - 1) // WEEK + 1, PROMOTED_EVERY))

    def moment(self, day: Partition) -> dt.datetime:
        return DAILY.start(day) + dt.timedelta(hours=3)


_temporary = sa.MetaData()
_models = sa.Table(
    "years_models", _temporary, sa.Column("model", sa.String(60)), sa.Column("metrics", sa.Integer), sa.Column("is_daily", sa.Integer),
    prefixes=["TEMPORARY"],
)  # fmt: skip
_datasets = sa.Table("years_datasets", _temporary, sa.Column("dataset", sa.String(60)), prefixes=["TEMPORARY"])
_calendar = sa.Table(
    "years_calendar", _temporary, sa.Column("n", sa.Integer), sa.Column("day", sa.String(20)), sa.Column("moment", Moment),
    prefixes=["TEMPORARY"],
)  # fmt: skip
_metrics = sa.Table("years_metrics", _temporary, sa.Column("n", sa.Integer), sa.Column("metric", sa.String(120)), prefixes=["TEMPORARY"])


def fill(years: Years, path: str, digest: str) -> dict[str, int]:
    """Fill the tables of the configured database, in one transaction; returns how many rows each has then.

    ``path`` and ``digest`` are those of the one small file of rows.
    """
    with writing() as connection:
        _temporary.create_all(connection)
        _describe(connection, years)
        for statement in _statements(connection.dialect.name, path, digest):
            connection.execute(sa.text(statement))
        _temporary.drop_all(connection)
        _bind(connection, years)
        counts = {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in metadata.sorted_tables
        }
    if connection.dialect.name == "postgresql":  # what its autovacuum does by itself, in a while
        with writing() as connection:
            connection.execute(sa.text("ANALYZE"))
    return counts


def _bind(connection: sa.Connection, years: Years) -> None:
    """The entries of the measured model's rows, and its datasets': what is read, promoted and served is compared with them."""
    for binding in BINDINGS.values():
        columns = binding.table.c
        key = binding.table.primary_key.columns.values()[0]
        is_own = (
            columns.model == years.own
            if "model" in columns
            else columns.dataset.in_(years.own_datasets)
            if "dataset" in columns
            else sa.true()
        )
        for row in connection.execute(binding.table.select().where(is_own).order_by(key)).all():
            kind = row.kind if binding.table.name == "promotions" else min(binding.kinds)  # of the answers, all are approvals
            bind(connection, binding.table, {key.name: row._mapping[key.name]}, kind=kind)


def _describe(connection: sa.Connection, years: Years) -> None:
    fleet = [{"model": f"model_{n:04}", "metrics": years.metrics, "is_daily": int(n < years.daily_models)} for n in range(years.models - 1)]
    connection.execute(_models.insert(), [*fleet, {"model": years.own, "metrics": len(METRICS), "is_daily": 1}])
    names = [*years.own_datasets, *(f"dataset_{n:04}" for n in range(years.datasets - len(years.own_datasets)))]
    connection.execute(_datasets.insert(), [{"dataset": name} for name in names])
    first = DAILY.shift(years.last, -(years.days - 1))
    days = [DAILY.shift(first, n) for n in range(years.days)]
    connection.execute(_calendar.insert(), [{"n": n, "day": day, "moment": years.moment(day)} for n, day in enumerate(days)])
    connection.execute(_metrics.insert(), [{"n": n, "metric": metric} for n, metric in enumerate(METRICS)])


def _statements(dialect: str, path: str, digest: str) -> Iterable[str]:
    def json(text: str) -> str:
        return f"CAST({text} AS JSON)" if dialect == "postgresql" else text

    week = f"(c.n / {WEEK})"
    trained = f"c.n % {WEEK} = 0"
    blessed = f"{trained} AND {week} % {PROMOTED_EVERY} = 0"
    version = f"({week} / {PROMOTED_EVERY} + 1)"
    key = "(m.model || '-' || c.n)"
    fleet = "years_models AS m CROSS JOIN years_calendar AS c"
    each_day = f"{fleet} WHERE m.is_daily = 1"
    order = "ORDER BY m.model, c.n"
    file = f"'{digest}', '{path}'"
    members = (
        '\'{"\' || (SELECT min(dataset) FROM years_datasets) || \'/\' || c.day || \'/v1": {"version": 1, "digest": "' + digest + "\"}}'"
    )
    criteria = '\'[{"kind": "absolute", "verdict": "passed", "message": "mae is 3.2, at most 1000", "details": {}}]\''
    yield (
        "INSERT INTO partition_versions (dataset, partition, version, digest, path, rows, quarantine_digest, quarantine_path, quarantined, "
        "source_rows, raw_digest, raw_path, knowledge_time, origin, recorded_at, superseded_at, kept_at) "
        f"SELECT d.dataset, c.day, 1, {file}, 60, {file}, 0, 60, '', '', c.moment, 'live', c.moment, "
        f"CASE WHEN c.n % {CORRECTED_EVERY} = 0 THEN c.moment END, CASE WHEN c.n % {CORRECTED_EVERY} = 0 THEN c.moment END "
        "FROM years_datasets AS d CROSS JOIN years_calendar AS c ORDER BY d.dataset, c.n"
    )
    yield (
        "INSERT INTO partition_versions (dataset, partition, version, digest, path, rows, quarantine_digest, quarantine_path, quarantined, "
        "source_rows, raw_digest, raw_path, knowledge_time, origin, recorded_at) "
        f"SELECT d.dataset, c.day, 2, {file}, 60, {file}, 0, 60, '', '', c.moment, 'live', c.moment "
        f"FROM years_datasets AS d CROSS JOIN years_calendar AS c WHERE c.n % {CORRECTED_EVERY} = 0 ORDER BY d.dataset, c.n"
    )
    yield (
        "INSERT INTO dataset_totals (dataset, partitions, latest, rows, quarantined) SELECT dataset, count(*), max(partition), sum(rows), "
        "sum(quarantined) FROM partition_versions WHERE superseded_at IS NULL GROUP BY dataset"
    )
    yield (
        "INSERT INTO validations (dataset, partition, raw_digest, verdict, result, recorded_at) "
        f"SELECT d.dataset, c.day, '{digest}', 'passed', {json(_RESULT)}, c.moment FROM years_datasets AS d CROSS JOIN years_calendar AS c "
        "ORDER BY d.dataset, c.n"
    )
    yield (
        "INSERT INTO snapshots (digest, model, as_of, window_days, rows, members, frame_path, recorded_at) "
        f"SELECT {key}, m.model, c.day, 8, 480, {json(members)}, '{path}', c.moment FROM {fleet} WHERE {trained} {order}"
    )
    yield (
        "INSERT INTO snapshot_spans (snapshot_digest, dataset, first, last) "
        f"SELECT {key}, (SELECT min(dataset) FROM years_datasets), c.day, c.day FROM {fleet} WHERE {trained} {order}"
    )
    yield (
        "INSERT INTO run_claims (run_key, model, mlflow_run_id, recorded_at) "
        f"SELECT {key}, m.model, {key}, c.moment FROM {fleet} WHERE {trained} {order}"
    )
    yield (
        "INSERT INTO candidates (run_key, model, as_of, snapshot_digest, recipe_digest, signature_digest, mlflow_run_id, artifact_uri, "
        "artifact_digest, reference_path, metrics, facts, recorded_at) "
        f"SELECT {key}, m.model, c.day, {key}, m.model, m.model, {key}, 'file:///nowhere', '{digest}', '{path}', "
        f"{json(_METRICS_JSON)}, {json(_FACTS)}, c.moment FROM {fleet} WHERE {trained} {order}"
    )
    yield (
        "INSERT INTO decisions (model, run_key, champion_version, gate_digest, as_of, attempt, mode, verdict, criteria, recorded_at) "
        f"SELECT m.model, {key}, 0, '{digest}', c.day, 1, 'enabled', CASE WHEN {week} % {PROMOTED_EVERY} = 0 THEN 'blessed' "
        f"ELSE 'rejected' END, {json(criteria)}, c.moment FROM {fleet} WHERE {trained} {order}"
    )
    yield (
        "INSERT INTO model_versions (model, version, semver, run_key, as_of, approval_because, card_path, recorded_at) "
        f"SELECT m.model, {version}, '1.0.' || {version}, {key}, c.day, 'a person approves each version of this model', '{path}', c.moment "
        f"FROM {fleet} WHERE {blessed} {order}"
    )
    yield (
        "INSERT INTO approvals (model, version, request, verdict, actor, reason, recorded_at) "
        f"SELECT m.model, {version}, 'a run', 'approved', 'ada', 'it is better', c.moment FROM {fleet} WHERE {blessed} {order}"
    )
    yield (
        "INSERT INTO promotions (model, version, as_of, previous_version, kind, request, actor, reason, promoted_at, shown_at) "
        f"SELECT m.model, {version}, c.day, {version} - 1, 'promotion', '', 'the night', 'it is better', c.moment, c.moment "
        f"FROM {fleet} WHERE {blessed} {order}"
    )
    yield (
        "INSERT INTO ledger (sequence, kind, model, body, recorded_at, previous_hash, hash) "
        f"SELECT row_number() OVER (ORDER BY c.n, m.model), 'decision', m.model, '{{\"verdict\": \"rejected\"}}', c.moment, "
        f"'{digest}', '{digest}' FROM {fleet} WHERE {trained}"
    )
    yield (
        "INSERT INTO alerts (key, kind, model, dataset, severity, state, message, evidence, times, first_at, last_at, resolved_at) "
        f"SELECT 'rejections/' || {key}, 'rejections', m.model, '', 'warning', 'resolved', 'seen to', {json(_EMPTY)}, 1, "
        "c.moment, c.moment, c.moment "
        f"FROM {fleet} WHERE c.n % 90 = 0 {order}"
    )
    yield (
        "INSERT INTO firings (model, rule, as_of, version, evidence, recorded_at, training_run_id, attempts, answered_at) "
        f"SELECT m.model, 'drift.share>2 (2 of 3)', c.day, 1, {json(_EVIDENCE)}, c.moment, 'a run', 1, c.moment "
        f"FROM {fleet} WHERE c.n % 90 = 0 {order}"
    )
    for stage in ("score", "monitor"):
        yield (
            "INSERT INTO stage_records (model, stage, partition, status, detail, since, recorded_at) "
            f"SELECT m.model, '{stage}', c.day, 'done', {json(_EVIDENCE)}, c.moment, c.moment FROM {each_day} {order}"
        )
    yield (
        "INSERT INTO prediction_sets "
        "(model, partition, version, challenger_version, rows, digest, path, input_digest, origin, recorded_at) "
        f"SELECT m.model, c.day, {version}, 0, 60, {file}, '{digest}', 'live', c.moment FROM {each_day} {order}"
    )
    yield (
        "INSERT INTO reports (model, partition, path, input_digest, recorded_at) "
        f"SELECT m.model, c.day, '', '{digest}', c.moment FROM {each_day} {order}"
    )
    yield (
        "INSERT INTO observations (model, partition, metric, value, version, origin, rows, recorded_at) "
        f"SELECT m.model, c.day, k.metric, 0.25, {version}, 'live', 60, c.moment FROM years_models AS m CROSS JOIN years_metrics AS k "
        "CROSS JOIN years_calendar AS c WHERE m.is_daily = 1 AND k.n < m.metrics ORDER BY m.model, k.metric, c.n"
    )


_RESULT = '\'{"verdict": "passed", "reason": "", "rows": 60, "quarantined": 0, "checks": []}\''
_METRICS_JSON = '\'{"mae": 3.2, "rmse": 4.1, "r2": 0.9}\''
_FACTS = '\'{"reason": "the night", "fit_rows": 360, "holdout_rows": 120}\''
_EVIDENCE = '\'{"message": "done"}\''
_EMPTY = "'{}'"


def one_file() -> tuple[str, str]:
    """Write the one small file of rows that all of the made-up records name; its path and the digest of its rows."""
    import pandas as pd

    from include.evergreen.data.partitions.verification import file_digest

    path = "years/rows.parquet"
    storage.write_frame(path, pd.DataFrame({"visit": [1, 2, 3]}))
    return path, file_digest(path)[0]
