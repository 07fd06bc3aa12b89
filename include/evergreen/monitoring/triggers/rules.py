"""Evaluates retraining rules: a rule trips when k of the last n observations breach, the newest among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.evergreen.config import ModelConfig
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.metrics import NEW_LABELS
from include.evergreen.config.monitoring import Rule
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import NO_SPAN, Span
from include.evergreen.monitoring.observations import Observation, newest_live, newest_live_version
from include.evergreen.monitoring.triggers.bounds import Bounds


@dataclass(frozen=True)
class RuleEvidence:
    """The observations that a rule was judged on, oldest first, and which of them breach; ``bound`` is that of the newest.

    Where each has a bound of its own, it stands beside its value.
    """

    rule: str
    metric: str
    bound: float
    observations: list[dict[str, Any]]
    as_of: Partition
    version: int

    @property
    def message(self) -> str:
        """The rule and the figures that breach it, for people and the ledger."""
        figures = [
            f"{figure['partition']}: {figure['value']:.3f}" + (f" (bound {figure['bound']:.3f})" if "bound" in figure else "")
            for figure in self.observations
            if figure["breaches"]
        ]
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


def delay_of(model: ModelConfig, metric: str) -> Span:
    """Say how long after its partition a figure can first be observed: of performance, not before the labels are mature.

    :param model: the model as it is declared now
    :param metric: the whole name of an observation
    :returns: how long after its partition the figure may be there
    """
    return model.target.within if metric.startswith("performance.") else NO_SPAN


def evaluate(rule: Rule, observed: list[Observation], calendar: Calendar, bounds: Bounds, delay: Span = NO_SPAN) -> RuleEvidence | None:
    """Tell whether a rule trips.

    Only live observations of the version that is observed now count: backfills fire nothing, and a new champion is not
    judged by its predecessor's figures.

    :param rule: as model.yaml declares it
    :param observed: observations of the rule's metric, oldest first, of any version and origin
    :param calendar: that of the model
    :param bounds: what each observation is compared with
    :param delay: as `delay_of` says: the evidence is as of the day on which it can be there, and so is the training that it fires
    :returns: the evidence when it trips, else None
    """
    newest = counted(rule, observed, calendar)
    limits = [bounds(observation) for observation in newest]
    breaches = [breaches_bound(rule, observation.value, limit) for observation, limit in zip(newest, limits, strict=True)]
    if not newest or not breaches[-1] or sum(breaches) < rule.k:
        return None
    assert limits[-1] is not None
    own = rule.is_learned or rule.relative_to is not None
    figures = [
        {"partition": observation.partition, "value": observation.value, "rows": observation.rows, "breaches": breach}
        | ({"bound": limit} if own and limit is not None else {})
        for observation, limit, breach in zip(newest, limits, breaches, strict=True)
    ]
    return RuleEvidence(rule.name, rule.metric, limits[-1], figures, calendar.plus(newest[-1].partition, delay), newest[-1].version)


def counted(rule: Rule, observed: list[Observation], calendar: Calendar) -> list[Observation]:
    """Choose the observations that a rule is judged on: live ones over enough rows, of the version that was observed last.

    :param rule: as model.yaml declares it; its ``within`` is counted back from the newest of them
    :param observed: observations of the rule's metric, oldest first, of any version and origin
    :param calendar: that of the model
    :returns: at most the rule's n, oldest first; empty when there is none
    """
    live = [observation for observation in observed if observation.origin == "live" and observation.rows >= rule.min_rows]
    same = [observation for observation in live if observation.version == live[-1].version][-rule.n :]
    if rule.within is None or not same:
        return same
    first = calendar.first_of(same[-1].partition, rule.within)
    return [observation for observation in same if observation.partition >= first]


def breaches_bound(rule: Rule, value: float, bound: float | None) -> bool:
    """Whether a value is beyond a bound of a rule.

    :param rule: as model.yaml declares it: with ``above`` or ``below``
    :param value: in the unit of the rule's metric; on the bound it is not beyond it
    :param bound: in the same unit; None: there is none, and nothing is beyond it
    :returns: whether it is
    """
    if bound is None:
        return False
    return value > bound if rule.above is not None else value < bound


def newest_count(model: ModelConfig) -> Observation | None:
    """Look up how many rows of labels have come since the last training.

    :param model: the model as it is declared now
    :returns: the newest live observation of it; None when there is none, or no rule waits for any
    """
    if model.retrain.min_new_labels is None:
        return None
    return next(iter(newest_live(model.name, NEW_LABELS, 1)), None)


def lacking_labels(model: ModelConfig, counted: Observation | None) -> str:
    """Say what keeps the rules of a model from firing while too few labels are new.

    :param model: the model as it is declared now; ``retrain.min_new_labels`` counts
    :param counted: the newest observation of how many there are; None: an earlier release counted none, and nothing is kept from firing
    :returns: a sentence without its full stop; empty when there are enough
    """
    least = model.retrain.min_new_labels
    if least is None or counted is None or counted.value >= least:
        return ""
    return f"{counted.value:g} of the {least} rows of labels (min_new_labels) have come since the last training, as of {counted.partition}"
