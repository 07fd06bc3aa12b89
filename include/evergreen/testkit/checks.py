"""The checks that every model's `features.py` must pass: no leakage, no dependence on order or process, determinism.

All checks run on synthetic rows, in a temporary home: they neither need nor touch real data.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.features.build import code_now, labelled_frame, load_code
from include.evergreen.features.columns import features_of
from include.evergreen.features.differences import Finding, differences
from include.evergreen.features.labels import join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import PointInTimeReader
from include.evergreen.features.synthetic import publish
from include.evergreen.foundation.errors import DataError, EvergreenError
from include.evergreen.foundation.grain import Partition
from include.evergreen.state.database import disconnect, migrate
from include.evergreen.testkit.leakage import LaterFacts
from include.evergreen.testkit.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

NEAR_DAYS = 3
WINDOW_TOLERANCE = 1e-9  # relative: a sum in another order differs in its last bits, a choice by place by much more
SETTINGS = ("EVERGREEN_DATABASE_URL", "EVERGREEN_STORAGE", "EVERGREEN_HOME")
DATABASE = "evergreen.db"  # of a home without settings
Check = Callable[["Subject"], list[Finding]]


def examine(catalog: Catalog, name: str, check: str) -> list[Finding]:
    """Run a check on a model's `features.py`, in a home of its own.

    :param catalog: what is declared now
    :param name: the model's, as in ``include/models``
    :param check: the name of the check, one of `CHECKS`
    :returns: one finding for each feature and day that break the promise; none when it is kept
    :raises EvergreenError: when a declaration is wrong, or `features.py` fails on rows that its datasets declare as possible
    """
    try:
        with home_of_its_own():
            return CHECKS[check](Subject.of(catalog, name))
    except EvergreenError as error:
        error.args = (
            f"{name}: features() must work on any rows that its datasets declare as possible, and read nothing but what it is given. "
            f"On rows generated from the declarations: {error}",
        )
        raise


def _is_near(model: ModelConfig, version: PartitionVersion, day: Partition) -> bool:
    grain, number = model.grain_of(version.dataset), model.grain_of(version.dataset).number
    first, last = model.grain.start(day), model.grain.start(day) if model.own_time is None else model.scored_at.moments(model.grain, day)[1]
    return number(grain.at(first)) - NEAR_DAYS <= number(version.partition) <= number(grain.at(last)) + NEAR_DAYS


def what_was_not_known_changes_no_feature(subject: Subject) -> list[Finding]:
    """No leakage: partitions, corrections and rows that became known later, and the day's own labels are all altered.

    Needs the empty home that `home_of_its_own` makes, as it stores the rows there.

    :param subject: the model and its synthetic rows
    :returns: one finding for each feature that changes, in scoring and in training
    """
    _make_database()
    day, source = subject.source.day, subject.source
    versions = [version for name in source.datasets for version in source.versions(name)]
    around = [version for version in versions if _is_near(subject.model, version, day)]
    publish(source, around)  # what a features.py that looks past the reader would look at
    touched = subject.cache(subject.later)
    subject.features(day, touched)
    read = [version for version in versions if (version.dataset, version.partition, 1) in touched.read]
    publish(source, [version for version in read if version not in around])
    concerned = {(version.dataset, version.partition) for version in [*around, *read]}
    views = {"scoring": day, "training": subject.later}
    before = {
        view: subject.features(day, PartitionCache(as_of, model=subject.model, is_scored=as_of == day)) for view, as_of in views.items()
    }
    later, own_time = LaterFacts(source, subject.model, day, concerned), subject.model.own_time
    publish(later, [version for name in source.datasets for version in later.versions(name)])
    findings = []
    for view, as_of in views.items():
        rows, features = before[view]
        rows_after, after = subject.features(day, PartitionCache(as_of, model=subject.model, is_scored=as_of == day))
        whose = "when its day began" if own_time is None else f"at its own {own_time}"
        if own_time is not None:
            stays = later.is_early(rows)
            rows, features, after = rows[stays], features[stays], after[later.is_early(rows_after)].set_axis(rows.index[stays])
        comparison = subject.compared(
            day, rows, f"in {view}, it changes with what was not known {whose}",
            "Read the past through `read` alone, with a lag that waits for it; a target is no input of its own day.",
        )  # fmt: skip
        findings += differences(comparison, features, after)
    return findings


def training_and_scoring_give_the_same(subject: Subject) -> list[Finding]:
    """No skew: a training of later sees each row with the features that scoring gave it on its day.

    :param subject: the model and its synthetic rows
    :returns: one finding for each feature that differs, on each day
    :raises DataError: when no synthetic row has a label, so that there is nothing to compare
    """
    training, findings, compared = subject.cache(subject.later), [], 0
    for day in subject.days:
        rows, scored = subject.features(day)
        trained_on = labelled_frame(subject.catalog, subject.model, day, training)
        if trained_on is None:
            continue
        labels = known_labels(subject.catalog, subject.model, day, training)
        known = join_labels(subject.catalog, subject.model, rows, labels, training).notna()
        comparison = subject.compared(
            day, rows[known], "training computes another value than scoring did",
            "Compute it from read.rows(), read.window() and their like alone, and keep nothing between two calls of features().",
        )  # fmt: skip
        findings += differences(comparison, scored[known], features_of(trained_on, subject.model.feature_names))
        compared += len(trained_on)
    if not compared:
        raise DataError(
            f"{subject.model.name}: no synthetic row has a label, so training cannot be compared with scoring. "
            f"The keys that {subject.model.rows} and {subject.model.target.dataset} share must name the same rows."
        )
    return findings


def row_order_changes_no_feature(subject: Subject) -> list[Finding]:
    """No dependence on order: the day's rows come in another (bit for bit), and so do those of each partition of a window (to 1e-9).

    :param subject: the model and its synthetic rows
    :returns: one finding for each feature that changes, on each day and with each other order
    """
    findings = []
    for day in subject.days:
        rows, before = subject.features(day)
        for places in (np.arange(len(rows))[::-1], np.random.default_rng(1).permutation(len(rows))):
            _, after = subject.features(day, reader=_reading_rows(places))
            comparison = subject.compared(
                day, rows, "it changes with the order of read.rows()",
                "Compute each row from its own values and from the past; do not count, shift, sort or fill by place.",
            )  # fmt: skip
            findings += differences(comparison, before, after.iloc[np.argsort(places)])
        _, after = subject.features(day, reader=_ShuffledWindows)
        comparison = subject.compared(
            day, rows, "it changes with the order of the rows of a partition that it looks back at",
            "Sort by time before taking the first or last, or use read.latest(); read.trailing() sums in no order.",
        )  # fmt: skip
        findings += differences(comparison, before, after, tolerance=WINDOW_TOLERANCE)
    return findings


def partition_boundaries_change_no_feature(subject: Subject) -> list[Finding]:
    """No dependence on company: half of the rows, or one, are scored alone; days are computed in other orders, after one another.

    :param subject: the model and its synthetic rows
    :returns: one finding for each feature that changes, on each day and in each company
    """
    findings = []
    alone = {day: subject.features(day) for day in subject.days}
    for day, (rows, before) in alone.items():
        halves = [np.arange(0, len(rows), 2), np.arange(1, len(rows), 2), np.arange(len(rows) // 2), np.arange(1)]
        for places in halves:
            _, after = subject.features(day, reader=_reading_rows(places))
            comparison = subject.compared(
                day, rows.iloc[places], "it changes with which other rows are scored together with its own",
                "Compute nothing over read.rows() as a whole; what all rows of a day say is read with read.window().",
            )  # fmt: skip
            findings += differences(comparison, before.iloc[places], after)
    for order in (subject.days, subject.days[::-1]):
        function, cache = load_code(code_now(subject.catalog, subject.model)), subject.cache(subject.later)
        for day in [*order, *order]:
            rows, before = alone[day]
            _, after = subject.features(day, cache, function=function)
            comparison = subject.compared(
                day, rows, "it changes with which days were computed before it in the same process",
                "Keep nothing at module level that features() changes, and change nothing that it did not make.",
            )  # fmt: skip
            findings += differences(comparison, before, after)
    return findings


def nothing_but_the_rows_decides(subject: Subject) -> list[Finding]:
    """Determinism: computed twice here, and once in another process: other hash seed, other zone, its clock a year ahead.

    Raises what `features_elsewhere` raises.

    :param subject: the model and its synthetic rows
    :returns: one finding for each feature that is not the same, on each day
    """
    from include.evergreen.testkit.determinism import features_elsewhere

    findings = []
    elsewhere = features_elsewhere(subject.catalog, subject.model.name)
    for day in subject.days:
        rows, before = subject.features(day)
        for where, after in (("computed twice", subject.features(day)[1]), ("computed in another process", elsewhere[day])):
            comparison = subject.compared(
                day, rows, f"{where}, it is not the same",
                "Use no clock, no random numbers, no hash() or order of a set, no zone of the machine; the day is read.partition.",
            )  # fmt: skip
            findings += differences(comparison, before, after)
    return findings


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        what_was_not_known_changes_no_feature,
        training_and_scoring_give_the_same,
        row_order_changes_no_feature,
        partition_boundaries_change_no_feature,
        nothing_but_the_rows_decides,
    )
}


@contextmanager
def home_of_its_own() -> Iterator[Path]:
    """Within it, EVERGREEN_HOME is an empty folder: features that look past the reader find nothing of this machine's.

    :yields: the folder, which is removed at the end
    """
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


def _make_database() -> None:
    """As `migrate` does, whose third of a second each of hundreds of models would take."""
    Path(os.environ["EVERGREEN_HOME"], DATABASE).write_bytes(_migrated_database())


@cache
def _migrated_database() -> bytes:
    with home_of_its_own() as folder:
        migrate()
        disconnect()  # only then is all of it in the one file
        return (folder / DATABASE).read_bytes()


def _reading_rows(places: np.ndarray) -> type[PointInTimeReader]:
    """A reader whose rows() are those at ``places``, in that order."""

    class SomeRows(PointInTimeReader):
        def rows(self) -> pd.DataFrame:
            return super().rows().iloc[places].reset_index(drop=True)

    return SomeRows


class _ShuffledWindows(PointInTimeReader):
    """A reader whose windows have the days in their order, and the rows of each day, or of a table, in another."""

    def newest(self, dataset: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        return super().newest(dataset, columns).sample(frac=1, random_state=1, ignore_index=True)

    def window(self, dataset: str, span: str | int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        import pandas as pd

        window = super().window(dataset, span, columns)
        if window.empty:
            return window
        shuffled = [part.sample(frac=1, random_state=1) for _, part in window.groupby("partition", sort=False)]
        return pd.concat(shuffled, ignore_index=True)
