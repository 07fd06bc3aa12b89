"""The texts of the table of a model's recent performance, realised and estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evergreen_airflow.ui.versions import METRICS_SHOWN, Tone

if TYPE_CHECKING:
    from include.evergreen.monitoring.performance import MetricOfDay, PerformanceOfDay

DAYS_SHOWN = 7
ABSENT = "not yet"


@dataclass(frozen=True)
class MetricView:
    """One metric of a day, each figure as text."""

    name: str
    realised: str
    estimated: str
    interval: str


@dataclass(frozen=True)
class PerformanceView:
    """One day, as some rows of the table.

    :param day: its performance
    """

    day: PerformanceOfDay

    @property
    def absent(self) -> str:
        """What stands in place of a realised figure before labels have come."""
        return ABSENT

    @property
    def metrics(self) -> list[MetricView]:
        """The first metrics."""
        return [_view(metric) for metric in self.day.metrics[:METRICS_SHOWN]]

    @property
    def compared(self) -> tuple[Tone, str]:
        """Tone and words of how realised and estimated performance agree."""
        if self.day.is_concept_drift_suspected:
            return "bad", f"concept drift suspected: {self.day.concept_drift:.1f} times as far off as chance explains"
        return ("muted", "") if self.day.concept_drift is None else ("good", "no further off than chance explains")


def _view(metric: MetricOfDay) -> MetricView:
    ends = metric.low, metric.high
    return MetricView(
        metric.name,
        ABSENT if metric.realised is None else f"{metric.realised:.4f}",
        "" if metric.estimated is None else f"{metric.estimated:.4f}",
        "" if None in ends else "{:.4f} to {:.4f}".format(*ends),
    )
