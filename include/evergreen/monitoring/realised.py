"""Realised performance of a window: each metric over its labelled rows, with an interval, and by slice."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.metrics import NEW_CLASS_SHARE, PERFORMANCE, Sliced, metrics_by_slice
from include.evergreen.features.categories import as_categories
from include.evergreen.features.class_columns import OF_CLASSES, read_classes
from include.evergreen.features.columns import PREDICTION, feature_column, key_columns, keys_of
from include.evergreen.features.labels import join_labels
from include.evergreen.foundation.errors import EvergreenError, TransientError
from include.evergreen.monitoring.figures import Figure
from include.evergreen.monitoring.window import Window
from include.evergreen.state import storage
from include.evergreen.training.metrics import Measures

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.evergreen.gates.bootstrap import Units

log = logging.getLogger(__name__)
CONFIDENCE = 0.975  # of each end, so that the interval holds the figure 95 times in 100
RESAMPLES = 500
SEED = 0
MOST_ROWS = 5000  # that are resampled; of more, a draw tells how a figure varies, so that a million cost no more
MOST_SLICES = 10  # of each feature
LEAST_ROWS = 30  # of a slice, as for drift
LONGEST_NAME = 120  # of an observation


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


@dataclass(frozen=True, eq=False)
class _Rows:
    """The labelled rows of a window: ``labels`` and ``predicted`` as `Measures` takes them, the number of its day, its slices' features."""

    labels: np.ndarray
    predicted: np.ndarray
    day: np.ndarray
    sliced: pd.DataFrame

    def among(self, chosen: np.ndarray) -> _Rows:
        """Keep some rows alone.

        :param chosen: a mask of the rows, or the numbers of some
        :returns: these, in their order
        """
        return _Rows(self.labels[chosen], self.predicted[chosen], self.day[chosen], self.sliced.iloc[chosen])

    def units(self, model: ModelConfig) -> Units:
        """Choose what is resampled: whole partitions where there are several, as the gate has it; else rows.

        :param model: whose ``gate.resample`` counts
        :returns: the units of these rows
        """
        import numpy as np

        from include.evergreen.gates.bootstrap import Units

        by_days = model.gate.resample == "days" and len(np.unique(self.day)) > 1
        return Units.days(self.day) if by_days else Units.rows(len(self.labels))


def measure_realised(catalog: Catalog, window: Window) -> Realised:
    """Measure the labelled rows of a window. Passes on `DataError` and `ConfigError` where labels cannot be joined.

    A metric of the team's own that fails keeps no other from being measured. It has no interval either, as each resample would call it.

    :param catalog: what is declared now, for the keys
    :param window: what is monitored; its model's ``monitor.slices`` say by which features
    :returns: every metric that the rows define, of all rows, and of each slice of at least `LEAST_ROWS` rows the metrics of
        `metrics_by_slice`; nothing while the labels of the window's last day are not mature
    """
    if not window.labels[window.scored.partition].is_mature:
        return Realised()
    features = _features(window.model)
    measures, rows = _labelled(catalog, window, features)
    figures, failed = _figures(measures, list(measures.metrics), rows)
    if window.model.task == "multiclass" and len(rows.labels):
        figures.append(Figure(NEW_CLASS_SHARE, float((rows.labels >= len(measures.own_classes)).mean()), len(rows.labels)))
    for name, why in failed.items():
        log.error("%s %s: the metric %s is not measured: %s", window.model.name, window.scored.partition, name, why)
    by_slice = [name for name in metrics_by_slice(window.model) if name in measures.metrics and name not in failed]
    for feature, value in _slices(window, features):
        part = rows.among((rows.sliced[feature] == value).fillna(False).to_numpy(dtype=bool))
        if len(part.labels) >= LEAST_ROWS:
            of_slice, _ = _figures(measures, by_slice, part)
            figures += [each._replace(name=Sliced(each.name.removeprefix(PERFORMANCE), feature, value).name) for each in of_slice]
    return Realised(figures, failed)


def _features(model: ModelConfig) -> list[str]:
    """By which the version's rows can be sliced: it may have been trained without one of them."""
    own = {feature.name for feature in model.features if feature.kind == "categorical" and not feature.personal}
    return [name for name in model.monitor.slices if name in own]


