"""From a snapshot to a champion, one task a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from evergreen_airflow.links import MlflowRunLink
from evergreen_airflow.runs import as_of_of, person_of
from include.evergreen.config import Catalog


def skip(operator: BaseOperator, words: str) -> NoReturn:
    """Skip the task and what follows, and say why in its log: Airflow itself logs no reason."""
    operator.log.info("Skipped: %s", words)
    raise AirflowSkipException(words)


class ModelOperator(BaseOperator):
    """Base of the operators that work on one model.

    :param model: the model's name (templated)
    """

    template_fields = ("model",)

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model


class TakeSnapshotOperator(ModelOperator):
    """Reads the days before as_of as they were known then, and keeps what was read."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.training import take_snapshot

        catalog = Catalog()
        model, as_of = catalog.model(self.model), as_of_of(context)
        snapshot = take_snapshot(catalog, model, as_of, context["params"].get("window_days"))
        return {"as_of": str(as_of), "snapshot": snapshot.digest, "rows": snapshot.rows, "partitions": len(snapshot.members)}


class TrainCandidateOperator(ModelOperator):
    """Fits a candidate on the snapshot and logs it in one MLflow run."""

    operator_extra_links = (MlflowRunLink(),)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.training import find_snapshot, train

        catalog = Catalog()
        snapshot = find_snapshot(context["ti"].xcom_pull(task_ids="snapshot")["snapshot"])
        reason = context["params"].get("reason") or f"run {context['run_id']}"
        candidate, is_new = train(catalog, catalog.model(self.model), snapshot, reason)
        return {
            "as_of": str(candidate.as_of),
            "run_key": candidate.run_key,
            "is_new": is_new,
            "mlflow_run_id": candidate.mlflow_run_id,
            "metrics": candidate.metrics,
        }


class EvaluateGateOperator(ModelOperator):
    """Judges the candidate by the model's criteria and against the champion, and records one decision."""

    operator_extra_links = (MlflowRunLink(),)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.gates import decide
        from include.evergreen.training import find_candidate

        candidate = find_candidate(context["ti"].xcom_pull(task_ids="train")["run_key"])
        catalog = Catalog()
        decision = decide(catalog, catalog.model(self.model), candidate)
        return {
            "as_of": str(candidate.as_of),
            "run_key": candidate.run_key,
            "verdict": decision.verdict,
            "words": decision.words,
            "mlflow_run_id": candidate.mlflow_run_id,
        }


class RegisterChallengerOperator(ModelOperator):
    """Registers a blessed candidate as challenger; a rejected one skips what follows, for that is a normal night."""

    operator_extra_links = (MlflowRunLink(),)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        decided = context["ti"].xcom_pull(task_ids="gate")
        if decided["verdict"] != "blessed":
            skip(self, f"The gate's decision is {decided['verdict']}: {decided['words']}")
        from include.evergreen.registry.champions import register

        version = register(self.model, decided["run_key"])
        return {"version": version.version, "semver": version.semver, "as_of": str(version.as_of),
                "mlflow_run_id": version.mlflow_run_id}  # fmt: skip


class PromoteChampionOperator(ModelOperator):
    """Makes the challenger champion, unless the champion has a later as_of."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.registry.champions import promote

        version = context["ti"].xcom_pull(task_ids="register")["version"]
        reason = context["params"].get("reason") or "blessed by the gate"
        outcome = promote(self.model, version, actor=person_of(context), reason=reason)
        if not outcome.promoted:
            skip(self, outcome.words)
        return {"champion": outcome.version, "words": outcome.words}


class PromoteByHandOperator(ModelOperator):
    """Makes the version that a person chose champion, with that person's name and reason in the ledger."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.registry.champions import promote

        params = context["params"]
        outcome = promote(self.model, params["version"], actor=person_of(context), reason=params["reason"], force=params["force"])
        if not outcome.promoted:
            skip(self, outcome.words)
        return {"champion": outcome.version, "words": outcome.words}
