"""When the rules of a model would have fired, on what is recorded: to choose thresholds before they train anything or wake anybody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from include.evergreen.config import ModelConfig
from include.evergreen.config.metrics import NEW_LABELS, NEW_ROWS, TRAINING_AGE
from include.evergreen.config.monitoring import Rule
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.monitoring.observations import Observation
from include.evergreen.monitoring.triggers.bounds import bounds_of
from include.evergreen.monitoring.triggers.quiet import LOOKED_AT, quiet_after
from include.evergreen.monitoring.triggers.rules import delay_of, evaluate, lacking_labels


@dataclass(frozen=True)
class Replayed:
    """A day on which a rule tripped: that of the newest figure, or, of one that comes late, the first on which it can be there.

    ``held_until`` is until when earlier firings kept it from firing; None: it fired.
    """

    partition: Partition
    rule: str
    message: str
    held_until: Partition | None


def replay_rules(model: ModelConfig, observed: Sequence[Observation]) -> list[Replayed]:
    """Evaluate the model's rules after each observed day, as if every training that they fire had succeeded and was blessed.

    What is counted from the last training on is counted from one that is fired here. A rule that waits for labels fires when they come.
    Backfilled observations count as live ones do: they are all that there is before a model goes live. As in life, a rule is judged on
    figures of one version, and the first rule that trips fires.

    :param model: the model as it is declared now; its ``retrain`` counts
    :param observed: observations of the model, in any order, at most one for a metric and a partition
    :returns: the days on which a rule tripped, oldest first; at most one rule a day
    """
    by_day: dict[Partition, dict[str, Observation]] = defaultdict(dict)
    for observation in observed:
        known_on = model.calendar.plus(observation.partition, delay_of(model, observation.metric))
        by_day[known_on][observation.metric] = replace(observation, origin="live")
    recorded = dict(by_day)
    tripped: list[Replayed] = []
    fired: list[Partition] = []  # newest first
    trained: _Trained | None = None
    waits, labels = False, None  # whether a rule that tripped waits for labels, and their newest count
    seen: dict[str, list[Observation]] = {rule.name: [] for rule in model.retrain.rules}
    first: dict[str, list[Observation]] = {rule.name: [] for rule in model.retrain.rules}
    bounds = {rule.name: bounds_of(model.name, rule, partial(_of_version, first[rule.name])) for rule in model.retrain.rules}
    for partition in sorted(by_day):
        if trained is not None:
            by_day[partition] = trained.since(by_day[partition])
        for rule in model.retrain.rules:
            newest = by_day[partition].get(rule.metric)
            if newest is None or newest.rows < rule.min_rows:
                continue
            of_rule = seen[rule.name]
            if of_rule and of_rule[-1].version != newest.version:
                of_rule.clear()
            of_rule.append(newest)
            del of_rule[: -rule.n]
            if rule.is_learned and len(_of_version(first[rule.name], newest.version)) < rule.learn_from:
                first[rule.name].append(newest)
        evidences = [
            trip
            for rule in model.retrain.rules
            if (waits or rule.metric in by_day[partition])
            and (trip := evaluate(rule, seen[rule.name], model.calendar, bounds[rule.name], delay_of(model, rule.metric)))
            and (waits or trip.as_of == partition)
        ]
        labels = by_day[partition].get(NEW_LABELS, labels)
        quiet = quiet_after(model.retrain, fired[:LOOKED_AT], model.calendar)
        free = next((trip for trip in evidences if quiet is None or trip.as_of > quiet.until), None)
        waits = free is not None and bool(lacking_labels(model, labels))
        if free is not None and not waits:
            tripped.append(Replayed(free.as_of, free.rule, free.message, None))
            fired.insert(0, free.as_of)
            trained = _Trained(model.grain, free.as_of, recorded[free.as_of])
        elif free is None and quiet is not None:
            tripped += [Replayed(partition, trip.rule, trip.message, quiet.until) for trip in evidences if trip.as_of == partition][:1]
    return tripped


def replayed_bounds(model: ModelConfig, rule: Rule, observed: Sequence[Observation]) -> list[float | None]:
    """Say what each observation of a rule is compared with on the day on which it is recorded, for a picture.

    :param model: the model as it is declared now
    :param rule: one of its rules
    :param observed: observations of the rule's metric, oldest first
    :returns: the bound of each; None while there is none
    """
    first: list[Observation] = []
    bounds, found = bounds_of(model.name, rule, partial(_of_version, first)), []
    for observation in observed:
        if len(_of_version(first, observation.version)) < rule.learn_from and observation.rows >= rule.min_rows:
            first.append(observation)
        found.append(bounds(observation))
    return found


@dataclass(frozen=True)
class _Trained:
    """A training that was fired in the replay, and what was observed on that day, as it is recorded."""

    grain: Grain
    as_of: Partition
    then: dict[str, Observation]

    def since(self, observed: dict[str, Observation]) -> dict[str, Observation]:
        """Change what is observed of a later day as if it had been: what is counted from the last training on is counted from there.

        :param observed: the day's observations, by metric
        :returns: the same, with another age and other counts, unless the model was really trained since
        """
        age = observed.get(TRAINING_AGE)
        if age is None:
            return observed
        days = (self.grain.start(age.partition) - self.grain.start(self.as_of)).total_seconds() / 86_400
        if age.value <= days:  # the model was really trained later
            return observed
        changed = {TRAINING_AGE: replace(age, value=days)}
        for name in (NEW_ROWS, NEW_LABELS):
            if name in observed and name in self.then:
                changed[name] = replace(observed[name], value=max(0.0, observed[name].value - self.then[name].value))
        return {**observed, **changed}


def _of_version(observed: Sequence[Observation], version: int) -> list[Observation]:
    return [observation for observation in observed if observation.version == version]
