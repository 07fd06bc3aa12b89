"""A person's word on a version: asked for in Airflow's UI, kept in our own database and ledger, and only then acted on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param

from evergreen_airflow.links import VersionsLink, evidence_links
from evergreen_airflow.operators.training import ModelOperator, promote_blessed, registered_version, skip
from include.evergreen.config import Catalog

if TYPE_CHECKING:
    from include.evergreen.registry.approvals import Answer

APPROVE, REFUSE = "Approve", "Refuse"
REASON = Param("", type="string", maxLength=500, title="Reason", description="Why. It goes into the ledger with your name.", source="task")


class AskForApprovalOperator(TriggerDagRunOperator):
    """Starts the run that asks a person, once for each version that needs one. Whoever waits there holds up no training.

    :param model: the model's name
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=f"{model}.approve", logical_date=None, skip_when_already_exists=True, **kwargs)
        self.model = model

    def execute(self, context: Any) -> None:
        from include.evergreen.registry.approvals import standing_of

        version = registered_version(self.model, context)
        standing = standing_of(self.model, version)
        if standing.answer or not standing.because:
            skip(self, f"version {version} {standing.words}")
        self.trigger_run_id = f"approval__v{version}"
        self.conf = {"version": version}
        self.log.info("Asking: %s version %d: %s", self.model, version, standing.because)
        super().execute(context)


class AskPersonOperator(HITLOperator):
    """Waits, without a worker, for a person's word on the version of this run, with the gate's evidence before their eyes.

    The word is recorded with the person's name before the task ends. An answer that a try of this task recorded before it died
    counts; cleared by a person, the task asks anew.

    :param model: the model's name
    :param hours: after so many an unanswered question counts as refused
    """

    operator_extra_links = (VersionsLink(),)

    def __init__(self, *, model: str, hours: float, params: object = None, **kwargs: Any) -> None:
        del params  # the DAG's, which Airflow hands to every task: the form asks for none of them
        super().__init__(
            subject=f"May this version of {model} serve?", options=[APPROVE, REFUSE], defaults=[REFUSE],
            params={"reason": REASON}, response_timeout=dt.timedelta(hours=hours), **kwargs,
        )  # fmt: skip
        self.model = model
        self.hours = hours

    def execute(self, context: Any) -> dict[str, Any]:
        from include.evergreen.promotion.approval_request import question_on
        from include.evergreen.registry import champions
        from include.evergreen.registry.approvals import find_answer

        version = context["params"]["version"]
        if answer := find_answer(self.model, version, _request_of(context)):
            return _as_xcom(answer)
        links = evidence_links(self.model, champions.version_number(self.model, version))
        asked = question_on(self.model, version, hours=self.hours, links=links)
        self.subject, self.body = asked.subject, asked.body
        super().execute(context)  # parks the task; it goes on in execute_complete
        raise AssertionError("a question that nobody waits for")

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.evergreen.registry.approvals import NOBODY, record_answer

        given = super().execute_complete(context, event)
        user = given["responded_by_user"]
        answer = record_answer(
            self.model,
            context["params"]["version"],
            request=_request_of(context),
            verdict="approved" if user and given["chosen_options"] == [APPROVE] else "refused",
            actor=user["name"] if user else NOBODY,
            reason=str(given["params_input"].get("reason") or "") if user else f"nobody answered within {self.hours:g} hours",
        )
        return _as_xcom(answer)


def _as_xcom(answer: Answer) -> dict[str, Any]:
    return {"version": answer.version, "verdict": answer.verdict, "actor": answer.actor, "reason": answer.reason}


class PromoteApprovedOperator(ModelOperator):
    """Makes an approved version champion. What counts is the answer in our database, and not that the task before is green."""

    operator_extra_links = (VersionsLink(),)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.registry.approvals import standing_of

        version = context["params"]["version"]
        answer = standing_of(self.model, version).answer
        if answer and answer.verdict == "refused":
            skip(self, f"version {version} was {answer.words}")
        actor = answer.actor if answer else "nobody"
        reason = f"approved: {answer.reason}" if answer and answer.reason else "approved"
        return promote_blessed(self, Catalog().model(self.model), version, actor=actor, reason=reason)


def _request_of(context: Mapping[str, Any]) -> str:
    """Names the question: the same for all automatic tries, and another when a person clears the task to ask anew."""
    first_try = context["ti"].max_tries - context["task"].retries + 1
    return f"{context['dag_run'].dag_id} {context['run_id']} {first_try}"[-250:]
