"""What every model's `features.py` must keep to, each promise with a check that can break it.

All checks run on made-up rows, in a home of their own: they need no data, and touch none.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import Features, features_of, join_truth, labelled_frame, load_features, true_values
from include.evergreen.features.differences import Comparison, Finding, differences
from include.evergreen.features.reader import PartitionCache, PointInTimeReader
from include.evergreen.features.synthetic import MadeUpCache, MadeUpRows, publish
from include.evergreen.foundation.errors import DataError, EvergreenError
from include.evergreen.state.database import disconnect, migrate
from include.evergreen.testkit.leakage import LaterFacts

if TYPE_CHECKING:
    import pandas as pd

NEAR_DAYS = 3
WINDOW_TOLERANCE = 1e-9  # relative: a sum in another order differs in its last bits, a choice by place by much more
SETTINGS = ("EVERGREEN_DATABASE_URL", "EVERGREEN_STORAGE", "EVERGREEN_HOME")
Check = Callable[["Subject"], list[Finding]]


@dataclass(frozen=True)
class Subject:
    """One declared model, and the made-up rows that it is examined on."""

    catalog: Catalog
    model: ModelConfig
    source: MadeUpRows

    @classmethod
    def of(cls, catalog: Catalog, name: str) -> Subject:
        model = catalog.model(name)
        return cls(catalog, model, MadeUpRows(catalog, model))

    @property
    def path(self) -> Path:
        return self.catalog.features_path(self.model.name)

    @property
    def days(self) -> list[dt.date]:
        """The days whose features are compared, oldest first."""
        return [self.source.day - dt.timedelta(days=back) for back in (8, 1, 0)]

    @property
    def later(self) -> dt.date:
        """An as_of from which the truth of every examined day is known."""
        hours = max(each.knowledge.hours_after_partition for each in self.source.datasets.values())
        return self.source.day + dt.timedelta(days=math.ceil(max(hours, 0) / 24) + 2)

    def cache(self, as_of: dt.date) -> PartitionCache:
        return MadeUpCache(as_of, self.source)

    def features(
        self,
        day: dt.date,
        cache: PartitionCache | None = None,
        *,
        function: Features | None = None,
        reader: Callable[[ModelConfig, dt.date, PartitionCache], PointInTimeReader] = PointInTimeReader,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of a day and their features; unless ``function`` is given, of a module that remembers nothing."""
        reads = reader(self.model, day, cache or self.cache(day))
        return features_of(self.model, reads, function or load_features(self.path), self.path)

    def compared(self, day: dt.date, rows: pd.DataFrame, promise: str, advice: str) -> Comparison:
        return Comparison(self.model.name, self.path, day, rows, self.catalog.dataset(self.model.rows).keys, promise, advice)


def examine(catalog: Catalog, name: str, check: str) -> list[Finding]:
    """Run one of `CHECKS` on one model: what it found, nothing when the promise is kept.

    Raises `ConfigError` when `features.py` fails on rows that its datasets declare as possible.
    """
    try:
        with home_of_its_own():
            return CHECKS[check](Subject.of(catalog, name))
    except EvergreenError as error:
        raise type(error)(
            f"{name}: features() must work on any rows that its datasets declare as possible, and read nothing but what it is given. "
            f"On rows that were made up from the declarations: {error}"
        ) from error


def what_was_not_known_changes_no_feature(subject: Subject) -> list[Finding]:
    """Partitions, corrections and rows that became known later, and the day's own truth, are all made other."""
    migrate()
    day, source = subject.source.day, subject.source
    every = [version for name in source.datasets for version in source.versions(name)]
    around = [each for each in every if abs((each.partition - day).days) <= NEAR_DAYS]
    publish(source, around)  # what a features.py that looks past the reader would look at
    touched = subject.cache(subject.later)
    subject.features(day, touched)
    read = [each for each in every if (each.dataset, each.partition, 1) in touched.read]
    publish(source, [each for each in read if each not in around])
    concerned = {(each.dataset, each.partition) for each in [*around, *read]}
    views = {"scoring": day, "training": subject.later}
    before = {view: subject.features(day, PartitionCache(as_of)) for view, as_of in views.items()}
    later = LaterFacts(source, subject.model, day, concerned)
    publish(later, [version for name in source.datasets for version in later.versions(name)])
    found = []
    for view, as_of in views.items():
        rows, features = before[view]
        comparison = subject.compared(
            day, rows, f"in {view}, it changes with what was not known when its day began",
            "Read the past through `read` alone, with lag_days that wait for it; a target is no input of its own day.",
        )  # fmt: skip
        found += differences(comparison, features, subject.features(day, PartitionCache(as_of))[1])
    return found


