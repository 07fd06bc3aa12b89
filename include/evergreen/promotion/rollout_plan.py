"""The plan of a roll-out: what model.yaml declares when it starts, by which it is decided however that is edited since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.evergreen.config import ModelConfig
from include.evergreen.config.gate import ChampionCriterion
from include.evergreen.foundation.errors import ConfigError


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
