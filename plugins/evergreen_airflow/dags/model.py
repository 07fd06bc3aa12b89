"""<model>.train, .score, .monitor, .retrain, .approve and .promote"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import DAG, AssetAny, Param, PartitionedAssetTimetable

from evergreen_airflow.dags import docs
from evergreen_airflow.dags.common import (
    STAGE_TIMEOUT,
    by_the_clock,
    dataset_asset,
    optional_day,
    predictions_asset,
    reason,
)
from evergreen_airflow.dags.training_task import training_task
from evergreen_airflow.mappers import DayShiftMapper, MonitoringMapper, ScoringMapper
from evergreen_airflow.operators.approval import AskForApprovalOperator, AskPersonOperator, PromoteApprovedOperator
from evergreen_airflow.operators.serving import DrawEvidenceOperator, MonitorPartitionOperator, ScorePartitionOperator
from evergreen_airflow.operators.training import (
    PROMOTE,
    ROLL_BACK,
    EvaluateGateOperator,
    PromoteByHandOperator,
    PromoteChampionOperator,
    RegisterChallengerOperator,
    TakeSnapshotOperator,
)
from evergreen_airflow.retries import DEFAULT_ARGS
from evergreen_airflow.sensors.retraining import FireTrainingOperator, RetrainingSensor
from include.evergreen.config import ModelConfig
from include.evergreen.config.schedule import LONGEST_WINDOW_DAYS

MAX_ACTIVE_RUNS = 8
MAX_OPEN_QUESTIONS = 100  # each waits for days at most, and costs no worker
POLL_SECONDS = 5.0
TRAIN_TIMEOUT = dt.timedelta(hours=6)
NO_TIMEOUT = dt.timedelta(days=3650)  # a sensor that stands armed has not failed


def train_dag(model: ModelConfig) -> DAG:
    """Snapshot, train, gate, register, then promote or ask a person: by the clock, by hand and by firing. One at a time."""
    when = by_the_clock(model.train.schedule) if model.train.schedule else {"schedule": None}
    params = {
        "as_of": optional_day("As of", "The day to stand at: nothing that became known later is read. Empty: the partition key."),
        "window_days": Param(
            None,
            type=["null", "integer"],
            minimum=2,
            maximum=LONGEST_WINDOW_DAYS,
            title="Window",
            description=f"Days before as_of to read. Empty: {model.train.window_days}, as model.yaml says.",
        ),
        "reason": reason(),
    }
    with _dag(model, "train", docs.train(model), params, max_active_runs=1, dagrun_timeout=TRAIN_TIMEOUT, **when) as dag:
        (
            TakeSnapshotOperator(task_id="snapshot", model=model.name)
            >> training_task(model)
            >> EvaluateGateOperator(task_id="gate", model=model.name)
            >> (register := RegisterChallengerOperator(task_id="register", model=model.name))
            >> PromoteChampionOperator(task_id="promote", model=model.name)
        )
        if model.approval.mode != "auto":
            register >> AskForApprovalOperator(task_id="ask", model=model.name)
    return dag


def score_dag(model: ModelConfig) -> DAG:
    """Scores a partition when the last of its inputs is published, and again for each correction that it reads."""
    inputs = {
        dataset_asset(each.dataset): ScoringMapper(model=model.name, dataset=each.dataset, days=each.lag_days) for each in model.inputs
    }
    params = {"partition": optional_day("Partition", "The day to score. Empty: the partition key."), "reason": reason()}
    with _dag(model, "score", docs.score(model), params, **_on_any(inputs)) as dag:
        ScorePartitionOperator(task_id="score", model=model.name, outlets=[predictions_asset(model.name)])
    return dag


def monitor_dag(model: ModelConfig) -> DAG:
    """Observes a partition when it was scored, and again when its truth arrives."""
    mapper = MonitoringMapper(model=model.name, dataset=model.target.dataset)
    inputs = {predictions_asset(model.name): mapper, dataset_asset(model.target.dataset): mapper}
    params = {"partition": optional_day("Partition", "The day to monitor. Empty: the partition key."), "reason": reason()}
    with _dag(model, "monitor", docs.monitor(model), params, **_on_any(inputs)) as dag:
        MonitorPartitionOperator(task_id="monitor", model=model.name)
    return dag


def retrain_dag(model: ModelConfig) -> DAG:
    """One run stands armed at all times; when a rule trips it fires the training, and the next run arms."""
    extra = {"schedule": "@continuous", "start_date": dt.datetime(2013, 1, 1, tzinfo=dt.UTC), "catchup": False}
    with _dag(model, "retrain", docs.retrain(model), {}, max_active_runs=1, dagrun_timeout=None, **extra) as dag:
        armed = RetrainingSensor(task_id="armed", model=model.name, poll_seconds=POLL_SECONDS, timeout=NO_TIMEOUT, execution_timeout=None)
        armed >> FireTrainingOperator(task_id="fire", model=model.name, sensed_by="armed")
        armed >> DrawEvidenceOperator(task_id="report", model=model.name, sensed_by="armed")  # beside it: the training waits for no page
    return dag


def approve_dag(model: ModelConfig) -> DAG:
    """One run asks a person about one version. Many may wait, and for as long as it takes."""
    params = {"version": Param(type="integer", minimum=1, title="Version", description="The registered version that is asked about.")}
    extra = {"schedule": None, "max_active_runs": MAX_OPEN_QUESTIONS, "dagrun_timeout": None, "is_paused_upon_creation": False}
    with _dag(model, "approve", docs.approve(model), params, **extra) as dag:
        (
            AskPersonOperator(task_id="ask", model=model.name, hours=model.approval.hours)
            >> PromoteApprovedOperator(task_id="promote", model=model.name)
        )
    return dag


def promote_dag(model: ModelConfig) -> DAG:
    """A form: which version is to serve, and why."""
    params = {
        "action": Param(
            PROMOTE, type="string", enum=[PROMOTE, ROLL_BACK], title="Action", description="Roll back: an earlier champion serves again."
        ),
        "version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Version",
            description="The version that is to be champion. Empty, to roll back: the champion before this one.",
        ),
        "reason": Param(
            type="string", minLength=5, maxLength=500, title="Reason", description="Why. It goes into the ledger with your name."
        ),
        "force": Param(
            False, type="boolean", title="Force", description="Promote also when the champion has a later as_of. A roll-back needs none."
        ),
    }
    with _dag(model, "promote", docs.promote(model), params, schedule=None, max_active_runs=1, is_paused_upon_creation=False) as dag:
        PromoteByHandOperator(task_id="promote", model=model.name)
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


def _on_any(inputs: Mapping[Any, DayShiftMapper]) -> dict[str, Any]:
    """A run for the mapped day when any of the assets has an event of which the mapper says that it brings work.

    (All-of would wait for ever after a correction.)
    """
    return {"schedule": PartitionedAssetTimetable(assets=AssetAny(*inputs), partition_mapper_config=dict(inputs))}
