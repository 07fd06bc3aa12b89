"""Promotion and rollback: makes a version champion.

Our database decides: a promotion or a rollback is one row with its ledger entry, under the lock of `writing`. MLflow's aliases are
set after it, and reset when they differ.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa

from include.evergreen.config.rollout import Strategy
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.grain import Grain
from include.evergreen.foundation.reasons import LONGEST_ACTOR, LONGEST_REASON, checked_reason
from include.evergreen.registry.aliases import reconcile, show_challenger
from include.evergreen.registry.approvals import keep_answer, newest_answer
from include.evergreen.registry.history import (
    NO_VERSION,
    challenger,
    challenger_for,
    champion,
    champion_at,
    champion_for,
    champion_number,
    champions_for,
    find_place,
    line,
    newest_promotion,
    refuse_changed_champion,
    roles,
    take_place,
    version_within,
    withdrawal,
)
from include.evergreen.registry.rollouts import (
    Rollout,
    State,
    begin_rollout,
    end_rollout,
    grow_rollout,
    newest_rollout,
    newest_scored,
    note_rollout,
    note_shown,
    refusal,
    running_rollout,
    unshown_rollout,
    why_rollout_unbound,
)
from include.evergreen.registry.servable import champion_may_have_changed
from include.evergreen.registry.versions import (
    ChangedRecordError,
    RegisteredVersion,
    UnearnedError,
    alarming,
    list_versions,
    newest_verdict,
    register,
    version_number,
    why_not_approved,
    why_not_blessed,
    why_not_servable,
)
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import decisions, promotions
from include.evergreen.state.effects import side_effect
from include.evergreen.state.pauses import active_pause_within, refuse_changed_pauses

__all__ = [
    "NO_VERSION",
    "ChampionChangedError",
    "Promotion",
    "RegisteredVersion",
    "UnearnedError",
    "abort_rollout",
    "challenger",
    "challenger_for",
    "champion",
    "champion_at",
    "champion_for",
    "champions_for",
    "list_versions",
    "promote",
    "promote_judged",
    "promote_rolling_out",
    "reconcile",
    "register",
    "roles",
    "rollback",
    "settle_rollout",
    "show_challenger",
    "show_ended_rollout",
    "start_rollout",
    "version_number",
    "why_not_promoted",
]

log = logging.getLogger(__name__)
BY_HAND = "promotion by hand"  # the approval request under which a manual promotion is recorded
TIMES_AT_ONCE = 10  # promotions that may overtake another one before it gives up


@dataclass(frozen=True)
class Promotion:
    """The outcome of a promotion or a rollback: whether ``version`` was promoted, and why or why not.

    ``is_rolling_out``: it is no champion yet, and its roll-out runs.
    """

    promoted: bool
    version: int
    message: str
    is_rolling_out: bool = False


class ChampionChangedError(TransientError):
    """The decision is not the newest one against the champion that serves: its version must be judged again."""


def promote(model: str, version: int, *, actor: str, reason: str, force: bool = False, request: str = "") -> Promotion:
    """A person makes a blessed version champion, which also is the approval, where one is required.

    Safe to repeat: promotion and ledger entry are one transaction, and the alias is set after it, each time. Passes on `ConfigError` for
    a version that is not registered or a reason too short or too long, and `DataError` for a damaged artifact.

    :param model: name of the model
    :param version: the number of the version
    :param actor: the person, for the ledger
    :param reason: why, for the ledger; see `checked_reason`
    :param force: promote also a version trained on older data than the champion, or refused, rolled back or rejected since; then the
        ledger has an override
    :param request: what tells promotions apart, such as an Airflow run's id: a repetition of one changes nothing; empty for none
    :returns: whether it was promoted, the version that serves now, and why or why not
    :raises UnearnedError: it was never blessed, forced or not; raises the alert, too
    """
    reason = checked_reason(model, reason)
    wanted = version_number(model, version)
    mlflow_store.verify_artifact(wanted.artifact_uri, wanted.artifact_digest)
    refuse_changed_champion(model)
    with alarming(model, wanted.run_key), side_effect("promote.record"), writing() as connection:
        if why_not := why_not_blessed(connection, wanted):
            raise UnearnedError(f"{why_not}, so it is not promoted.")
        outcome = _promote_by_hand(connection, wanted, actor=actor[:LONGEST_ACTOR], reason=reason, force=force, request=request)
    _show(model)
    log.info("%s: %s", model, outcome.message)
    return outcome


def promote_judged(wanted: RegisteredVersion, decision: int, *, actor: str, reason: str) -> Promotion:
    """The automatic promotion, by a decision that blessed the version against the champion of now.

    Raises `ChampionChangedError` when another one serves by now, or there is a newer decision, `UnearnedError`, and the alert, without
    the blessing or the approval that is required, `DataError` for a damaged artifact. Other reasons (see `why_not_promoted`) are in the
    outcome.

    :param wanted: the registered version
    :param decision: the id of the decision in our database
    :param actor: who is recorded in the ledger
    :param reason: why, for the ledger, which keeps the first `LONGEST_REASON` characters
    :returns: whether it was promoted, the version that serves now, and why or why not
    """
    mlflow_store.verify_artifact(wanted.artifact_uri, wanted.artifact_digest)
    refuse_changed_champion(wanted.model)
    with alarming(wanted.model, wanted.run_key), side_effect("promote.record"), writing() as connection:
        outcome = _promote_judged(connection, wanted, decision, actor[:LONGEST_ACTOR], reason.strip()[:LONGEST_REASON])
    _show(wanted.model)
    log.info("%s: %s", wanted.model, outcome.message)
    return outcome


def start_rollout(
    wanted: RegisteredVersion, decision: int, strategy: Strategy, plan: dict[str, Any], *, grain: Grain, actor: str, reason: str
) -> Promotion:
    """Start the roll-out of a version beside the champion, where `promote_judged` would promote it at once. Raises what that raises.

    It begins with the first partition that was not scored yet, and that the version was not trained on.

    :param wanted: the registered version
    :param decision: the id of the decision in our database
    :param strategy: ``shadow``, ``canary`` or ``ab``
    :param plan: as `Rollout` has it
    :param grain: that of the model's partitions
    :param actor: who is recorded in the ledger
    :param reason: why, for the ledger, which keeps the first `LONGEST_REASON` characters
    :returns: that it is being rolled out, or why not; the version that serves now
    """
    mlflow_store.verify_artifact(wanted.artifact_uri, wanted.artifact_digest)
    refuse_changed_champion(wanted.model)
    actor, reason = actor[:LONGEST_ACTOR], reason.strip()[:LONGEST_REASON]
    with alarming(wanted.model, wanted.run_key), side_effect("promote.record"), writing() as connection:
        if why_not := _why_not_promoted(connection, wanted):
            outcome = why_not
        else:
            serves = _refuse_other_decision(connection, wanted, decision)
            scored = newest_scored(connection, wanted.model)
            first = max(grain.shift(scored, 1), wanted.as_of) if scored else wanted.as_of
            rollout = begin_rollout(
                connection, model=wanted.model, version=wanted.version, champion_version=serves, decision=decision, strategy=strategy,
                plan=plan, first=first, actor=actor, reason=reason,
            )  # fmt: skip
            outcome = _is_rolling_out(rollout)
    _show(wanted.model)
    log.info("%s: %s", wanted.model, outcome.message)
    return outcome


def settle_rollout(
    rollout: Rollout, state: Literal["running", "promoted", "rolled_back"], because: str, evidence: dict[str, Any], *, grain: Grain,
    also: Callable[[sa.Connection], None],
) -> Promotion | None:  # fmt: skip
    """Do what the evidence on a roll-out's step decides: its next step, the promotion of its version, or its end.

    Raises `UnearnedError`, and the alert, when a promotion lacks the blessing or the approval; `DataError` for a damaged artifact.

    :param rollout: the roll-out as it was judged
    :param state: ``running``: it takes its next step; else how it ends
    :param because: why, in a sentence or more, which the ledger keeps
    :param evidence: what it was decided on, which the ledger keeps
    :param grain: that of the model's partitions
    :param also: called within the transaction: raises when what was judged is no longer so, and tells people
    :returns: what came of it, such as that a pause keeps it from being promoted or from growing; None when it was decided meanwhile
    :raises ChangedRecordError: when the record of the roll-out differs from the ledger
    """
    wanted = version_number(rollout.model, rollout.version)
    if state == "promoted":
        mlflow_store.verify_artifact(wanted.artifact_uri, wanted.artifact_digest)
    refuse_changed_champion(rollout.model)
    outcome = None
    with alarming(rollout.model, wanted.run_key), side_effect("promote.record"), writing() as connection:
        now = running_rollout(connection, rollout.model)
        if now is None or (now.id, now.steps) != (rollout.id, rollout.steps):
            return None
        if changed := why_rollout_unbound(connection, now):
            raise ChangedRecordError(f"{changed}. It decides nothing. Find out who changed the database; restore the row from a backup.")
        also(connection)
        if state == "rolled_back":
            end_rollout(connection, now, state, because, evidence)
            outcome = Promotion(False, now.champion_version, f"the {now.name} is rolled back: {because}")
        elif why_not := _why_not_at_once(connection, wanted):
            note_rollout(connection, now, why_not.message)
            outcome = replace(why_not, is_rolling_out=True)
        elif state == "running":
            scored = newest_scored(connection, now.model)
            first = grain.shift(scored, 1) if scored else now.first
            outcome = _is_rolling_out(grow_rollout(connection, now, first, evidence))
        else:
            end_rollout(connection, now, state, because, evidence)
            current = version_within(connection, wanted.model, now.champion_version)
            facts = {"forced": False, "decision": now.decision, "rollout": now.id}
            outcome = _write(
                connection, current, wanted, kind="promotion", actor=now.actor, reason=f"{now.strategy}: {because}"[:LONGEST_REASON],
                evidence=facts,
            )  # fmt: skip
    _show(rollout.model)
    if outcome:
        log.info("%s: %s", rollout.model, outcome.message)
    return outcome


def promote_rolling_out(model: str, *, actor: str, reason: str) -> Promotion:
    """A person makes the version of the roll-out that runs champion now, as `promote` does, which ends the roll-out.

    Passes on what `promote` raises.

    :param model: name of the model
    :param actor: the person, for the ledger
    :param reason: why, for the ledger; see `checked_reason`
    :returns: whether it was promoted, the version that serves now, and why or why not
    :raises ConfigError: when the model has no roll-out that runs
    """
    with reading() as connection:
        rollout = running_rollout(connection, model)
    if rollout is None:
        raise ConfigError(f"{model} has no roll-out that runs. `evergreen promote {model} VERSION` promotes any blessed version.")
    return promote(model, rollout.version, actor=actor, reason=reason)


def abort_rollout(model: str, *, actor: str, reason: str) -> Promotion:
    """A person ends the roll-out that runs: the champion serves all rows again, and the version is promoted by force alone.

    Aborting it again changes nothing. Passes on `ConfigError` for a reason too short or too long.

    :param model: name of the model
    :param actor: the person, for the ledger
    :param reason: why, for the ledger; see `checked_reason`
    :returns: the version that serves now, and what was ended
    :raises ConfigError: when the model has no roll-out
    """
    reason = checked_reason(model, reason)
    with side_effect("promote.record"), writing() as connection:
        rollout = running_rollout(connection, model)
        if rollout:
            rollout = end_rollout(connection, rollout, "aborted", f"by {actor[:LONGEST_ACTOR]}: {reason}")
        else:
            rollout = newest_rollout(connection, model)
        serves = champion_number(connection, model)
    if rollout is None or rollout.state != "aborted":
        raise ConfigError(
            f"{model} has no roll-out that runs, so there is nothing to abort. `evergreen rollout {model}` shows the last one."
        )
    _show(model)
    outcome = Promotion(False, serves, f"the {rollout.name} is aborted {rollout.because}")
    log.warning("%s: %s", model, outcome.message)
    return outcome


def show_ended_rollout(model: str) -> None:
    """Set MLflow's aliases where a crash came between the end of a roll-out and them; mostly there is nothing to do.

    :param model: name of the model
    """
    with reading() as connection:
        unshown = unshown_rollout(connection, model)
    if unshown:
        _show(model)


def rollback(model: str, *, to: int | None = None, actor: str, reason: str, request: str = "") -> Promotion:
    """Make the previous champion, or the earlier one ``to``, champion again; the versions since are marked as rolled back.

    Rolling back once more goes further back, not forward again. Passes on `ConfigError` when there is nothing to go back to, and
    `DataError` when that one's artifact is damaged.

    :param model: name of the model
    :param to: the number of an earlier champion; None is the previous one
    :param actor: the person, for the ledger
    :param reason: why, for the ledger; see `checked_reason`
    :param request: what tells rollbacks apart, such as an Airflow run's id: a repetition of one is the same rollback; empty for none
    :returns: the version that serves now, and what it replaced
    :raises UnearnedError: the version was never blessed, or lacks an approval that it needs; raises the alert, too
    :raises TransientError: the champion changed `TIMES_AT_ONCE` times in the meantime
    """
    reason = checked_reason(model, reason)
    refuse_changed_champion(model)
    for _ in range(TIMES_AT_ONCE):
        with reading() as connection:
            before = newest_promotion(connection, model)
            number = _rollback_target(connection, model, to, request)
        target = version_number(model, number)
        mlflow_store.verify_artifact(target.artifact_uri, target.artifact_digest)
        with alarming(model, target.run_key), side_effect("rollback.record"), writing() as connection:
            newest = newest_promotion(connection, model)
            if (newest and newest.id) != (before and before.id):
                continue  # another promotion or rollback came in between: look again
            if why_not := why_not_servable(connection, target):
                raise UnearnedError(f"{why_not}, so it is not rolled back to.")
            outcome = _roll_back(connection, target, actor=actor[:LONGEST_ACTOR], reason=reason, request=request)
        _show(model)
        log.info("%s: %s", model, outcome.message)
        return outcome
    raise TransientError(
        f"{model}: its champion changed {TIMES_AT_ONCE} times while it was rolled back. Find out who is promoting, then try again."
    )


def why_not_promoted(wanted: RegisteredVersion) -> Promotion | None:
    """Tell whether a version would be promoted automatically now; changes nothing.

    Raises `UnearnedError`, and the alert, when it was never blessed, or lacks the approval that is required.

    :param wanted: the registered version
    :returns: what its promotion would come to: that it already is champion, or why it is not promoted; None when it would be
    """
    with alarming(wanted.model, wanted.run_key), reading() as connection:
        return _why_not_promoted(connection, wanted)


# --- within the lock --------------------------------------------------------------------------------------------------


def _promote_by_hand(
    connection: sa.Connection, wanted: RegisteredVersion, *, actor: str, reason: str, force: bool, request: str
) -> Promotion:
    newest = newest_promotion(connection, wanted.model)
    serves = newest.version if newest else NO_VERSION
    current = version_within(connection, wanted.model, serves)
    if current and current.version == wanted.version:
        return _champion_already(wanted)
    if _is_done(connection, wanted.model, request, kind="promotion"):
        return Promotion(False, serves, f"version {wanted.version} was promoted by this request before, and version {serves} replaced it")
    against = [message for message in (_why_withdrawn(connection, wanted), _why_older(current, wanted)) if message]
    if refused := refusal(connection, wanted.model, wanted.version):
        against.append(f"the {refused.strategy} of version {wanted.version} was {refused.word}: {refused.because}")
    answer = newest_answer(connection, wanted.model, wanted.version)
    if answer and answer.verdict == "refused":
        against.append(f"version {wanted.version} was {answer.message}")
    if (verdict := newest_verdict(connection, wanted.run_key)) != "blessed":
        against.append(f"the gate's newest decision on version {wanted.version} is {verdict}")
    if against and not force:
        return Promotion(False, serves, f"{'; '.join(against)}; it can be forced, with a reason")
    if wanted.approval_because:
        asked = f"{BY_HAND} {newest.id + 1 if newest else 1}"
        keep_answer(connection, wanted.model, wanted.version, request=asked, verdict="approved", actor=actor, reason=reason)
    if against:
        body = {"version": wanted.version, "actor": actor, "reason": reason, "overridden": against}
        ledger.append(connection, kind="override", model=wanted.model, body=body)
    evidence = {"forced": bool(against)}
    return _write(connection, current, wanted, kind="promotion", actor=actor, reason=reason, evidence=evidence, request=request)


def _promote_judged(connection: sa.Connection, wanted: RegisteredVersion, decision: int, actor: str, reason: str) -> Promotion:
    if outcome := _why_not_promoted(connection, wanted):
        return outcome
    current = version_within(connection, wanted.model, _refuse_other_decision(connection, wanted, decision))
    evidence = {"forced": False, "decision": decision}
    return _write(connection, current, wanted, kind="promotion", actor=actor, reason=reason, evidence=evidence)


def _refuse_other_decision(connection: sa.Connection, wanted: RegisteredVersion, decision: int) -> int:
    """The champion of now; raises unless the decision blesses the version against it, and is the newest that answers that question."""
    serves = champion_number(connection, wanted.model)
    row = connection.execute(decisions.select().where(decisions.c.id == decision)).first()
    if row is None or row.run_key != wanted.run_key or row.verdict != "blessed":
        raise UnearnedError(f"{wanted.model} version {wanted.version} is not blessed by decision {decision}, so it is not promoted.")
    if changed := ledger.why_unbound(connection, decisions, id=decision):
        raise UnearnedError(f"{changed}, so {wanted.model} version {wanted.version} is not promoted.")
    if row.champion_version != serves:
        raise ChampionChangedError(
            f"{wanted.model} version {wanted.version} was judged against version {row.champion_version}, and {serves} serves now."
        )
    same = [decisions.c[name] == row._mapping[name] for name in ("run_key", "champion_version", "gate_digest")]
    if connection.execute(sa.select(sa.func.max(decisions.c.id)).where(*same)).scalar() != decision:
        raise ChampionChangedError(f"{wanted.model} version {wanted.version} was judged again since decision {decision}.")
    return serves


def _why_not_promoted(connection: sa.Connection, wanted: RegisteredVersion) -> Promotion | None:
    """What its promotion, or its roll-out, would come to, if not to itself."""
    if (outcome := _why_not_at_once(connection, wanted)) and outcome.promoted:
        return outcome
    if rollout := running_rollout(connection, wanted.model):
        if rollout.version == wanted.version:
            return _is_rolling_out(rollout)
        message = f"version {wanted.version} waits for the {rollout.name}, and is judged when that has ended"
        return Promotion(False, rollout.champion_version, message)
    if outcome is None and (refused := refusal(connection, wanted.model, wanted.version)):
        message = f"its {refused.strategy} was {refused.word}: {refused.because}; it can be forced, with a reason"
        return Promotion(False, champion_number(connection, wanted.model), f"version {wanted.version} is not promoted: {message}")
    return outcome


def _why_not_at_once(connection: sa.Connection, wanted: RegisteredVersion) -> Promotion | None:
    serves = champion_number(connection, wanted.model)
    if serves == wanted.version:
        return _champion_already(wanted)
    if why_not := why_not_blessed(connection, wanted) or why_not_approved(connection, wanted):
        raise UnearnedError(f"{why_not}, so it is not promoted.")
    current = version_within(connection, wanted.model, serves)
    message = _why_withdrawn(connection, wanted) or _why_older(current, wanted)
    if message:
        return Promotion(False, serves, f"{message}; it can be forced, with a reason")
    refuse_changed_pauses(connection)
    if pause := active_pause_within(connection):
        return Promotion(False, serves, f"version {wanted.version} is not promoted: {pause.message}")
    return None


def _roll_back(connection: sa.Connection, target: RegisteredVersion, *, actor: str, reason: str, request: str) -> Promotion:
    current = version_within(connection, target.model, champion_number(connection, target.model))
    if current and current.version == target.version:
        return _champion_already(target)
    place = find_place(connection, target.model, target.version)
    assert place is not None  # as the newest promotion is still the one that it was found by
    left = [row.version for row in reversed(line(connection, target.model)) if row.id > place.id]
    return _write(connection, current, target, kind="rollback", actor=actor, reason=reason, request=request, after=place.id,
                  evidence={"withdrawn": left})  # fmt: skip


def _is_done(connection: sa.Connection, model: str, request: str, *, kind: str) -> bool:
    """Whether this request has been carried out; an empty one tells nothing apart."""
    own = promotions.c
    same = (own.model == model, own.request == request, own.request != "", own.kind == kind)  # as the index on requests has it
    return bool(request) and connection.execute(promotions.select().where(*same).limit(1)).first() is not None


def _rollback_target(connection: sa.Connection, model: str, to: int | None, request: str) -> int:
    if _is_done(connection, model, request, kind="rollback"):
        return champion_number(connection, model)
    places: list[int] = [row.version for row in line(connection, model)]
    earlier = places[1:]
    if to is None:
        if not earlier:
            raise ConfigError(f"{model} has no earlier champion to roll back to. Promote a version by hand, or train another one.")
        return earlier[0]
    if to in places:
        return to
    allowed = ", ".join(map(str, reversed(earlier))) or "none"
    why = "was rolled back" if withdrawal(connection, model, to) else "never was champion"
    raise ConfigError(
        f"{model} cannot be rolled back to version {to}, which {why}; earlier champions: {allowed}. Promote it by hand instead."
    )


def _write(
    connection: sa.Connection, current: RegisteredVersion | None, wanted: RegisteredVersion, *, kind: str, actor: str, reason: str,
    evidence: dict[str, Any], request: str = "", after: int | None = None,
) -> Promotion:  # fmt: skip
    """The one place where a champion is made: the row, its place in the line, and its ledger entry; ``after`` as `take_place` has it."""
    record = {"model": wanted.model, "version": wanted.version, "as_of": wanted.as_of, "actor": actor, "reason": reason,
              "previous_version": current.version if current else NO_VERSION}  # fmt: skip
    new = promotions.insert().values(**record, kind=kind, request=request, promoted_at=clock.now()).returning(promotions.c.id)
    number = connection.execute(new).scalar_one()
    take_place(connection, number, model=wanted.model, version=wanted.version, after=after)
    if rollout := running_rollout(connection, wanted.model):
        state: State = "promoted" if rollout.version == wanted.version else "aborted"
        end_rollout(connection, rollout, state, f"{kind} of version {wanted.version} by {actor}: {reason}")
    ledger.bind(connection, promotions, {"id": number}, kind=kind, evidence={**evidence, "artifact_digest": wanted.artifact_digest})
    again = " again" if kind == "rollback" else ""
    message = f"version {wanted.version} ({wanted.semver}) as of {wanted.as_of} is champion{again}"
    return Promotion(True, wanted.version, f"{message}, replacing version {current.version}" if current else message)


def _is_rolling_out(rollout: Rollout) -> Promotion:
    whose = "scores in shadow" if rollout.strategy == "shadow" else f"serves {rollout.steps[-1]['share']:.0%} of the keys"
    since = rollout.steps[-1]["first"]
    message = f"version {rollout.version} is rolled out beside champion {rollout.champion_version} ({rollout.strategy}): it {whose} from "
    return Promotion(False, rollout.champion_version, f"{message}{since} on", is_rolling_out=True)


def _champion_already(version: RegisteredVersion) -> Promotion:
    return Promotion(True, version.version, f"version {version.version} ({version.semver}) is already champion")


def _why_withdrawn(connection: sa.Connection, wanted: RegisteredVersion) -> str:
    row = withdrawal(connection, wanted.model, wanted.version)
    return f"version {wanted.version} was rolled back by {row.actor} at {row.promoted_at:%Y-%m-%d %H:%M} UTC: {row.reason}" if row else ""


def _why_older(current: RegisteredVersion | None, wanted: RegisteredVersion) -> str:
    if current is None or current.as_of <= wanted.as_of:
        return ""
    return (
        f"version {wanted.version} as of {wanted.as_of} does not replace champion {current.version} "
        f"as of {current.as_of}, which was trained on newer data"
    )


def _show(model: str) -> None:
    """What follows a promotion, a rollback or a step of a roll-out, each time that it is asked for."""
    reconcile(model)
    with reading() as connection:
        unshown = unshown_rollout(connection, model)
    if unshown:
        with side_effect("promote.alias"), writing() as connection:
            note_shown(connection, unshown)
    champion_may_have_changed(model)
