"""Preview of the retraining rules: what each rule of a model would do now, and why. Nothing is fired."""

from __future__ import annotations

from dataclasses import dataclass

from include.evergreen.config import ModelConfig
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.monitoring import Rule
from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring.observations import Observation, list_observations, newest_live
from include.evergreen.monitoring.triggers.bounds import LEAST_OTHERS, Bounds, live_bounds
from include.evergreen.monitoring.triggers.firings import find_quiet
from include.evergreen.monitoring.triggers.rules import breaches_bound, counted, delay_of, evaluate, judged_on, lacking_labels, newest_count
from include.evergreen.state.database import reading
from include.evergreen.state.pauses import active_pause


@dataclass(frozen=True)
class RuleOutlook:
    """Whether a rule would fire now, and why, as a sentence without its full stop."""

    rule: str
    would_fire: bool
    message: str


def rule_outlooks(model: ModelConfig) -> list[RuleOutlook]:
    """What each rule would do now. Reads alone.

    :param model: the model as it is declared now
    :returns: one for each rule, in the order of the declaration; of those that would fire, the sensor would fire the first
    """
    return [_outlook(model, rule, _observed(model, rule)) for rule in model.retrain.rules]


def _observed(model: ModelConfig, rule: Rule) -> list[Observation]:
    """What the rule is judged on; where nothing is, what was observed by backfills."""
    observed = judged_on(model, rule)
    if observed or newest_live(model.name, rule.metric, rule.n, min_rows=rule.min_rows):  # which are a predecessor's
        return observed
    return list_observations(model.name, rule.metric)


def _outlook(model: ModelConfig, rule: Rule, observed: list[Observation]) -> RuleOutlook:
    bounds = live_bounds(model.name, rule)
    evidence = evaluate(rule, observed, model.calendar, bounds, delay_of(model, rule.metric))
    if evidence is None:
        return RuleOutlook(rule.name, False, f"rule {rule.name} would not fire: {_why_not(rule, observed, model.calendar, bounds)}")
    if held := _held_back(model, evidence.as_of):
        return RuleOutlook(rule.name, False, f"rule {evidence.message} trips, and would not fire: {held}")
    return RuleOutlook(rule.name, True, f"rule {evidence.message} would fire a training as of {evidence.as_of}")


def _why_not(rule: Rule, observed: list[Observation], calendar: Calendar, bounds: Bounds) -> str:
    newest = counted(rule, observed, calendar)
    if not newest:
        if any(observation.origin == "live" for observation in observed):
            return f"{rule.metric} has no observation over at least {rule.min_rows} rows"
        return f"{rule.metric} has {'backfilled observations alone' if observed else 'no observation yet'}"
    limits = [bounds(observation) for observation in newest]
    if limits[-1] is None and rule.is_learned:
        return f"it learns its bound from {LEAST_OTHERS} other windows of version {newest[-1].version} at least, and there are fewer yet"
    if limits[-1] is None:
        return f"version {newest[-1].version} had no figure above 0 of {rule.metric} at promotion"
    breaches = [breaches_bound(rule, observation.value, limit) for observation, limit in zip(newest, limits, strict=True)]
    last = f"the newest is {newest[-1].value:.3f} ({newest[-1].partition})"
    if rule.is_learned or rule.relative_to:
        last += f" against {limits[-1]:.3f}"
    if sum(breaches) >= rule.k:
        return f"{sum(breaches)} of the last {len(newest)} breach, but {last} and does not"
    return f"{sum(breaches)} of the last {len(newest)} breach, and it takes {rule.k}; {last}"


def _held_back(model: ModelConfig, as_of: Partition) -> str:
    """What keeps a rule that trips from firing; empty when nothing does."""
    if pause := active_pause():
        return pause.message
    with reading() as connection:
        quiet = find_quiet(connection, model)
    if quiet is not None and as_of <= quiet.until:
        return quiet.because
    return lacking_labels(model, newest_count(model))
