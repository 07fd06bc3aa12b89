"""The plan of a roll-out: what model.yaml declares when it starts, by which it is decided however that is edited since."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from include.evergreen.config import ModelConfig
from include.evergreen.config.gate import ChampionCriterion
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.gates.criteria import CriterionResult, compare_versions
from include.evergreen.gates.scored import Scored

LEAST_DAYS = 2  # that can be compared
EARLY_SHARE = 0.2  # of the chance of a mistake in a step of a canary, for the looks before its end


@dataclass(frozen=True)
class RolloutPlan:
    """``shares`` of the keys, one for each step; ``partitions`` that each takes; how the gate compares with the champion."""

    shares: tuple[float, ...]
    partitions: int
    criterion: ChampionCriterion
    resample: str
    resamples: int

    @classmethod
    def read(cls, plan: dict[str, Any]) -> RolloutPlan:
        """Read the plan as a roll-out's record has it.

        :param plan: what `rollout_plan` made
        :returns: the plan
        """
        return cls(**{**plan, "shares": tuple(plan["shares"]), "criterion": ChampionCriterion.model_validate(plan["criterion"])})

    def canary_criterion(self, count: int) -> ChampionCriterion:
        """Say how a canary is compared at a look: to be worse by no more than the gate's margin.

        The gate's chance of a mistake is shared out among all looks at all steps (Bonferroni): of a step, its end has four fifths, and the
        looks before it share the rest.

        :param count: the number of the step's days that are looked at
        :returns: the criterion
        """
        of_step = (1 - self.criterion.confidence) / len(self.shares)
        early = max(self.partitions - LEAST_DAYS, 0)
        chance = of_step * (1.0 if not early else EARLY_SHARE / early if count < self.partitions else 1 - EARLY_SHARE)
        tolerated = self.criterion.margin if self.criterion.must == "not_worse" else 0.0
        return self.criterion.model_copy(update={"must": "not_worse", "margin": tolerated, "confidence": 1 - chance})


def judge_canary(criterion: ChampionCriterion, version: Scored, champion: Scored) -> tuple[CriterionResult, bool]:
    """Look at a canary: it goes on unless the version is worse beyond chance, and beyond the margin.

    :param criterion: as `RolloutPlan.canary_criterion` gives it
    :param version: the rows that it served
    :param champion: the other rows of the same days
    :returns: the comparison, and whether the version is rolled back for it; never where it is not evaluated
    """
    result = compare_versions(criterion, version, champion, "the champion's on the other keys", is_one_of_many=True)
    if result.interval is None or result.verdict != "failed":
        return result, False
    sign = version.measures.metric(criterion.metric).sign
    most_gained = result.interval[1] if sign > 0 else -result.interval[0]
    if most_gained < 0:
        return result, True
    beyond_chance = f"; its other bound is {sign * most_gained:+.4f}, so it is not worse beyond chance"
    return replace(result, message=result.message + beyond_chance), False


def rollout_plan(model: ModelConfig) -> dict[str, Any]:
    """Make the plan of a roll-out that starts now.

    :param model: the model as it is declared now
    :returns: a JSON document, with the fields of `RolloutPlan` by name
    :raises ConfigError: when no criterion of the gate compares with the champion
    """
    criterion = model.gate.against_champion
    if criterion is None:
        raise ConfigError(
            f"{model.name}: rollout.strategy {model.rollout.strategy} compares with the champion, and no criterion of the gate says how; "
            f"add one of kind champion to gate.criteria."
        )
    return {
        "shares": list(model.rollout.steps),
        "partitions": model.rollout.partitions,
        "criterion": criterion.model_dump(mode="json"),
        "resample": model.gate.resample,
        "resamples": model.gate.resamples,
    }


def rolled_back_key(model: str) -> str:
    """Name the alert that a roll-out was rolled back.

    :param model: name of the model
    :returns: the alert's key
    """
    return f"rollout/{model}/rolled-back"


def undecided_key(model: str) -> str:
    """Name the alert that a roll-out cannot be decided.

    :param model: name of the model
    :returns: the alert's key
    """
    return f"rollout/{model}"
