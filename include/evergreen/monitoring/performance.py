"""Realised and estimated performance side by side, for pages and the command line."""

from __future__ import annotations

from dataclasses import dataclass, replace

from include.evergreen.config.metrics import CONCEPT_DRIFT, ESTIMATED, PERFORMANCE, is_sliced
from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring.estimates.concept_drift import SUSPECTED
from include.evergreen.monitoring.observations import Observation, list_observations, newest_observed
from include.evergreen.registry import champions


@dataclass(frozen=True)
class MetricOfDay:
    """One metric of one day: ``realised`` is there once labels have come; the others where it is estimated."""

    name: str
    realised: float | None = None
    estimated: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class PerformanceOfDay:
    """Performance of the window that ``partition`` ends, by ``version``; its first metrics are those that its gate names."""

    partition: Partition
    version: int
    metrics: tuple[MetricOfDay, ...]
    concept_drift: float | None

    @property
    def is_concept_drift_suspected(self) -> bool:
        """Whether the realised performance is not what the features explain."""
        return self.concept_drift is not None and self.concept_drift > SUSPECTED


def recent_performance(model: str, count: int) -> list[PerformanceOfDay]:
    """List the performance of the partitions that were observed last.

    :param model: its name, as in ``include/models``
    :param count: how many partitions at most
    :returns: newest first; without those of which nothing is realised or estimated
    """
    days = newest_observed(model, count)
    if not days:
        return []
    observed: dict[Partition, list[Observation]] = {day: [] for day in days}
    for observation in list_observations(model, first=days[-1], last=days[0]):
        observed[observation.partition].append(observation)
    performance = [_of_day(day, observed[day]) for day in days]
    return [each for each in performance if each.metrics]


def _of_day(day: Partition, observed: list[Observation]) -> PerformanceOfDay:
    expected = {each.metric.removeprefix(ESTIMATED): each for each in observed if each.metric.startswith(ESTIMATED)}
    estimates = {name: MetricOfDay(name, estimated=each.value, low=each.low, high=each.high) for name, each in expected.items()}
    whole = [each for each in observed if each.metric.startswith(PERFORMANCE) and not is_sliced(each.metric)]
    realised = {each.metric.removeprefix(PERFORMANCE): each.value for each in whole}
    drift = next((each.value for each in observed if each.metric == CONCEPT_DRIFT), None)
    version = observed[0].version
    known = dict.fromkeys(champions.version_number(observed[0].model, version).metrics)  # those that its gate names first
    names = [name for name in known | dict.fromkeys(sorted(realised | estimates)) if name in realised or name in estimates]
    metrics = [replace(estimates.get(name, MetricOfDay(name)), realised=realised.get(name)) for name in names]
    return PerformanceOfDay(day, version, tuple(metrics), drift)
