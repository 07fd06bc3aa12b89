"""The lookback window that ends with a partition: the data that drift is measured on, and its digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.base import RECORDED
from include.evergreen.config.metrics import metrics_by_slice
from include.evergreen.config.monitoring import Monitor
from include.evergreen.data.partitions import current_partition
from include.evergreen.features.columns import PREDICTION, TARGET, feature_column
from include.evergreen.features.labels import KNOWN_BY_NOW, KnownLabels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Partition, parse_any
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring.drift import compared_kinds, judge_drift
from include.evergreen.monitoring.kept_profiles import TARGET_SUFFIX, KeptProfiles
from include.evergreen.registry import champions
from include.evergreen.registry.importances import find_importances
from include.evergreen.registry.versions import RegisteredVersion
from include.evergreen.scoring.predictions import PredictionSet, list_predictions
from include.evergreen.state import storage
from include.evergreen.training.candidate import find_candidate
from include.evergreen.training.metrics import Measures
from include.evergreen.training.recipes import recipe_of_version

if TYPE_CHECKING:
    import pandas as pd

    from include.evergreen.monitoring.profiles import Kind, Profile
    from include.evergreen.monitoring.verdicts import Verdict

REPORT_SUFFIX = ".html.gz"
SAMPLED_ROWS = 10_000  # of a window, for estimates and pictures: to an estimate a draw adds a tenth of the variance of 1,000 labels
DRAW = 0  # the seed of that draw
EARLIER_REFERENCE_ROWS = 5000  # the default until it was raised: what was monitored by a default stays so


@dataclass(frozen=True)
class Window:
    """The days up to the one of ``scored`` that the same version scored; ``model`` is as that version's recipe declares it.

    Drift is measured on ``days``, performance on ``labelled_days``, as ``measures`` says. ``labels`` are what is known of the labels of
    each of these, by its partition, and ``cache`` is what their rows are read through.
    """

    model: ModelConfig
    version: RegisteredVersion
    scored: PredictionSet
    days: list[PredictionSet]
    labelled_days: list[PredictionSet]
    measures: Measures
    labels: Mapping[Partition, KnownLabels]
    cache: PartitionCache

    @property
    def rows(self) -> int:
        """The rows that the version scored on all days."""
        return sum(day.count() for day in self.days)

    def reference(self) -> pd.DataFrame:
        """The sample of what the version was trained on.

        :returns: the drawn rows of its training frame, with the column ``prediction``
        """
        return storage.read_frame(self.version.reference_path)

    @cached_property
    def profiles(self) -> KeptProfiles:
        """The profiles of its version, those of its days among them.

        :returns: the same object each time; what it makes, it keeps when it is told to
        """
        return KeptProfiles(compared_kinds(self.model), self.version.reference_path)

    @cached_property
    def target_profiles(self) -> KeptProfiles:
        """Those of the labels, likewise.

        :returns: the same object each time
        """
        kind: Kind = "numeric" if self.model.task == "regression" else "categorical"
        return KeptProfiles({TARGET: kind}, self.version.reference_path, TARGET_SUFFIX)

    def verdict(self) -> Verdict:
        """Judge whether features and predictions drifted. Passes on `DataError` where rows must be read, and cannot be.

        :returns: the verdict, by column; those that drifted are ranked by importance, where the version's model card says it
        """
        return self.judged(self.profiles.window(self.days))

    def judged(self, current: Profile) -> Verdict:
        """Judge any profile as one of its version's.

        :param current: of days that the version scored
        :returns: as `verdict` has it
        """
        return replace(judge_drift(self.model, self.profiles.reference, current), importances=self._importances())

    def _importances(self) -> dict[str, float]:
        """As shares of the greatest. The prediction counts as much as the most important feature: it is what is served."""
        found = {feature_column(name): value for name, value in find_importances(self.model.name, self.version.version).items()}
        greatest = max(found.values(), default=0.0)
        if greatest <= 0:
            return {}
        return {PREDICTION: 1.0} | {column: max(value, 0.0) / greatest for column, value in found.items()}

    def sample(self, days: Sequence[PredictionSet], columns: Sequence[str] | None = None) -> tuple[pd.DataFrame, int]:
        """Read what was scored on some days, with the features that it was scored from; of very many rows a fixed draw.

        :param days: what the version scored, at least one
        :param columns: the names of those to read; None for all
        :returns: at most `SAMPLED_ROWS` rows as `PredictionSet.frame` has them, oldest day first; and of how many they were drawn
        """
        import pandas as pd

        drawn = Sampled.draw([day.count() for day in days])
        frames = [_taken(day, columns, chosen) for day, chosen in zip(days, drawn.of_day, strict=True)]
        return pd.concat(frames, ignore_index=True), drawn.total

    def input_digest(self) -> str:
        """The digest of all that monitoring reads: when it changes, the partition is monitored again.

        Labels that are not mature are not judged by, and change nothing.

        :returns: a SHA-256 in hex, of predictions, labels and quarantine as they are now, and of ``monitor`` in model.yaml
        """
        rows = current_partition(self.model.rows, self.scored.partition)
        before = [[day.digest, self.labels[day.partition].digest] for day in self.labelled_days if day.partition != self.scored.partition]
        return document_digest(
            {
                "version": self.scored.version,
                "scored": [day.digest for day in self.days],
                "truth": self.labels[self.scored.partition].digest,
                "quarantine": rows.quarantine_digest if rows else None,
                "monitor": self._drift_settings(),
                **({} if self.model.monitor.estimate else {"estimate": False}),
                **({"slices": [self.model.monitor.slices, metrics_by_slice(self.model)]} if self.model.monitor.slices else {}),
                **({"measured with": before} if before else {}),
            }
        )

    def _drift_settings(self) -> dict[str, Any]:
        """What the figures and the report of drift depend on."""
        settings = self.model.monitor.model_dump(exclude={"performance_window", "estimate", "slices"}, context=RECORDED)
        later = {"multivariate_threshold": Monitor().multivariate_threshold}  # was added later: by default, what was monitored stays so
        if settings["reference_rows"] == Monitor().reference_rows:
            settings["reference_rows"] = EARLIER_REFERENCE_ROWS
        return {name: value for name, value in settings.items() if name not in later or value != later[name]}

    def report_path(self, reference_digest: str) -> str:
        """Where its drift report lies once it is drawn: named by all that the report shows, and by nothing else.

        :param reference_digest: of the rows that `reference` returns, by `frame_digest`
        :returns: the path in the storage, whether a file is there or not
        """
        shown = {
            "version": self.scored.version,
            "scored": [day.digest for day in self.days],
            "reference": reference_digest,
            "monitor": self._drift_settings(),
        }
        return f"reports/{self.model.name}/{self.scored.partition}/{document_digest(shown)[:16]}{REPORT_SUFFIX}"


@dataclass(frozen=True, eq=False)
class Sampled:
    """Which rows are drawn of each day, and how many rows there are in all."""

    of_day: list[np.ndarray]
    total: int

    @classmethod
    def draw(cls, counts: Sequence[int]) -> Sampled:
        """Draw at most `SAMPLED_ROWS` rows, the same ones every time.

        :param counts: how many rows each day has
        :returns: the numbers of the drawn rows of each day, in their order
        """
        total = sum(counts)
        if total <= SAMPLED_ROWS:
            return cls([np.arange(count) for count in counts], total)
        drawn = np.sort(np.random.default_rng(DRAW).choice(total, SAMPLED_ROWS, replace=False))
        ends = np.cumsum(counts)
        return cls([drawn[(drawn >= end - count) & (drawn < end)] - (end - count) for end, count in zip(ends, counts, strict=True)], total)


def _taken(day: PredictionSet, columns: Sequence[str] | None, rows: np.ndarray) -> pd.DataFrame:
    """Some rows of a day, whose numbers ascend, without the others in memory."""
    import pyarrow as pa

    taken, before = [], 0
    for batch in day.batches(columns):
        first, last = np.searchsorted(rows, (before, before + len(batch)))
        taken.append(batch.take(pa.array(rows[first:last] - before)))
        before += len(batch)
    found: pd.DataFrame = (pa.concat_tables(taken) if taken else day.table(columns)).to_pandas()
    return found


def parse_report_path(path: str) -> tuple[str, Partition] | None:
    """Read a path as `Window.report_path` writes it.

    :param path: of any file in the storage
    :returns: the model, and the day that ends the report's window; None when it is no report's
    """
    match path.split("/"):
        case ["reports", model, day, _]:
            try:
                return model, parse_any(day)
            except ConfigError:
                return None
    return None


def load_window(catalog: Catalog, model: ModelConfig, scored: PredictionSet) -> Window:
    """The window that ends with what was scored. Passes on `ConfigError` and `DataError` where the version's recipe cannot be had.

    :param catalog: what is declared now
    :param model: the model as it is declared now; ``monitor.window`` and ``performance_window`` say how long the window is
    :param scored: the current predictions of its last day
    :returns: the window, without the days that another version scored
    """
    version = champions.version_number(model.name, scored.version)
    recipe = recipe_of_version(catalog, model, version)
    calendar, monitored = model.calendar, model.monitor
    earliest = min(calendar.first_of(scored.partition, span) for span in (monitored.window, monitored.performance_window))
    same = [day for day in list_predictions(model.name, earliest, scored.partition) if day.version == scored.version]

    def newest(span: Span) -> list[PredictionSet]:
        return [day for day in same if day.partition >= calendar.first_of(scored.partition, span)]

    config = recipe.config(model)
    measures = Measures.trained(config, find_candidate(version.run_key).facts, recipe.modules)
    labelled, cache = newest(monitored.performance_window), PartitionCache(KNOWN_BY_NOW, model=config)
    labels = {day.partition: known_labels(catalog, config, day.partition, cache) for day in labelled}
    return Window(config, version, scored, newest(monitored.window), labelled, measures, labels, cache)
