"""Estimates the performance of a monitored window: what is observed of it, told and recorded."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from include.evergreen.config.metrics import CONCEPT_DRIFT, ESTIMATED, PERFORMANCE
from include.evergreen.foundation.errors import TransientError
from include.evergreen.monitoring.estimates.choice import choose_estimator
from include.evergreen.monitoring.estimates.concept_drift import Surprise, greatest_surprise
from include.evergreen.monitoring.estimates.estimate import Estimate, NotEstimatedError
from include.evergreen.monitoring.estimates.records import RecordedEstimate, past_windows, record_estimates
from include.evergreen.monitoring.figures import Figure
from include.evergreen.monitoring.window import Window

log = logging.getLogger(__name__)
METRICS_TOLD = 2  # in a message


@dataclass(frozen=True)
class Estimated:
    """What is estimated of a window, by estimator and metric, or ``reason``: why nothing is.

    ``chosen`` is the estimator whose estimates are observed. ``surprise`` is there once labels have come.
    """

    window: Window
    chosen: str = ""
    by_estimator: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    rows: int = 0
    surprise: Surprise | None = None
    reason: str = ""

    @property
    def observed(self) -> Mapping[str, Estimate]:
        """The chosen estimator's, by metric."""
        return self.by_estimator.get(self.chosen, {})

    @property
    def figures(self) -> list[Figure]:
        """What is observed: each estimate, and how much the realised performance surprises."""
        figures = [
            Figure(f"{ESTIMATED}{name}", estimate.value, self.rows, *self._interval(name, estimate))
            for name, estimate in self.observed.items()
        ]
        return figures + ([Figure(CONCEPT_DRIFT, self.surprise.score, self.surprise.rows)] if self.surprise else [])

    @property
    def message(self) -> str:
        """For people: the first estimates with their intervals, or why there are none; and concept drift, when it is suspected."""
        if self.reason:
            return f"performance is not estimated: {self.reason}"
        if not self.observed:
            return ""
        told = [self._told(name) for name in list(self.observed)[:METRICS_TOLD]]
        surprised = self.surprise.message if self.surprise else ""
        return "; ".join(filter(None, (f"estimated {', '.join(told)} ({self.chosen})", surprised)))

    @property
    def detail(self) -> dict[str, Any]:
        """What is kept of it beside the stage's message, in plain types."""
        surprise = self.surprise
        return {
            "estimator": self.chosen,
            **({"not_estimated": self.reason} if self.reason else {}),
            **({"concept_drift": {**surprise.__dict__, "suspected": surprise.is_suspected}} if surprise else {}),
        }

    def record(self, connection: sa.Connection) -> None:
        """Record what each estimator told, in place of what was told of the partition before.

        :param connection: of the caller's writing transaction; nothing is committed here
        """
        model, day, version = self.window.model.name, self.window.scored.partition, self.window.scored.version
        told = [
            RecordedEstimate(model, day, estimator, name, each.value, *self._interval(name, each), version, estimator == self.chosen)
            for estimator, estimates in self.by_estimator.items()
            for name, each in estimates.items()
        ]
        record_estimates(connection, model, day, told)

    def _interval(self, name: str, estimate: Estimate) -> tuple[float, float]:
        return estimate.interval(self.window.measures.metrics[name])

    def _told(self, name: str) -> str:
        low, high = self._interval(name, self.observed[name])
        return f"{name} {self.observed[name].value:.3f} ({low:.3f} to {high:.3f})"


def estimate_performance(window: Window, performance: Sequence[Figure]) -> Estimated:
    """Estimate the performance of the rows of a window without their labels, and compare it with what was realised of it.

    Whatever is wrong with an estimate stops nothing else: it is recorded why there is none.

    :param window: what is monitored; nothing is estimated where its model says ``monitor.estimate: false``
    :param performance: what was realised of it, as observations; empty while its labels have not come
    :returns: what is estimated, by each estimator of the task
    :raises TransientError: when the storage or the database does not answer
    :raises MemoryError: when there is not enough memory
    """
    if not window.model.monitor.estimate:
        return Estimated(window)
    from include.evergreen.monitoring.estimates.estimators import estimate_all  # with numpy, which a parse of DAGs should not wait for
    from include.evergreen.monitoring.estimates.rows import load_reference, load_rows

    try:
        rows = load_rows(window)
        by_estimator = estimate_all(window.model, window.measures, load_reference(window), rows)
    except NotEstimatedError as error:
        return Estimated(window, reason=str(error))
    except (TransientError, MemoryError):
        raise
    except Exception as error:  # what it says may quote a row
        log.warning("%s %s: performance is not estimated: %s", window.model.name, window.scored.partition, type(error).__name__)
        return Estimated(window, reason=f"{type(error).__name__} while it was estimated; this is a defect of ours, please report it")
    past = past_windows(window.model.name, window.scored.version, window.scored.partition, window.model.grain)
    chosen = choose_estimator(window.model.task, past)
    realised = {figure.name.removeprefix(PERFORMANCE): (figure.value, figure.rows) for figure in performance}
    return Estimated(window, chosen, by_estimator, rows.total, greatest_surprise(by_estimator[chosen], realised))