def _labelled(catalog: Catalog, window: Window, features: Sequence[str]) -> tuple[Measures, _Rows]:
    """How the rows are measured, of several classes among all that are true of them, and the rows."""
    import numpy as np
    import pandas as pd

    labels, predicted, day_of, sliced = [], [], [], []
    names = catalog.dataset(window.model.rows).keys
    columns = [*key_columns(names), PREDICTION, *OF_CLASSES, *map(feature_column, features)]
    for number, day in enumerate(window.labelled_days):
        if not window.labels[day.partition].is_mature:
            continue
        table = day.table(columns)
        predictions = table.drop_columns([name for name in table.column_names if name in OF_CLASSES]).to_pandas()
        keys = keys_of(predictions, names)
        target = join_labels(catalog, window.model, keys, window.labels[day.partition], window.cache)
        known = target.notna()
        labels.append(target[known])
        if window.model.task == "multiclass":
            predicted.append(read_classes(table, window.measures.classes)[known.to_numpy()])
        else:
            predicted.append(predictions.loc[known, PREDICTION].to_numpy(dtype="float64"))
        day_of.append(np.full(len(labels[-1]), number))
        sliced.append(pd.DataFrame({name: as_categories(predictions.loc[known, feature_column(name)]) for name in features}))
    measures = window.measures.among(*labels)
    numbered = np.concatenate([measures.labels(each) for each in labels])
    return measures, _Rows(numbered, np.concatenate(predicted), np.concatenate(day_of), pd.concat(sliced, ignore_index=True))


def _slices(window: Window, features: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The commonest values of each feature in the data that the version was trained on, so that each day has the same slices."""
    if not features:
        return
    sample = storage.read_frame(window.version.reference_path, [feature_column(name) for name in features])
    longest = max(map(len, metrics_by_slice(window.model)))
    for name in features:
        counts = Counter(as_categories(sample[feature_column(name)]).dropna())
        room = LONGEST_NAME - len(Sliced("", name, "").name) - longest
        fit = [(-count, value) for value, count in counts.items() if value.isprintable() and len(value) <= room]
        yield from ((name, value) for _, value in sorted(fit)[:MOST_SLICES])


def _figures(measures: Measures, names: Sequence[str], rows: _Rows) -> tuple[list[Figure], dict[str, str]]:
    """A figure of each metric that the rows define, and why each of the team's own that fails has none."""
    measured, failed = {}, {}
    for name in names:
        try:
            value = measures.measure_one(name, rows.labels, rows.predicted)
        except TransientError:
            raise
        except EvergreenError as error:
            if measures.own(name) is None:
                raise
            failed[name] = str(error)
        else:
            if value is not None:
                measured[name] = value
    ends = _intervals(measures, {name: value for name, value in measured.items() if measures.own(name) is None}, rows)
    figures = [Figure(f"{PERFORMANCE}{name}", value, len(rows.labels), *ends.get(name, (None, None))) for name, value in measured.items()]
    return figures, failed


def _intervals(measures: Measures, measured: Mapping[str, float], rows: _Rows) -> dict[str, tuple[float, float]]:
    """The interval of each metric that enough resamples define.

    Of very many rows a draw is resampled. Where each row counts by itself, a figure of n rows varies sqrt(n / m) times less than one of m.
    (D. Politis and J. Romano, "Large Sample Confidence Regions Based on Subsamples", 1994)
    """
    import numpy as np

    from include.evergreen.gates.bootstrap import interval, replicates
    from include.evergreen.gates.resampled import statistic

    count = len(rows.labels)
    if count > MOST_ROWS:
        rows = rows.among(np.sort(np.random.default_rng(SEED).choice(count, MOST_ROWS, replace=False)))
    units = rows.units(measures.model)
    if not measured or units.count < 2:
        return {}
    narrower = math.sqrt(len(rows.labels) / count) if units.of_row is None else 1.0
    statistics = [statistic(measures, name, units, rows.labels, rows.predicted) for name in measured]
    drawn = replicates(statistics, units, resamples=RESAMPLES, seed=SEED)
    ends = {}
    for name, values in zip(measured, drawn, strict=True):
        between = interval(values, units.count, confidence=CONFIDENCE)
        middle = measures.measure_one(name, rows.labels, rows.predicted) if len(rows.labels) < count else measured[name]
        if between is not None and middle is not None:
            low, high = (measured[name] + narrower * (end - middle) for end in between)
            lowest, highest = measures.metrics[name].range
            ends[name] = max(low, lowest), min(high, highest)
    return ends
