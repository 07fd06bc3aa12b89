"""From a blessed candidate to a champion, by itself: what the night's tasks and the laptop's cycle both do."""

from __future__ import annotations

import logging

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import TransientError
from include.evergreen.gates import decide
from include.evergreen.promotion.cards import ensure_card
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import why_ask
from include.evergreen.registry.champions import ChampionChangedError, Promotion, RegisteredVersion
from include.evergreen.registry.versions import why_not_approved
from include.evergreen.state.database import reading
from include.evergreen.training import find_candidate

log = logging.getLogger(__name__)
MOST_DECISIONS = 5  # against champions that change while the gate decides


def register_candidate(catalog: Catalog, model: ModelConfig, run_key: str) -> RegisteredVersion:
    """Register a blessed candidate, with its model card, and whether a person must approve it; again finds it, and mends the card.

    Raises `champions.UnearnedError`, and the alert, when the gate did not bless it.
    """

    def asked(semver: str, is_first: bool, criteria: list[dict[str, object]]) -> str:
        return why_ask(model, semver=semver, is_first=is_first, criteria=criteria)

    version = champions.register(model.name, run_key, why_ask=asked)
    ensure_card(catalog, model, version)
    champions.show_challenger(model.name)
    return version


def awaits_approval(version: RegisteredVersion) -> str:
    """What a version that needs a person's approval lacks, in words; empty when it needs none, or has it."""
    with reading() as connection:
        return why_not_approved(connection, version)


def promote_blessed(catalog: Catalog, model: ModelConfig, version: int, *, actor: str, reason: str) -> Promotion:
    """The automatic promotion of a registered version: by a decision against the champion of now, which is made if there is none yet.

    The outcome says what keeps it from serving: a pause, a roll-back that withdrew it, a champion that knows more, the gate's word
    against a champion that came since. Raises `champions.UnearnedError`, and the alert, when our database has no blessing or not the
    approval that is required, whatever Airflow's states say. Safe to repeat, and to be killed at any point.
    """
    wanted = champions.version_number(model.name, version)
    for _ in range(MOST_DECISIONS):
        if found := champions.obstacle(wanted):
            champions.reconcile(model.name)  # it may be champion since a promotion that was killed before the alias
            log.info("%s: %s", model.name, found.words)
            return found
        decision = decide(catalog, model, find_candidate(wanted.run_key))
        if decision.verdict != "blessed":
            words = f"version {version} was blessed, but not against champion {decision.champion_version}: {decision.brief}"
            return Promotion(False, decision.champion_version, words)
        try:
            return champions.promote_judged(wanted, decision.id, actor=actor, reason=reason)
        except ChampionChangedError as error:
            log.info("%s It is judged again.", error)
    raise TransientError(f"{model.name}: its champion changed {MOST_DECISIONS} times while version {version} was judged. Try again later.")
