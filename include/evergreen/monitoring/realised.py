"""Realised performance of a window: each metric over its labelled rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.evergreen.config import Catalog
from include.evergreen.config.metrics import PERFORMANCE
from include.evergreen.features.columns import PREDICTION, keys_of
from include.evergreen.features.labels import join_labels
from include.evergreen.foundation.errors import EvergreenError, TransientError
from include.evergreen.monitoring.figures import Figure
from include.evergreen.monitoring.window import Window
from include.evergreen.training.metrics import Measures

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Realised:
    """What was realised, and why each of the team's own metrics that failed is not among it."""

    figures: list[Figure] = field(default_factory=list)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """For people: which metrics are not measured, and why; empty when all are."""
        return "; ".join(f"the metric {name!r} is not measured: {why}" for name, why in self.failed.items())

    @property
    def detail(self) -> dict[str, Any]:
        """What is kept of it beside the stage's message, in plain types."""
        return {"not_measured": dict(self.failed)} if self.failed else {}


def measure_realised(catalog: Catalog, window: Window) -> Realised:
    """Measure the labelled rows of a window. Passes on `DataError` and `ConfigError` where labels cannot be joined.

    A metric of the team's own that fails keeps no other from being measured.

    :param catalog: what is declared now, for the keys
    :param window: what is monitored
    :returns: every metric that the rows define; nothing while the labels of the window's last day are not mature
    """
    import numpy as np

    if not window.labels[window.scored.partition].is_mature:
        return Realised()
    labels, predicted = [], []
    for day in window.labelled_days:
        if not window.labels[day.partition].is_mature:
            continue
        predictions = day.frame()
        keys = keys_of(predictions, catalog.dataset(window.model.rows).keys)
        target = join_labels(catalog, window.model, keys, window.labels[day.partition], window.cache)
        known = target.notna()
        labels.append(target[known].to_numpy(dtype="float64"))
        predicted.append(predictions.loc[known, PREDICTION].to_numpy(dtype="float64"))
    every = np.concatenate(labels)
    measured, failed = _measured(window.measures, every, np.concatenate(predicted))
    for name, why in failed.items():
        log.error("%s %s: the metric %s is not measured: %s", window.model.name, window.scored.partition, name, why)
    return Realised([Figure(f"{PERFORMANCE}{name}", value, len(every)) for name, value in measured.items()], failed)


def _measured(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> tuple[dict[str, float], dict[str, str]]:
    """Each metric that the rows define, and why each of the team's own that fails has none."""
    measured, failed = {}, {}
    for name in measures.metrics:
        try:
            value = measures.measure_one(name, labels, predicted)
        except TransientError:
            raise
        except EvergreenError as error:
            if measures.own(name) is None:
                raise
            failed[name] = str(error)
        else:
            if value is not None:
                measured[name] = value
    return measured, failed
