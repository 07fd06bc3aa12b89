"""When the rules of a model would have fired, on what is recorded: to choose thresholds before they train anything or wake anybody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from include.evergreen.config import ModelConfig
from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring.observations import Observation
from include.evergreen.monitoring.triggers.quiet import LOOKED_AT, quiet_after
from include.evergreen.monitoring.triggers.rules import delay_of, evaluate


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

    Backfilled observations count as live ones do: they are all that there is before a model goes live. As in life, a rule is judged on
    figures of one version, and the first rule that trips fires.

    :param model: the model as it is declared now; its ``retrain`` counts
    :param observed: observations of the model, in any order, at most one for a metric and a partition
    :returns: the days on which a rule tripped, oldest first; at most one rule a day
    """
    by_day: dict[Partition, dict[str, Observation]] = defaultdict(dict)
    for observation in observed:
        known_on = model.grain.plus_days(observation.partition, delay_of(model, observation.metric))
        by_day[known_on][observation.metric] = replace(observation, origin="live")
    tripped: list[Replayed] = []
    fired: list[Partition] = []  # newest first
    seen: dict[str, list[Observation]] = {rule.name: [] for rule in model.retrain.rules}
    for partition in sorted(by_day):
        for rule in model.retrain.rules:
            newest = by_day[partition].get(rule.metric)
            if newest is None or newest.rows < rule.min_rows:
                continue
            of_rule = seen[rule.name]
            if of_rule and of_rule[-1].version != newest.version:
                of_rule.clear()
            of_rule.append(newest)
            del of_rule[: -rule.n]
        trips = (
            evaluate(rule, seen[rule.name], model.grain, delay_of(model, rule.metric))
            for rule in model.retrain.rules
            if rule.metric in by_day[partition]
        )
        evidence = next((trip for trip in trips if trip is not None and trip.as_of == partition), None)
        if evidence is None:
            continue
        quiet = quiet_after(model.retrain, fired[:LOOKED_AT], model.grain)
        held_until = quiet.until if quiet is not None and partition <= quiet.until else None
        tripped.append(Replayed(partition, evidence.rule, evidence.message, held_until))
        if held_until is None:
            fired.insert(0, partition)
    return tripped
