"""From a snapshot to a champion, one operator a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from evergreen_airflow.links import MlflowRunLink, ModelCardLink, VersionsLink
from evergreen_airflow.runs import acting_user, deed_actor, resolve_as_of, task_result
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.span import Span

PROMOTE, ROLL_BACK, ABORT = "promote", "roll back", "abort roll-out"

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.evergreen.training.candidate import Candidate


def skip(operator: BaseOperator, reason: str) -> NoReturn:
    """Skip the task and everything downstream, and log the reason, which Airflow does not.

    :param operator: the running operator
    :param reason: why, for the task's log
    :raises AirflowSkipException: always
    """
    operator.log.info("Skipped: %s", reason)
    raise AirflowSkipException(reason)


class ModelOperator(BaseOperator):
    """Base class of the operators that work on one model.

    :param model: its name, as in ``include/models`` (templated)
    :param **kwargs: passed to ``BaseOperator``
    """

    template_fields = ("model",)

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model


class TakeSnapshotOperator(ModelOperator):
    """Read the training window before as_of, with what was known then, and store it as a snapshot.

    :param model: its name, as in ``include/models`` (templated)
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Take the snapshot. Fails with `DataError` if too few days were known then.

        :param context: the running task's Airflow context, which names the as_of and may set the window
        :returns: ``as_of``, the ``snapshot``'s digest, and the number of ``rows`` and ``partitions`` in it
        """
        from include.evergreen.training.take_snapshot import take_snapshot

        catalog = Catalog()
        model, as_of = catalog.model(self.model), resolve_as_of(context, catalog.model(self.model).grain)
        window = context["params"].get("window")
        snapshot = take_snapshot(catalog, model, as_of, Span.parse(window, subject="The parameter window") if window else None)
        return {"as_of": str(as_of), "snapshot": snapshot.digest, "rows": snapshot.rows, "partitions": len(snapshot.members)}


class TrainCandidateOperator(ModelOperator):
    """Fit a candidate on the snapshot and log it in one MLflow run.

    :param model: its name, as in ``include/models`` (templated)
    """

    operator_extra_links = (MlflowRunLink(),)

    def execute(self, context: Context) -> dict[str, Any]:
        """Train the candidate, or find the one that the same snapshot and recipe gave before.

        :param context: the running task's Airflow context
        :returns: what `training_result` returns
        """
        from include.evergreen.training.snapshot import find_snapshot
        from include.evergreen.training.train import train

        catalog = Catalog()
        snapshot = find_snapshot(task_result(context, "snapshot")["snapshot"])
        reason = context["params"].get("reason") or f"run {context['run_id']}"
        candidate, is_new = train(catalog, catalog.model(self.model), snapshot, reason, tags=mlflow_tags(context))
        return training_result(candidate, is_new=is_new)


def training_result(candidate: Candidate, *, is_new: bool) -> dict[str, Any]:
    """Return what a training task returns, wherever it trains.

    :param candidate: the trained candidate
    :param is_new: whether this task trained it, rather than found it
    :returns: ``as_of``, ``run_key`` (the candidate's id), ``is_new``, ``mlflow_run_id`` and ``metrics`` (name to value)
    """
    return {
        "as_of": str(candidate.as_of),
        "run_key": candidate.run_key,
        "is_new": is_new,
        "mlflow_run_id": candidate.mlflow_run_id,
        "metrics": candidate.metrics,
    }


class EvaluateGateOperator(ModelOperator):
    """Evaluate the candidate against the model's gate and its champion, and record one decision.

    A rejection is a valid result, and answers the trigger event that started the run, if one did. If a criterion cannot be evaluated
    the task fails; clear it to evaluate again.

    :param model: its name, as in ``include/models`` (templated)
    """

    operator_extra_links = (MlflowRunLink(),)

    def execute(self, context: Context) -> dict[str, Any]:
        """Evaluate the gate.

        :param context: the running task's Airflow context
        :returns: ``as_of``, ``run_key``, ``verdict`` (``blessed`` or ``rejected``), ``summary`` and ``mlflow_run_id``
        :raises DataError: if the gate could not evaluate the candidate
        """
        from include.evergreen.gates.decide import decide
        from include.evergreen.monitoring.triggers import answer_firing
        from include.evergreen.training.candidate import find_candidate

        candidate = find_candidate(_run_key(self.model, context))
        catalog = Catalog()
        decision = decide(catalog, catalog.model(self.model), candidate)
        if decision.verdict == "not_evaluated":
            raise DataError(f"{self.model} as of {candidate.as_of}: the gate could not evaluate the candidate: {decision.message}")
        answer_firing(self.model, context["run_id"])
        return {
            "as_of": str(candidate.as_of),
            "run_key": candidate.run_key,
            "verdict": decision.verdict,
            "summary": decision.summary,
            "mlflow_run_id": candidate.mlflow_run_id,
        }


class RegisterChallengerOperator(ModelOperator):
    """Register a blessed candidate as challenger. Rejection is an expected outcome: this task and those downstream are skipped.

    :param model: its name, as in ``include/models`` (templated)
    """

    operator_extra_links = (MlflowRunLink(), ModelCardLink(), VersionsLink())

    def execute(self, context: Context) -> dict[str, Any]:
        """Register the candidate, or skip if the gate rejected it.

        :param context: the running task's Airflow context
        :returns: ``version``, ``semver``, ``as_of`` and ``mlflow_run_id``
        """
        decision = context["ti"].xcom_pull(task_ids="gate")  # None if the gate was marked as success; the database then decides
        if decision and decision["verdict"] == "rejected":
            skip(self, f"the gate rejected the candidate: {decision['summary']}")
        from include.evergreen.promotion.promote import register_candidate

        catalog = Catalog()
        version = register_candidate(catalog, catalog.model(self.model), _run_key(self.model, context))
        return {"version": version.version, "semver": version.semver, "as_of": str(version.as_of),
                "mlflow_run_id": version.mlflow_run_id}  # fmt: skip


class PromoteChampionOperator(ModelOperator):
    """Promote the challenger, or start its roll-out, unless a pause is active, approval is missing, or the champion is of newer data.

    :param model: its name, as in ``include/models`` (templated)
    """

    operator_extra_links = (VersionsLink(),)

    def execute(self, context: Context) -> dict[str, Any]:
        """Promote the version that this run registered, or skip.

        :param context: the running task's Airflow context
        :returns: ``champion`` (its version) and ``summary``
        """
        from include.evergreen.registry.approvals import approval_status

        version = registered_version(self.model, context)
        status = approval_status(self.model, version)
        if status.blocks_promotion:
            skip(self, f"version {version} {status.message}")
        reason = context["params"].get("reason") or "blessed by the gate"
        return promote_blessed(self, Catalog().model(self.model), version, actor=acting_user(context), reason=reason)


class PromoteManuallyOperator(ModelOperator):
    """Promote the version that a person chose, roll back, or abort a roll-out. The ledger records that person's name and reason.

    A cleared run does nothing: it would act again under the name of who triggered it.

    :param model: its name, as in ``include/models`` (templated)
    """

    operator_extra_links = (VersionsLink(),)

    def execute(self, context: Context) -> dict[str, Any]:
        """Promote, roll back or abort, as the run's parameters say, or skip if that needs force.

        :param context: the running task's Airflow context
        :returns: ``champion`` (its version) and ``summary``
        :raises ConfigError: if a promotion names no version
        """
        from include.evergreen.registry import champions

        params, actor = context["params"], deed_actor(context)
        if params["action"] == ROLL_BACK:
            outcome = champions.rollback(self.model, to=params["version"], actor=actor, reason=params["reason"], request=context["run_id"])
        elif params["action"] == ABORT:
            outcome = champions.abort_rollout(self.model, actor=actor, reason=params["reason"])
            return {"champion": outcome.version, "summary": outcome.message}
        elif params["version"] is None:
            raise ConfigError(f"{self.model}: set the version to promote. Only a rollback may leave it empty.")
        else:
            outcome = champions.promote(
                self.model, params["version"], actor=actor, reason=params["reason"], force=params["force"], request=context["run_id"]
            )
        if not outcome.promoted:
            skip(self, outcome.message)
        return {"champion": outcome.version, "summary": outcome.message}


def registered_version(model: str, context: Context) -> int:
    """Return the version that this run registered.

    :param model: its name, as in ``include/models``
    :param context: the running task's Airflow context
    :returns: its number
    :raises UnearnedError: if the candidate is not registered, as when the task ``register`` was marked as success; raises an alert
    """
    from include.evergreen.registry.versions import UnearnedError, alarming, find_version

    run_key = _run_key(model, context)
    with alarming(model, run_key):
        if version := find_version(run_key):
            return version.version
        raise UnearnedError(
            f"{model}: the candidate of {context['run_id']} is not registered, regardless of the state of the task register."
        )


def _run_key(model: str, context: Context) -> str:
    """Return the id of the candidate that this run trained. Raises `DataError` and an alert if there is none: a task was marked."""
    result = context["ti"].xcom_pull(task_ids="train")
    if not result:
        from include.evergreen.state.alerts import raise_alert

        message = f"{model}: {context['run_id']} trained no candidate, regardless of the states of its tasks. Clear the task train."
        raise_alert(f"bypass/{model}/{context['run_id']}"[:250], model=model, severity="critical", message=message)
        raise DataError(message)
    return str(result["run_key"])


def promote_blessed(operator: BaseOperator, model: ModelConfig, version: int, *, actor: str, reason: str) -> dict[str, Any]:
    """Promote a blessed version automatically, or skip the task if something such as a pause prevents it for now.

    :param operator: the running operator
    :param model: the model as it is declared now
    :param version: the registered version
    :param actor: who is recorded in the ledger
    :param reason: what is recorded in the ledger
    :returns: ``champion`` (its version) and ``summary``
    """
    from include.evergreen.promotion.promote import promote_blessed

    outcome = promote_blessed(Catalog(), model, version, actor=actor, reason=reason)
    if not outcome.promoted and not outcome.is_rolling_out:
        skip(operator, outcome.message)
    return {"champion": outcome.version, "summary": outcome.message}


def mlflow_tags(context: Context) -> dict[str, str]:
    """Return the tags that link an MLflow run back to the DAG run that made it.

    :param context: the running task's Airflow context
    :returns: names that begin with ``airflow.``, and their values
    """
    from airflow.utils.helpers import build_airflow_dagrun_url

    run = context["dag_run"]
    return {
        "airflow.dag_id": run.dag_id,
        "airflow.dag_run_id": run.run_id,
        "airflow.try_number": str(context["ti"].try_number),
        "airflow.url": build_airflow_dagrun_url(dag_id=run.dag_id, run_id=run.run_id),
    }
