"""From a snapshot to a champion, one task a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from evergreen_airflow.links import MlflowRunLink, ModelCardLink, VersionsLink
from evergreen_airflow.runs import as_of_of, person_of
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import ConfigError, DataError

PROMOTE, ROLL_BACK = "promote", "roll back"

if TYPE_CHECKING:
    from include.evergreen.training import Candidate


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
        candidate, is_new = train(catalog, catalog.model(self.model), snapshot, reason, tags=tags_of(context))
        return training_facts(candidate, is_new=is_new)


def training_facts(candidate: Candidate, *, is_new: bool) -> dict[str, Any]:
    """What a task that trains returns, wherever it trained."""
    return {
        "as_of": str(candidate.as_of),
        "run_key": candidate.run_key,
        "is_new": is_new,
        "mlflow_run_id": candidate.mlflow_run_id,
        "metrics": candidate.metrics,
    }


class EvaluateGateOperator(ModelOperator):
    """Judges the candidate by the model's criteria and against the champion, and records one decision.

    A rejection is a result. An evaluation that broke is not: the task fails, and evaluates again when it is cleared.
    """

    operator_extra_links = (MlflowRunLink(),)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.gates import decide
        from include.evergreen.training import find_candidate

        candidate = find_candidate(_run_key(self.model, context))
        catalog = Catalog()
        decision = decide(catalog, catalog.model(self.model), candidate)
        if decision.verdict == "not_evaluated":
            raise DataError(f"{self.model} as of {candidate.as_of}: the gate could not evaluate the candidate: {decision.words}")
        return {
            "as_of": str(candidate.as_of),
            "run_key": candidate.run_key,
            "verdict": decision.verdict,
            "words": decision.brief,
            "mlflow_run_id": candidate.mlflow_run_id,
        }


class RegisterChallengerOperator(ModelOperator):
    """Registers a blessed candidate as challenger; a rejected one skips what follows, for that is a normal night."""

    operator_extra_links = (MlflowRunLink(), ModelCardLink(), VersionsLink())

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        decided = context["ti"].xcom_pull(task_ids="gate")  # none: somebody marked the gate, and the database will tell
        if decided and decided["verdict"] == "rejected":
            skip(self, f"The gate's decision is rejected: {decided['words']}")
        from include.evergreen.promotion.promote import register_candidate

        catalog = Catalog()
        version = register_candidate(catalog, catalog.model(self.model), _run_key(self.model, context))
        return {"version": version.version, "semver": version.semver, "as_of": str(version.as_of),
                "mlflow_run_id": version.mlflow_run_id}  # fmt: skip


class PromoteChampionOperator(ModelOperator):
    """Makes the challenger champion, unless a pause stands, a person must agree first, or the champion knows more."""

    operator_extra_links = (VersionsLink(),)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.registry.approvals import standing_of

        version = registered_version(self.model, context)
        standing = standing_of(self.model, version)
        if standing.holds:
            skip(self, f"version {version} {standing.words}")
        reason = context["params"].get("reason") or "blessed by the gate"
        return promote_blessed(self, Catalog().model(self.model), version, actor=person_of(context), reason=reason)


class PromoteByHandOperator(ModelOperator):
    """Promotes the version that a person chose, or rolls back, with that person's name and reason in the ledger."""

    operator_extra_links = (VersionsLink(),)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.registry import champions

        params, actor = context["params"], person_of(context)
        if params["action"] == ROLL_BACK:
            outcome = champions.rollback(
                self.model, to=params["version"], actor=actor, reason=params["reason"], request=context["run_id"]
            )  # fmt: skip
        elif params["version"] is None:
            raise ConfigError(f"{self.model}: name the version that is to be champion; a roll-back alone finds the previous one by itself.")
        else:
            outcome = champions.promote(self.model, params["version"], actor=actor, reason=params["reason"], force=params["force"])
        if not outcome.promoted:
            skip(self, outcome.words)
        return {"champion": outcome.version, "words": outcome.words}


def registered_version(model: str, context: Mapping[str, Any]) -> int:
    """The version that this run registered. Raises `UnearnedError`, and the alert, when somebody but marked the task register."""
    from include.evergreen.registry.versions import UnearnedError, alarming, find_version

    run_key = _run_key(model, context)
    with alarming(model, run_key):
        if found := find_version(run_key):
            return found.version
        raise UnearnedError(f"{model}: the candidate of {context['run_id']} is not registered, whatever the state of register says.")


def _run_key(model: str, context: Mapping[str, Any]) -> str:
    """Of the candidate that this run trained. Raises `DataError`, and the alert, when somebody but marked what comes before."""
    trained = context["ti"].xcom_pull(task_ids="train")
    if not trained:
        from include.evergreen.state.alerts import raise_alert

        words = f"{model}: {context['run_id']} trained no candidate, whatever the states of its tasks say. Clear the task train."
        raise_alert(f"bypass/{model}/{context['run_id']}"[:250], model=model, severity="critical", words=words)
        raise DataError(words)
    return str(trained["run_key"])


def promote_blessed(operator: BaseOperator, model: ModelConfig, version: int, *, actor: str, reason: str) -> dict[str, Any]:
    """The automatic promotion. What keeps a version from serving for now, a pause for one, skips the task and is told in its log."""
    from include.evergreen.promotion import promote as lifecycle

    outcome = lifecycle.promote_blessed(Catalog(), model, version, actor=actor, reason=reason)
    if not outcome.promoted:
        skip(operator, outcome.words)
    return {"champion": outcome.version, "words": outcome.words}


def tags_of(context: Mapping[str, Any]) -> dict[str, str]:
    """What leads from an MLflow run back to the DAG run that made it."""
    from airflow.utils.helpers import build_airflow_dagrun_url

    run = context["dag_run"]
    return {
        "airflow.dag_id": run.dag_id,
        "airflow.dag_run_id": run.run_id,
        "airflow.try_number": str(context["ti"].try_number),
        "airflow.url": build_airflow_dagrun_url(dag_id=run.dag_id, run_id=run.run_id),
    }
