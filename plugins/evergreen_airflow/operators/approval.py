"""Human approval of a version: requested in Airflow's UI, recorded in our database and ledger, and acted on only then."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param

from evergreen_airflow.links import VersionsLink, evidence_links
from evergreen_airflow.operators.training import ModelOperator, promote_blessed, registered_version, skip
from evergreen_airflow.runs import acting_user
from include.evergreen.config import Catalog

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.evergreen.registry.approvals import Answer

ASK = "ask"  # id of the task that waits for the answer
APPROVE, REJECT = "Approve", "Reject"  # as shown on the form; a rejection is stored with the verdict "refused"
REASON = Param("", type="string", maxLength=500, title="Reason", description="Recorded in the ledger with your name.", source="task")


class RequestApprovalOperator(TriggerDagRunOperator):
    """Trigger ``<model>.approve`` once for each version that needs approval, without waiting for the answer.

    :param model: its name, as in ``include/models``
    :param **kwargs: passed to ``TriggerDagRunOperator``
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=f"{model}.approve", logical_date=None, skip_when_already_exists=True, **kwargs)
        self.model = model

    def execute(self, context: Context) -> None:
        """Trigger the approval run of the version that this run registered, or skip if the version needs none or has an answer.

        :param context: the running task's Airflow context
        """
        from include.evergreen.registry.approvals import approval_status

        version = registered_version(self.model, context)
        status = approval_status(self.model, version)
        if status.answer or not status.because:
            skip(self, f"version {version} {status.message}")
        self.trigger_run_id = f"approval__v{version}"
        self.conf = {"version": version}
        self.log.info("Requesting approval of %s version %d: %s", self.model, version, status.because)
        super().execute(context)


class WaitForApprovalOperator(HITLOperator):
    """Wait for a person to approve or reject the version of this run. The task uses no worker while it waits.

    The form shows the gate's evidence. The answer is recorded with the person's name before the task ends. A retry reuses an answer
    that an earlier try recorded; clearing the task requests a new answer.

    :param model: its name, as in ``include/models``
    :param hours: hours after which a missing answer counts as a rejection
    :param params: ignored: Airflow passes the DAG's params to every task, and the form shows only the reason
    :param **kwargs: passed to ``HITLOperator``
    """

    operator_extra_links = (VersionsLink(),)

    def __init__(self, *, model: str, hours: float, params: object = None, **kwargs: Any) -> None:
        del params
        super().__init__(
            subject=f"Approve this version of {model} for production?", options=[APPROVE, REJECT], defaults=[REJECT],
            params={"reason": REASON}, response_timeout=dt.timedelta(hours=hours), **kwargs,
        )  # fmt: skip
        self.model = model
        self.hours = hours

    def execute(self, context: Context) -> dict[str, Any]:
        """Show the form and suspend the task, unless an earlier try recorded an answer.

        :param context: the running task's Airflow context, whose params name the version
        :returns: the same keys as `execute_complete`
        :raises AssertionError: if Airflow did not suspend the task
        """
        from include.evergreen.promotion.approval_request import build_approval_request
        from include.evergreen.registry import champions
        from include.evergreen.registry.approvals import find_answer

        version = context["params"]["version"]
        if answer := find_answer(self.model, version, _request_id(context)):
            return _answer_as_dict(answer, context)
        links = evidence_links(self.model, champions.version_number(self.model, version))
        question = build_approval_request(self.model, version, hours=self.hours, links=links)
        self.subject, self.body = question.subject, question.body
        super().execute(context)  # suspends the task, which resumes in execute_complete
        raise AssertionError("HITLOperator.execute returned instead of suspending the task")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Record the answer.

        :param context: the running task's Airflow context, whose params name the version
        :param event: the response, as Airflow's triggerer delivers it
        :returns: ``version``, ``verdict`` (``approved`` or ``refused``), ``actor`` (who answered), ``reason``, and ``clear_number`` (how
            often the run had been cleared by then)
        """
        from include.evergreen.registry.approvals import NOBODY, record_answer

        response = super().execute_complete(context, event)
        user = response["responded_by_user"]
        answer = record_answer(
            self.model,
            context["params"]["version"],
            request=_request_id(context),
            verdict="approved" if user and response["chosen_options"] == [APPROVE] else "refused",
            actor=user["name"] if user else NOBODY,
            reason=str(response["params_input"].get("reason") or "") if user else f"nobody answered within {self.hours:g} hours",
        )
        return _answer_as_dict(answer, context)


def _answer_as_dict(answer: Answer, context: Context) -> dict[str, Any]:
    return {"version": answer.version, "verdict": answer.verdict, "actor": answer.actor, "reason": answer.reason,
            "clear_number": context["dag_run"].clear_number}  # fmt: skip


class PromoteApprovedOperator(ModelOperator):
    """Promote an approved version to champion. The answer in our database decides, not the state of the upstream task.

    :param model: its name, as in ``include/models`` (templated)
    """

    operator_extra_links = (VersionsLink(),)

    def execute(self, context: Context) -> dict[str, Any]:
        """Promote the version, or skip if it was rejected.

        :param context: the running task's Airflow context, whose params name the version
        :returns: ``champion`` (its version) and ``summary``
        """
        from include.evergreen.registry.approvals import approval_status

        version = context["params"]["version"]
        answer = approval_status(self.model, version).answer
        if answer and answer.verdict == "refused":
            skip(self, f"version {version} was {answer.message}")
        actor, reason = _promoter(answer, context)
        return promote_blessed(self, Catalog().model(self.model), version, actor=actor, reason=reason)


def _promoter(answer: Answer | None, context: Context) -> tuple[str, str]:
    """Return who promotes, and why: the person who answered, if the answer led here; not if someone cleared or marked a task since."""
    own: dict[str, Any] | None = context["ti"].xcom_pull(task_ids=ASK)
    if answer and own and (own["actor"], own["clear_number"]) == (answer.actor, context["dag_run"].clear_number):
        return answer.actor, f"approved: {answer.reason}" if answer.reason else "approved"
    why = f"approved by {answer.actor}{f': {answer.reason}' if answer.reason else ''}" if answer else "approved by nobody"
    return acting_user(context) if own else f"airflow ({ASK} was marked)", why


def _request_id(context: Context) -> str:
    """Identify the request: the same for all automatic retries, a new one when a person clears the task."""
    first_try = context["ti"].max_tries - (context["task"].retries or 0) + 1
    return f"{context['dag_run'].dag_id} {context['run_id']} {first_try}"[-250:]
