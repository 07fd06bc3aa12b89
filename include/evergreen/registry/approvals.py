"""Human approval of registered versions: when it is required, and what was answered.

Airflow's task states prove nothing. An approval is a row here, written with its entry in the ledger before anybody acts on it.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from include.evergreen.config import ModelConfig
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import EARLIEST, Partition
from include.evergreen.foundation.reasons import LONGEST_ACTOR, LONGEST_REASON
from include.evergreen.state import ledger
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import approvals, model_versions, promotions
from include.evergreen.state.database.upsert import insert_once
from include.evergreen.state.effects import side_effect

log = logging.getLogger(__name__)
Verdict = Literal["approved", "refused"]
LEDGER_KINDS: dict[Verdict, str] = {"approved": "approval", "refused": "refusal"}
NOBODY = "nobody"  # the actor recorded when a request was not answered in time
MOST_LISTED = 5  # slices that got worse
LONGEST_REQUEST = 250  # what the database's column holds


@dataclass(frozen=True)
class Answer:
    """A person's answer on one version. ``request`` identifies the approval request, which is answered once."""

    id: int
    model: str
    version: int
    request: str
    verdict: Verdict
    actor: str
    reason: str
    recorded_at: dt.datetime

    @property
    def message(self) -> str:
        """Who answered what, when and why, in one sentence without its subject."""
        return f"{self.verdict} by {self.actor} at {self.recorded_at:%Y-%m-%d %H:%M} UTC" + (f": {self.reason}" if self.reason else "")


def why_ask(model: ModelConfig, semver: str, is_first: bool, criteria: Sequence[dict[str, Any]]) -> str:
    """Why the version ``semver`` needs a person's approval before it may serve; empty when it needs none.

    :param model: the model as it is declared, whose ``approval`` section decides
    :param semver: the version's semantic version, such as ``2.0.0``
    :param is_first: whether there was no champion to judge it against
    :param criteria: those of its decision, as recorded
    :returns: the occasions that apply, with semicolons between them, at most `LONGEST_REASON` characters
    """
    if model.approval.mode == "auto":
        return ""
    if model.approval.mode == "human":
        return "a person approves each version of this model"
    worse = sorted({name for criterion in criteria for name in (criterion.get("details") or {}).get("worse_than_champion", ())})
    uncompared = [criterion for criterion in criteria if (criterion["kind"], criterion.get("verdict")) == ("champion", "not_applicable")]
    occasions = {
        "first_model": "it is the first model, so there is no champion to compare it with" if is_first else "",
        "slice_worse": f"it is worse than the champion on {_listed(worse)}" if worse else "",
        "major_version": f"{semver} is a major version" if semver.endswith(".0.0") else "",
        "not_compared": uncompared[0]["message"] if uncompared and not is_first else "",
    }
    return "; ".join(message for message in (occasions[name] for name in model.approval.when) if message)[:LONGEST_REASON]


def record_answer(model: str, version: int, *, request: str, verdict: Verdict, actor: str, reason: str) -> Answer:
    """Record an answer, in one transaction with its ledger entry; a request that was already answered keeps its first answer.

    :param model: name of the model
    :param version: the number of the version
    :param request: what identifies the approval request, in 1 to `LONGEST_REQUEST` characters
    :param verdict: ``approved`` or ``refused``
    :param actor: the person who answered, or `NOBODY`
    :param reason: what that person wrote; may be empty
    :returns: the answer that stands, which may be an earlier one
    :raises ConfigError: the version is not registered, the verdict is another word, or the request is empty or too long
    """
    if verdict not in LEDGER_KINDS:
        raise ConfigError(f"{model} version {version}: the verdict {verdict!r} is neither approved nor refused.")
    if not request or len(request) > LONGEST_REQUEST:
        raise ConfigError(f"{model} version {version}: the request has {len(request)} characters; give 1 to {LONGEST_REQUEST}.")
    with side_effect("approve.record"), writing() as connection:
        answer = keep_answer(connection, model, version, request=request, verdict=verdict, actor=actor, reason=reason)
    log.warning("%s version %d is %s", model, version, answer.message)
    return answer


