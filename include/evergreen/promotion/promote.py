"""Automatic promotion, from a blessed candidate to champion; shared by the nightly tasks and `run`."""

from __future__ import annotations

import logging
from functools import partial

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import TransientError
from include.evergreen.gates.decide import decide
from include.evergreen.gates.decision import COMPARISON, Decision
from include.evergreen.promotion.cards import ensure_card
from include.evergreen.promotion.rollout_plan import rolled_back_key, rollout_plan
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import newest_answer, why_ask
from include.evergreen.registry.champions import ChampionChangedError, Promotion, RegisteredVersion
from include.evergreen.registry.history import champion_number
from include.evergreen.registry.versions import why_not_approved
from include.evergreen.state.alerts import resolve_alert
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import promotions
from include.evergreen.training.candidate import find_candidate
from include.evergreen.training.recipes import recipe_of_version

log = logging.getLogger(__name__)
MOST_DECISIONS = 5  # against champions that change while the gate decides


def register_candidate(catalog: Catalog, model: ModelConfig, run_key: str) -> RegisteredVersion:
    """Register a blessed candidate, with its model card and whether it needs approval; a repetition finds it and completes the card.

    Passes on `champions.UnearnedError`, and raises the alert, when the gate did not bless it.

    :param catalog: what is declared now
    :param model: the model as it is declared now; ``approval`` says whether a person must agree
    :param run_key: the key of the candidate's training
    :returns: the version, registered now or before; it is shown as challenger
    """
    version = champions.register(model.name, run_key, why_ask=partial(why_ask, model))
    ensure_card(catalog, model, version)
    champions.show_challenger(model.name)
    return version


def awaits_approval(version: RegisteredVersion) -> str:
    """Why a version still waits for approval.

    :param version: a registered version
    :returns: the reason, without a full stop; empty when it needs none, or has it
    """
    with reading() as connection:
        return why_not_approved(connection, version)


def promote_blessed(catalog: Catalog, model: ModelConfig, version: int, *, actor: str, reason: str) -> Promotion:
    """The automatic promotion of a registered version: by a decision against the champion of now, which is made if there is none yet.

    Where model.yaml asks for a roll-out, that is started instead, unless there is no champion to compare with. The outcome says what
    keeps it from serving: a pause, a rollback that withdrew it, a champion trained on newer data, a roll-out that runs or that refused it,
    the gate's word against a champion that came since, or that it was champion before and a person replaced it. Passes on
    `champions.UnearnedError`, and raises the alert, when our database has no blessing or not the approval that is required, whatever
    Airflow's states say. Safe to repeat, and to be killed at any point.

    :param catalog: what is declared now, for the gate
    :param model: the model as it is declared now
    :param version: the number of the registered version
    :param actor: who is recorded as promoting it
    :param reason: why, for the ledger
    :returns: whether it was promoted, the version that serves now, and why or why not
    :raises TransientError: the champion changed `MOST_DECISIONS` times while the gate decided
    """
    wanted = champions.version_number(model.name, version)
    for _ in range(MOST_DECISIONS):
        if outcome := champions.why_not_promoted(wanted) or _done_before(wanted):
            champions.reconcile(model.name)  # it may be champion since a promotion that was killed before the alias
            log.info("%s: %s", model.name, outcome.message)
            return outcome
        decision = decide(catalog, model, find_candidate(wanted.run_key))
        if decision.verdict != "blessed":
            message = f"version {version} was blessed, but not against the current champion {decision.champion_version}: {decision.summary}"
            return Promotion(False, decision.champion_version, message)
        try:
            return _take_place(catalog, model, wanted, decision, actor=actor, reason=reason)
        except ChampionChangedError as error:
            log.info("%s It is judged again.", error)
    raise TransientError(f"{model.name}: its champion changed {MOST_DECISIONS} times while version {version} was judged. Try again later.")


def _take_place(
    catalog: Catalog, model: ModelConfig, wanted: RegisteredVersion, decision: Decision, *, actor: str, reason: str
) -> Promotion:
    """Promote at once, or start the roll-out that model.yaml asks for. A champion that cannot be computed is replaced at once."""
    is_broken = any(criterion["kind"] == COMPARISON for criterion in decision.criteria)
    if not model.rollout.steps or decision.champion_version == champions.NO_VERSION or is_broken:
        return champions.promote_judged(wanted, decision.id, actor=actor, reason=reason)
    if why_not := _why_incomparable(catalog, model, wanted, champions.version_number(model.name, decision.champion_version)):
        return Promotion(False, decision.champion_version, why_not)
    plan = rollout_plan(model)
    outcome = champions.start_rollout(wanted, decision.id, model.rollout.strategy, plan, grain=model.grain, actor=actor, reason=reason)
    if outcome.is_rolling_out:
        resolve_alert(rolled_back_key(model.name))
    return outcome


def _why_incomparable(catalog: Catalog, model: ModelConfig, wanted: RegisteredVersion, serves: RegisteredVersion) -> str:
    theirs, ours = (recipe_of_version(catalog, model, version).config(model) for version in (serves, wanted))
    asked = zip(("target", "rows", "task"), theirs.asks_the_same, ours.asks_the_same, strict=True)
    other = [name for name, of_theirs, of_ours in asked if of_theirs != of_ours]
    if not other:
        return ""
    return (
        f"version {wanted.version} is not rolled out: its {' and '.join(other)} {'are' if len(other) > 1 else 'is'} not that of champion "
        f"{serves.version}, so nothing compares them; a person may promote it"
    )


def _done_before(wanted: RegisteredVersion) -> Promotion | None:
    """Why a version that is champion no more is not promoted once more: that was done, and only a person's approval since may repeat it."""
    own = (promotions.c.model == wanted.model, promotions.c.version == wanted.version)
    with reading() as connection:
        before = connection.execute(promotions.select().where(*own).order_by(promotions.c.id.desc()).limit(1)).first()
        answer = newest_answer(connection, wanted.model, wanted.version)
        serves = champion_number(connection, wanted.model)
    if before is None or (answer and answer.verdict == "approved" and answer.recorded_at > before.promoted_at):
        return None
    message = f"version {wanted.version} was promoted by {before.actor} at {before.promoted_at:%Y-%m-%d %H:%M} UTC, and replaced since"
    return Promotion(False, serves, f"{message}; a person may promote it again")