def training_and_scoring_give_the_same(subject: Subject) -> list[Finding]:
    """A training of later sees each row with the features that scoring gave it on its day."""
    training, found, compared = subject.cache(subject.later), [], 0
    for day in subject.days:
        rows, scored = subject.features(day)
        truth = true_values(subject.model, day, training)
        trained_on = labelled_frame(subject.catalog, subject.model, day, training)
        if truth is None or trained_on is None:
            continue
        known = join_truth(subject.catalog, subject.model, rows, truth).notna()
        comparison = subject.compared(
            day, rows[known], "training sees it otherwise than scoring did",
            "Compute it from read.rows(), read.window() and their like alone, and keep nothing between two calls of features().",
        )  # fmt: skip
        found += differences(comparison, scored[known], trained_on[scored.columns])
        compared += len(trained_on)
    if not compared:
        raise DataError(
            f"{subject.model.name}: no made-up row has a truth, so training cannot be compared with scoring. "
            f"The keys of {subject.model.rows} and {subject.model.target.dataset} must name the same rows."
        )
    return found


def row_order_changes_no_feature(subject: Subject) -> list[Finding]:
    """The day's rows come in another order (bit for bit), and so do the rows of each partition of a window (to 1e-9)."""
    found = []
    for day in subject.days:
        rows, before = subject.features(day)
        for places in (np.arange(len(rows))[::-1], np.random.default_rng(1).permutation(len(rows))):
            _, after = subject.features(day, reader=_reading_rows(places))
            comparison = subject.compared(
                day, rows, "it changes with the order of read.rows()",
                "Compute each row from its own values and from the past; do not count, shift, sort or fill by place.",
            )  # fmt: skip
            found += differences(comparison, before, after.iloc[np.argsort(places)])
        _, after = subject.features(day, reader=_ShuffledWindows)
        comparison = subject.compared(
            day, rows, "it changes with the order of the rows of a partition that it looks back at",
            "Sort by time before taking the first or last, or use read.latest(); read.trailing() sums in no order.",
        )  # fmt: skip
        found += differences(comparison, before, after, tolerance=WINDOW_TOLERANCE)
    return found


def partition_boundaries_change_no_feature(subject: Subject) -> list[Finding]:
    """Half of the rows are scored alone, and one by one; days are computed in other orders, with what others have left behind."""
    found = []
    for day in subject.days:
        rows, before = subject.features(day)
        halves = [np.arange(0, len(rows), 2), np.arange(1, len(rows), 2), np.arange(len(rows) // 2), np.arange(1)]
        for places in halves:
            _, after = subject.features(day, reader=_reading_rows(places))
            comparison = subject.compared(
                day, rows.iloc[places], "it changes with which other rows are scored together with its own",
                "Compute nothing over read.rows() as a whole; what all rows of a day say is read with read.window().",
            )  # fmt: skip
            found += differences(comparison, before.iloc[places], after)
    for order in (subject.days, subject.days[::-1]):
        function, cache = load_features(subject.path), subject.cache(subject.later)
        for day in [*order, *order]:
            rows, alone = subject.features(day)
            _, after = subject.features(day, cache, function=function)
            comparison = subject.compared(
                day, rows, "it changes with which days were computed before it in the same process",
                "Keep nothing at module level that features() changes, and change nothing that it did not make.",
            )  # fmt: skip
            found += differences(comparison, alone, after)
    return found


def nothing_but_the_rows_decides(subject: Subject) -> list[Finding]:
    """The features are computed twice here, and once in another process: other hash seed, other zone, its clock a year ahead."""
    from include.evergreen.testkit.determinism import features_elsewhere

    found = []
    elsewhere = features_elsewhere(subject.catalog, subject.model.name)
    for day in subject.days:
        rows, before = subject.features(day)
        for where, after in (("computed twice", subject.features(day)[1]), ("computed in another process", elsewhere[day])):
            comparison = subject.compared(
                day, rows, f"{where}, it is not the same",
                "Use no clock, no random numbers, no hash() or order of a set, no zone of the machine; the day is read.partition.",
            )  # fmt: skip
            found += differences(comparison, before, after)
    return found


CHECKS: dict[str, Check] = {
    each.__name__: each
    for each in (
        what_was_not_known_changes_no_feature,
        training_and_scoring_give_the_same,
        row_order_changes_no_feature,
        partition_boundaries_change_no_feature,
        nothing_but_the_rows_decides,
    )
}


@contextmanager
def home_of_its_own() -> Iterator[Path]:
    """Within it, EVERGREEN_HOME is an empty folder: features that look past the reader find nothing of this machine's."""
    before = {name: os.environ.get(name) for name in SETTINGS}
    with tempfile.TemporaryDirectory(prefix="evergreen-testkit-") as folder:
        for name in SETTINGS:
            os.environ.pop(name, None)
        os.environ["EVERGREEN_HOME"] = folder
        try:
            yield Path(folder)
        finally:
            disconnect()
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _reading_rows(places: np.ndarray) -> type[PointInTimeReader]:
    """A reader whose rows() are those at ``places``, in that order."""

    class SomeRows(PointInTimeReader):
        def rows(self) -> pd.DataFrame:
            return super().rows().iloc[places].reset_index(drop=True)

    return SomeRows


class _ShuffledWindows(PointInTimeReader):
    """A reader whose windows have the days in their order, and the rows of each day in another."""

    def window(self, dataset: str, days: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        import pandas as pd

        window = super().window(dataset, days, columns)
        if window.empty:
            return window
        shuffled = [part.sample(frac=1, random_state=1) for _, part in window.groupby("partition", sort=False)]
        return pd.concat(shuffled, ignore_index=True)
