"""Whether a rule has tripped: k of the last n observations breach, the newest among them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from include.evergreen.config.models import Rule
from include.evergreen.monitoring.observations import Observation


@dataclass(frozen=True)
class Evidence:
    """The observations that a rule was judged on, oldest first, and which of them breach."""

    rule: str
    metric: str
    bound: float
    observations: list[dict[str, Any]]
    as_of: dt.date
    version: int

    @property
    def words(self) -> str:
        breaching = [each for each in self.observations if each["breaches"]]
        figures = ", ".join(f"{each['partition']}: {each['value']:.3f}" for each in breaching)
        return f"{self.rule}: {figures}"


def evaluate(rule: Rule, observed: list[Observation]) -> Evidence | None:
    """The evidence when ``rule`` trips on ``observed`` (one metric, oldest first), else None.

    Only live observations of the version that is observed now count: backfills fire nothing, and a new champion is not
    judged by its predecessor's figures.
    """
    newest = counted(rule, observed)
    breaches = [breaches_bound(rule, each.value) for each in newest]
    if not newest or not breaches[-1] or sum(breaches) < rule.k:
        return None
    bound = rule.above if rule.above is not None else rule.below
    assert bound is not None
    figures = [
        {"partition": each.partition.isoformat(), "value": each.value, "rows": each.rows, "breaches": breach}
        for each, breach in zip(newest, breaches, strict=True)
    ]
    return Evidence(rule.name, rule.metric, bound, figures, newest[-1].partition, newest[-1].version)


def counted(rule: Rule, observed: list[Observation]) -> list[Observation]:
    """The observations that ``rule`` is judged on, at most its n, oldest first."""
    live = [each for each in observed if each.origin == "live"]
    return [each for each in live if each.version == live[-1].version][-rule.n :]


def breaches_bound(rule: Rule, value: float) -> bool:
    if rule.above is not None:
        return value > rule.above
    assert rule.below is not None
    return value < rule.below