def keep_answer(connection: sa.Connection, model: str, version: int, *, request: str, verdict: Verdict, actor: str, reason: str) -> Answer:
    """Record an answer beside what else the caller writes; a request that was already answered keeps its first answer.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param model: name of the model
    :param version: the number of the version
    :param request: what identifies the approval request
    :param verdict: ``approved`` or ``refused``
    :param actor: the person who answered, or `NOBODY`; the first `LONGEST_ACTOR` characters are kept
    :param reason: what that person wrote; the first `LONGEST_REASON` characters are kept
    :returns: the answer that stands, which may be an earlier one
    :raises ConfigError: the version is not registered
    """
    asked = connection.execute(model_versions.select().filter_by(model=model, version=version)).first()
    if asked is None:
        raise ConfigError(f"{model} has no version {version}, so nobody can have approved or refused it.")
    key = {"model": model, "version": version, "request": request}
    values = {"verdict": verdict, "actor": actor[:LONGEST_ACTOR], "reason": reason.strip()[:LONGEST_REASON], "recorded_at": clock.now()}
    if insert_once(connection, approvals, key, values):
        evidence = {"semver": asked.semver, "run_key": asked.run_key, "asked_because": asked.approval_because}
        ledger.bind(connection, approvals, key, kind=LEDGER_KINDS[verdict], evidence=evidence)
    return as_record(Answer, connection.execute(approvals.select().filter_by(**key)).one())


@dataclass(frozen=True)
class ApprovalStatus:
    """A version's approval: why it is required (empty: it is not), and the latest answer."""

    because: str
    answer: Answer | None

    @property
    def blocks_promotion(self) -> bool:
        """Whether a required approval is missing or was refused."""
        return bool(self.because) and not (self.answer and self.answer.verdict == "approved")

    @property
    def message(self) -> str:
        """The state of the approval, in one sentence without its subject."""
        if self.answer:
            return f"was {self.answer.message}"
        return f"is waiting for approval: {self.because}" if self.because else "needs no approval"


def approval_status(model: str, version: int) -> ApprovalStatus:
    """Whether a version needs approval, and how it was answered.

    :param model: name of the model
    :param version: the number of the version
    :returns: why it is required, if it is, and the newest answer, if there is one
    :raises ConfigError: there is no such version
    """
    with reading() as connection:
        registered = connection.execute(model_versions.select().filter_by(model=model, version=version)).first()
        answer = newest_answer(connection, model, version)
    if registered is None:
        raise ConfigError(f"{model} has no version {version}, so there is nothing to approve.")
    return ApprovalStatus(registered.approval_because, answer)


def find_answer(model: str, version: int, request: str) -> Answer | None:
    """Find the answer to one approval request.

    :param model: name of the model
    :param version: the number of the version
    :param request: what identifies the approval request
    :returns: the answer, which is the only one; None while nobody has answered it
    """
    with reading() as connection:
        row = connection.execute(approvals.select().filter_by(model=model, version=version, request=request)).first()
    return as_record(Answer, row) if row else None


def newest_answer(connection: sa.Connection, model: str, version: int) -> Answer | None:
    """Find the answer that counts: the newest one on a version, whatever request it answered.

    :param connection: any that reads
    :param model: name of the model
    :param version: the number of the version
    :returns: the answer; None while there is none
    """
    query = approvals.select().filter_by(model=model, version=version).order_by(approvals.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    return as_record(Answer, row) if row else None


@dataclass(frozen=True)
class WaitingVersion:
    """A version that needs an approval and has no answer yet."""

    version: int
    semver: str
    as_of: Partition
    because: str
    since: dt.datetime


def waiting_versions(model: str) -> list[WaitingVersion]:
    """List the versions that wait for approval, without those trained on older data than the champion.

    :param model: name of the model
    :returns: the newest version first; none when nobody is asked
    """
    own = model_versions.c
    serving = sa.select(promotions.c.as_of).where(promotions.c.model == model).order_by(promotions.c.id.desc()).limit(1)
    answered = sa.select(approvals.c.id).where(approvals.c.model == model, approvals.c.version == own.version).exists()
    asked = sa.select(own.version, own.semver, own.as_of, own.approval_because.label("because"), own.recorded_at.label("since"))
    with reading() as connection:
        as_of = connection.execute(serving).scalar() or EARLIEST
        query = asked.where(own.model == model, own.as_of >= as_of, own.approval_because != "", ~answered).order_by(own.version.desc())
        return [as_record(WaitingVersion, row) for row in connection.execute(query)]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"{', '.join(names[:MOST_LISTED])}{more}"
