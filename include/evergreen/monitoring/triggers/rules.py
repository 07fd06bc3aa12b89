"""Evaluates retraining rules: a rule trips when k of the last n observations breach, the newest among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.evergreen.config import ModelConfig
from include.evergreen.config.models import Rule
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.monitoring.observations import Observation, newest_live, newest_live_version


@dataclass(frozen=True)
class RuleEvidence:
    """The observations that a rule was judged on, oldest first, and which of them breach."""

    rule: str
    metric: str
    bound: float
    observations: list[dict[str, Any]]
    as_of: Partition
    version: int

    @property
    def message(self) -> str:
        """The rule and the figures that breach it, for people and the ledger."""
        figures = [f"{figure['partition']}: {figure['value']:.3f}" for figure in self.observations if figure["breaches"]]
        return f"{self.rule}: {', '.join(figures)}"


def judged_on(model: ModelConfig, rule: Rule) -> list[Observation]:
    """Look up what a rule is judged on: the newest live observations of one version.

    Of figures that come late it is the version that is observed now, and none when its own have not come: else a new champion would be
    judged by its predecessor's for weeks.

    :param model: the model as it is declared now
    :param rule: one of its rules
    :returns: observations of the rule's metric, oldest first, at most the rule's n
    """
    observed = newest_live(model.name, rule.metric, rule.n, min_rows=rule.min_rows)
    if observed and delay_of(model, rule.metric) and observed[-1].version != newest_live_version(model.name):
        return []
    return observed


def delay_of(model: ModelConfig, metric: str) -> int:
    """Say how long after its partition a figure can first be observed: of performance, not before the labels are mature.

    :param model: the model as it is declared now
    :param metric: the whole name of an observation
    :returns: the days from the partition to that from which on the figure may be there
    """
    return model.target.within_days if metric.startswith("performance.") else 0


def evaluate(rule: Rule, observed: list[Observation], grain: Grain, delay: int = 0) -> RuleEvidence | None:
    """Tell whether a rule trips.

    Only live observations of the version that is observed now count: backfills fire nothing, and a new champion is not
    judged by its predecessor's figures.

    :param rule: as model.yaml declares it
    :param observed: observations of the rule's metric, oldest first, of any version and origin
    :param grain: that of the model
    :param delay: as `delay_of` says: the evidence is as of the day on which it can be there, and so is the training that it fires
    :returns: the evidence when it trips, else None
    """
    newest = counted(rule, observed, grain)
    breaches = [breaches_bound(rule, observation.value) for observation in newest]
    if not newest or not breaches[-1] or sum(breaches) < rule.k:
        return None
    bound = rule.above if rule.above is not None else rule.below
    assert bound is not None
    figures = [
        {"partition": observation.partition, "value": observation.value, "rows": observation.rows, "breaches": breach}
        for observation, breach in zip(newest, breaches, strict=True)
    ]
    return RuleEvidence(rule.name, rule.metric, bound, figures, grain.plus_days(newest[-1].partition, delay), newest[-1].version)


def counted(rule: Rule, observed: list[Observation], grain: Grain) -> list[Observation]:
    """Choose the observations that a rule is judged on: live ones over enough rows, of the version that was observed last.

    :param rule: as model.yaml declares it; its ``within_days`` are counted back from the newest of them
    :param observed: observations of the rule's metric, oldest first, of any version and origin
    :param grain: that of the model
    :returns: at most the rule's n, oldest first; empty when there is none
    """
    live = [observation for observation in observed if observation.origin == "live" and observation.rows >= rule.min_rows]
    same = [observation for observation in live if observation.version == live[-1].version][-rule.n :]
    if rule.within_days is None or not same:
        return same
    before = grain.plus_days(same[-1].partition, -rule.within_days)
    return [observation for observation in same if observation.partition > before]


def breaches_bound(rule: Rule, value: float) -> bool:
    """Whether a value is beyond the bound of a rule.

    :param rule: as model.yaml declares it: with ``above`` or ``below``
    :param value: in the unit of the rule's metric; on the bound it is not beyond it
    :returns: whether it is
    """
    if rule.above is not None:
        return value > rule.above
    assert rule.below is not None
    return value < rule.below
