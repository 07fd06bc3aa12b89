"""<model>.train, .score, .monitor, .retrain, .approve and .promote"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import DAG, AssetAny, Param, PartitionedAssetTimetable

from evergreen_airflow.dags import docs
from evergreen_airflow.dags.common import STAGE_TIMEOUT, dataset_asset, optional_partition, partition_schedule, predictions_asset, reason
from evergreen_airflow.dags.training_task import training_task
from evergreen_airflow.mappers import LabelsMapper, ModelMapper, MonitoringMapper, ScoringMapper
from evergreen_airflow.operators.approval import ASK, PromoteApprovedOperator, RequestApprovalOperator, WaitForApprovalOperator
from evergreen_airflow.operators.serving import MonitorPartitionOperator, RenderDriftReportOperator, ScorePartitionOperator
from evergreen_airflow.operators.training import (
    ABORT,
    PROMOTE,
    ROLL_BACK,
    EvaluateGateOperator,
    PromoteChampionOperator,
    PromoteManuallyOperator,
    RegisterChallengerOperator,
    TakeSnapshotOperator,
)
from evergreen_airflow.retries import DEFAULT_ARGS
from evergreen_airflow.sensors.retraining import RetrainingSensor, TriggerTrainingOperator
from include.evergreen.config import ModelConfig
from include.evergreen.foundation.span import SPAN_PATTERN

MAX_ACTIVE_RUNS = 8
MAX_OPEN_APPROVALS = 100  # each waits for days at most, and uses no worker
POLL_SECONDS = 5.0
WAIT_FOR_TRIGGER = "wait_for_trigger"
TRAIN_TIMEOUT = dt.timedelta(hours=6)
NO_TIMEOUT = dt.timedelta(days=3650)  # a sensor that keeps waiting has not failed


def train_dag(model: ModelConfig) -> DAG:
    """Build <model>.train: snapshot, train, gate, register, then promote or request approval. One run at a time.

    :param model: the model as it is declared now
    :returns: the DAG
    """
    schedule = partition_schedule(model.train.schedule, model.grain) if model.train.schedule else {"schedule": None}
    as_of = optional_partition(
        "As of", f"Train with what was known at the beginning of this {model.grain.noun}, and nothing later.", model.grain
    )
    params = {
        **({} if model.train.schedule else {"as_of": as_of}),  # with a schedule, a run's partition key says it, in backfills too
        "window": Param(
            None,
            type=["null", "string"],
            pattern=SPAN_PATTERN,
            title="Window",
            description=f"How far before as_of the rows begin, such as 60 days. Default: {model.train.window}, from model.yaml.",
        ),
        "reason": reason(),
    }
    with _dag(model, "train", docs.train(model), params, max_active_runs=1, dagrun_timeout=TRAIN_TIMEOUT, **schedule) as dag:
        (
            TakeSnapshotOperator(task_id="snapshot", model=model.name)
            >> training_task(model)
            >> EvaluateGateOperator(task_id="gate", model=model.name)
            >> (register := RegisterChallengerOperator(task_id="register", model=model.name))
            >> PromoteChampionOperator(task_id="promote", model=model.name)
        )
        if model.approval.mode != "auto":
            register >> RequestApprovalOperator(task_id=ASK, model=model.name)
    return dag


def score_dag(model: ModelConfig) -> DAG:
    """Build <model>.score: scores a partition once its last input is published, and again for each correction of an input.

    :param model: the model as it is declared now
    :returns: the DAG
    """
    inputs = {
        dataset_asset(entry.dataset): ScoringMapper(
            model=model.name,
            dataset=entry.dataset,
            lag=entry.lag,
            scored_at=model.scored_at,
            reads_newest=entry.reads_newest,
            calendar=model.calendar_of(entry.dataset),
            rows_grain=model.grain,
        )
        for entry in model.inputs
    }
    with _dag(model, "score", docs.score(model), {"reason": reason()}, **_on_any(inputs)) as dag:
        ScorePartitionOperator(task_id="score", model=model.name, outlets=[predictions_asset(model.name)])
    return dag


def monitor_dag(model: ModelConfig) -> DAG:
    """Build <model>.monitor: monitors a partition once it is scored, and again when its labels are mature.

    :param model: the model as it is declared now
    :returns: the DAG
    """
    labels = model.labels
    mappers = [
        mapper(model=model.name, dataset=labels.dataset, within=labels.within, calendar=labels.calendar, rows_grain=labels.rows_grain)
        for mapper in (MonitoringMapper, LabelsMapper)
    ]
    inputs = dict(zip((predictions_asset(model.name), dataset_asset(labels.dataset)), mappers, strict=True))
    with _dag(model, "monitor", docs.monitor(model), {"reason": reason()}, **_on_any(inputs)) as dag:
        MonitorPartitionOperator(task_id="monitor", model=model.name)
    return dag


def retrain_dag(model: ModelConfig) -> DAG:
    """Build <model>.retrain: one run waits for a trigger at all times. When a rule trips it triggers the training and the next run waits.

    :param model: the model as it is declared now
    :returns: the DAG
    """
    extra = {"schedule": "@continuous", "start_date": dt.datetime(2013, 1, 1, tzinfo=dt.UTC), "catchup": False}
    with _dag(model, "retrain", docs.retrain(model), {}, max_active_runs=1, dagrun_timeout=None, **extra) as dag:
        sensor = RetrainingSensor(
            task_id=WAIT_FOR_TRIGGER, model=model.name, poll_seconds=POLL_SECONDS, timeout=NO_TIMEOUT, execution_timeout=None
        )
        sensor >> TriggerTrainingOperator(task_id="trigger_training", model=model.name, sensor_task_id=WAIT_FOR_TRIGGER)
        # in parallel, so that the training does not wait for the report
        sensor >> RenderDriftReportOperator(task_id="report", model=model.name, sensor_task_id=WAIT_FOR_TRIGGER)
    return dag


def approve_dag(model: ModelConfig) -> DAG:
    """Build <model>.approve: each run requests approval of one version. Several runs may wait at the same time.

    :param model: the model as it is declared now
    :returns: the DAG
    """
    params = {"version": Param(type="integer", minimum=1, title="Version", description="The registered version to approve or reject.")}
    extra = {"schedule": None, "max_active_runs": MAX_OPEN_APPROVALS, "dagrun_timeout": None, "is_paused_upon_creation": False}
    with _dag(model, "approve", docs.approve(model), params, **extra) as dag:
        (
            WaitForApprovalOperator(task_id=ASK, model=model.name, hours=model.approval.hours)
            >> PromoteApprovedOperator(task_id="promote", model=model.name)
        )
    return dag


def promote_dag(model: ModelConfig) -> DAG:
    """Build <model>.promote: a form to promote a version, to roll back, or to abort a roll-out.

    :param model: the model as it is declared now
    :returns: the DAG
    """
    params = {
        "action": Param(
            PROMOTE,
            type="string",
            enum=[PROMOTE, ROLL_BACK, ABORT],
            title="Action",
            description="Promote a version, roll back to an earlier champion, or abort the roll-out that runs.",
        ),
        "version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Version",
            description="The version to make champion. Optional for a rollback. Default: the previous champion.",
        ),
        "reason": Param(type="string", minLength=5, maxLength=500, title="Reason", description="Recorded in the ledger with your name."),
        "force": Param(
            False, type="boolean", title="Force", description="Promote even if the champion has a later as_of. Not needed for a rollback."
        ),
    }
    with _dag(model, "promote", docs.promote(model), params, schedule=None, max_active_runs=1, is_paused_upon_creation=False) as dag:
        PromoteManuallyOperator(task_id="promote", model=model.name)
    return dag


MODEL_DAGS: dict[str, Callable[[ModelConfig], DAG]] = {
    "train": train_dag,
    "score": score_dag,
    "monitor": monitor_dag,
    "retrain": retrain_dag,
    "approve": approve_dag,
    "promote": promote_dag,
}


def _dag(model: ModelConfig, stage: str, doc: str, params: dict[str, Param], **extra: Any) -> DAG:
    arguments = {"max_active_runs": MAX_ACTIVE_RUNS, "dagrun_timeout": STAGE_TIMEOUT, **extra}
    return DAG(
        f"{model.name}.{stage}",
        description=f"{stage.capitalize()}: {model.description}",
        doc_md=doc,
        tags=["evergreen", stage, model.name, *model.tags],
        params=params,
        default_args={**DEFAULT_ARGS, "owner": model.owner},
        **arguments,
    )


def _on_any(inputs: Mapping[Any, ModelMapper]) -> dict[str, Any]:
    """Schedule a run for the mapped day when an event of any of the assets brings work, as its mapper decides.

    Requiring all of them would wait forever after a correction of one.
    """
    return {"schedule": PartitionedAssetTimetable(assets=AssetAny(*inputs), partition_mapper_config=dict(inputs))}
