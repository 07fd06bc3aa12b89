"""Erases derived data: predictions, training frames, reference samples, profiles and reports made from a person's rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import sqlalchemy as sa

from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.config.base import LONGEST_DRIFT_WINDOW, RECORDED
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.models import Target
from include.evergreen.features.columns import PARTITION, as_keys, feature_column, find_key, key_column
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import NO_SPAN, Span
from include.evergreen.monitoring.kept_profiles import PROFILE_SUFFIX, TARGET_SUFFIX, profiled_rows
from include.evergreen.monitoring.window import parse_report_path
from include.evergreen.operations.erasure.stored import Key, rows_of_people
from include.evergreen.operations.maintenance.records import owner
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import candidates, model_versions, prediction_sets, recipes

if TYPE_CHECKING:
    import pandas as pd

Keys = dict[Partition, frozenset[Key] | None]  # by day: whose rows go; None: all of that day's, since no key tells them apart
FOLDERS = ("predictions", "reports", "training", "references")


@dataclass(frozen=True)
class Affected:
    """A file of predictions or of training rows, and how many of its rows go."""

    model: str
    path: str
    rows: int
    day: Partition | None  # of predictions; None: a training frame or a reference sample


class Derived:
    """What was made of the rows that go: of those with the given keys in their partitions.

    Reports show extremes and categories as they stand in single rows (tried), so those whose window or reference holds a
    row that goes are removed whole. None is drawn again of what was there: their names hold the digests of what they show.

    :param catalog: what is declared now; `ConfigError` when any model is declared wrongly, since what it made cannot be told
    :param dataset: the dataset as it is declared now
    :param keys: whose rows go, by the dataset's own day
    """

    def __init__(self, catalog: Catalog, dataset: DatasetConfig, keys: Keys) -> None:
        self.dataset = dataset
        self._keys = keys
        declared = [catalog.model(name) for name in catalog.model_names()]  # one that is wrong is refused: what it made cannot be told
        self._models = [model for model in declared if dataset.name in {model.rows, model.target.dataset}]
        self._declared = {model.name for model in declared}
        self._calendars = {model.name: model.calendar for model in self._models}

    @cached_property
    def affected(self) -> list[Affected]:
        """Every file of predictions, training rows or reference rows that holds a row that goes; searched once.

        :returns: the files with their numbers of rows; empty when nothing was made of the rows
        """
        return self._search[0]

    @cached_property
    def _search(self) -> tuple[list[Affected], set[str]]:
        """What is affected, and the files that could not be read."""
        unreadable: set[str] = set()
        models = self._models if self._keys else ()
        return [
            file for model in models for file in (*self._predictions(model, unreadable), *self._training(model, unreadable))
        ], unreadable

    def unsearched(self) -> list[str]:
        """List what may hold rows that go and cannot be searched: a person must look into it.

        :returns: paths in the storage, sorted: folders such as ``predictions/MODEL`` of models that are no longer declared; damaged files,
            and files that we did not write, among those of models that read the dataset, or in no model's folder
        """
        concerned, unreadable = {model.name for model in self._models}, self._search[1]
        told = set()
        for folder in FOLDERS:
            for path in (file.path for file in storage.files(folder)):
                model = owner(path)
                if model and model not in self._declared:
                    told.add(f"{folder}/{model}")
                elif not model or (model in concerned and (path in unreadable or not _is_named_as_ours(path))):
                    told.add(path)
        return sorted(told)

    @cached_property
    def reports(self) -> list[tuple[str, Partition]]:
        """Every report that is kept and may show a row that goes, recorded or not; searched once.

        :returns: model and last day of the report's window, sorted
        """
        showing = set()
        for model in {file.model for file in self.affected}:
            scored = {file.day for file in self.affected if file.model == model and file.day}
            calendar = self._calendars[model]
            near = {later for day in scored for later in _windows_over(calendar, day)}
            against = self._scored_against(model)
            windows = {window for report in storage.files(f"reports/{model}") if (window := parse_report_path(report.path))}
            showing |= {(model, day) for _, day in windows if day in near or day in against}
        return sorted(showing)

    @cached_property
    def profiles(self) -> list[str]:
        """Every kept profile of rows that go, or counted on a reference that holds some; searched once.

        Its extremes and rare categories are those of single rows. Of files that cannot be read, the profiles go too: they are made anew.

        :returns: paths in the storage, sorted
        """
        rows = {file.path for file in self.affected} | self._search[1]
        found: set[str] = set()
        for model in self._models if self._keys else ():
            days = self._days(model.name, self._waits[model.name])
            against = self._scored_against(model.name)
            for day in sorted({*days, *against}):
                for path in _profiles(f"predictions/{model.name}/{day}"):
                    is_of_labels = path.endswith(TARGET_SUFFIX) and day in days
                    if day in against or is_of_labels or profiled_rows(path) in rows:
                        found.add(path)
            for path in _profiles(f"references/{model.name}"):
                if profiled_rows(path) in rows:
                    found.add(path)
        return sorted(found)

    def counts(self) -> dict[str, int]:
        """Count what goes; nothing is erased yet.

        :returns: rows, profiles and reports by kind, in words for people; kinds of which none goes are left out
        """
        counts = {
            "prediction rows": sum(file.rows for file in self.affected if file.day),
            "training and reference rows": sum(file.rows for file in self.affected if not file.day),
            "profiles": len(self.profiles),
            "reports": len(self.reports),
        }
        return {kind: count for kind, count in counts.items() if count}

    def without(self, frame: pd.DataFrame, affected: Affected) -> pd.DataFrame | None:
        """Take the rows that go out of a frame.

        :param frame: the whole content of the file of ``affected``; it is not changed
        :param affected: one of `affected`
        :returns: the other rows, numbered anew; None when nothing of the file can be kept, as no key tells whose its rows are
        """
        if affected.day:
            model = next(model for model in self._models if model.name == affected.model)
            mask = self._mask_of_predictions(frame, self._days(affected.model)[affected.day], model)
            return None if mask is None else self._with_keys(frame[~mask]).reset_index(drop=True)
        return frame[~self._mask_of_training(frame, affected.model)].reset_index(drop=True)

    def _with_keys(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predictions of an earlier release whose rows were found get their keys apart: another search is in no doubt about them."""
        lacking = [name for name in self.dataset.keys if key_column(name) not in frame]
        return frame.join(as_keys(frame, lacking)) if lacking else frame

    def _days(self, model: str, waits: Collection[Span] = ()) -> Keys:
        """The keys by the day that the model scores or trains on: rows may be read some days late, and labels come up to ``waits`` late."""
        config = next(config for config in self._models if config.name == model)
        days: Keys = {}
        labels = [replace(config.labels, within=wait) for wait in {NO_SPAN, *waits}]
        for day, keys in self._keys.items():
            concerned = set(config.scored_by(config.rows, day)) if config.rows == self.dataset.name else set()
            for source in labels if config.target.dataset == self.dataset.name else ():
                concerned.update(config.grain.between(*source.rows(day)))
            for scored in concerned:
                existing = days.get(scored, frozenset())
                days[scored] = None if keys is None or existing is None else existing | keys
        return days

    @cached_property
    def _waits(self) -> dict[str, set[Span]]:
        """How long the labels of each model's rows may have come after them: as any training of it declared, and as it does now."""
        waits = {model.name: {model.target.within} for model in self._models}
        query = sa.select(recipes.c.model, recipes.c.document).where(recipes.c.model.in_(waits))
        with reading() as connection:
            for model, document in connection.execute(query):
                waits[model].add(Target.model_validate(json.loads(document)["declared"]["target"], context=RECORDED).within)
        return waits

    def _predictions(self, model: ModelConfig, unreadable: set[str]) -> Iterator[Affected]:
        if model.rows != self.dataset.name:
            return
        for day, keys in self._days(model.name).items():
            for file in list(storage.files(f"predictions/{model.name}/{day}")):
                if file.path.endswith(PROFILE_SUFFIX):
                    continue
                frame = _read(file.path, unreadable)
                if frame is None:
                    continue
                mask = self._mask_of_predictions(frame, keys, model)
                if mask is None or mask.any():
                    yield Affected(model.name, file.path, len(frame) if mask is None else int(mask.sum()), day)

    def _training(self, model: ModelConfig, unreadable: set[str]) -> Iterator[Affected]:
        for folder in ("training", "references"):
            for path in [file.path for file in storage.files(f"{folder}/{model.name}") if file.path.endswith(".parquet")]:
                frame = _read(path, unreadable, PARTITION)
                if frame is not None and (rows := int(self._mask_of_training(frame, model.name).sum())):
                    yield Affected(model.name, path, rows, None)

    def _mask_of_predictions(self, frame: pd.DataFrame, keys: frozenset[Key] | None, model: ModelConfig) -> pd.Series | None:
        """Which rows go; None when no key tells.

        Of earlier releases, a feature may stand in the place of the key of its name. Where it has other values, rows are not found.
        """
        names = list(frame.columns)
        columns = [find_key(names, name) for name in self.dataset.keys]
        if keys is None or not set(columns) <= set(names):
            return None
        mask = rows_of_people(frame, columns, keys)
        in_doubt = {feature_column(name) for name in model.feature_names} & set(columns)
        return None if in_doubt and int(mask.sum()) < len(keys) else mask

    def _mask_of_training(self, frame: pd.DataFrame, model: str) -> pd.Series:
        """Which rows go: of a frame that does not name its rows, all of the days concerned."""
        days = self._days(model, self._waits[model])
        columns = [key_column(name) for name in self.dataset.keys]
        is_named = bool(columns) and set(columns) <= set(frame.columns)
        whole = [day for day, keys in days.items() if keys is None or not is_named]
        mask = frame[PARTITION].isin(whole)
        if is_named:
            named = frozenset((day, *key) for day, keys in days.items() for key in keys or ())
            mask |= rows_of_people(frame, [PARTITION, *columns], named)
        return mask

    def _scored_against(self, model: str) -> set[Partition]:
        """The days scored by versions whose reference sample holds rows that go."""
        references = [file.path for file in self.affected if file.model == model and file.path.startswith("references/")]
        query = (
            sa.select(prediction_sets.c.partition)
            .join(
                model_versions,
                (model_versions.c.model == prediction_sets.c.model) & (model_versions.c.version == prediction_sets.c.version),
            )
            .join(candidates, candidates.c.run_key == model_versions.c.run_key)
            .where(prediction_sets.c.model == model, candidates.c.reference_path.in_(references))
        )
        with reading() as connection:
            return set(connection.execute(query).scalars())


def _profiles(folder: str) -> list[str]:
    return [file.path for file in storage.files(folder) if file.path.endswith(PROFILE_SUFFIX)]


def _read(path: str, unreadable: set[str], *columns: str) -> pd.DataFrame | None:
    """The file's rows; one that is damaged, or lacks a column that ours have, is added to ``unreadable``."""
    try:
        frame = storage.read_frame(path)
        if set(columns) <= set(frame.columns):
            return frame
    except DataError:
        pass
    unreadable.add(path)
    return None


def _is_named_as_ours(path: str) -> bool:
    match path.split("/"):
        case ["training" | "references", _, _] | ["predictions", _, _, _]:
            return True
    return parse_report_path(path) is not None


def erase_derived(derived: Derived) -> dict[str, int]:
    """Erase all that was made of the rows. Safe to repeat, and to kill at any point.

    Reports and profiles go first: the files that they were found by still hold the rows then.

    :param derived: what was found
    :returns: what went, as `Derived.counts` says
    """
    counts = derived.counts()
    for model, day in derived.reports:
        for report in list(storage.files(f"reports/{model}/{day}")):
            storage.remove(report.path)
    for path in derived.profiles:
        storage.remove(path)
    for file in derived.affected:
        frame = derived.without(storage.read_frame(file.path), file)
        if file.day:
            _replace_predictions(file, frame)
        elif frame is not None:
            storage.write_frame(file.path, frame)  # its path is the training's, not the content's
    return counts


def _replace_predictions(affected: Affected, frame: pd.DataFrame | None) -> None:
    """Replaces the old file, which is removed after its record has changed."""
    this = [prediction_sets.c.model == affected.model, prediction_sets.c.path == affected.path]
    with reading() as connection:
        is_recorded = connection.execute(sa.select(prediction_sets.c.id).where(*this)).first() is not None
    if is_recorded and frame is not None:
        digest = frame_digest(frame)
        path = f"predictions/{affected.model}/{affected.day}/{digest[:16]}.parquet"
        storage.write_frame(path, frame)
        with writing() as connection:
            for number in connection.execute(sa.select(prediction_sets.c.id).where(*this)).scalars().all():
                changed = {"path": path, "digest": digest, "rows": len(frame)}
                connection.execute(prediction_sets.update().where(prediction_sets.c.id == number).values(**changed))
                ledger.bind(connection, prediction_sets, {"id": number}, kind="scoring", evidence={"because": "rows were erased"})
    elif is_recorded:
        with writing() as connection:
            for number in connection.execute(sa.select(prediction_sets.c.id).where(*this)).scalars().all():
                ledger.unbind(connection, prediction_sets, {"id": number}, reason="rows were erased")
    storage.remove(affected.path)


def _windows_over(calendar: Calendar, day: Partition) -> list[Partition]:
    """The partitions that may end a report's window which a partition is in: ``monitor.window`` may have been other than it is now."""
    ends = (LONGEST_DRIFT_WINDOW, Span(calendar.count(LONGEST_DRIFT_WINDOW), "partition"))
    return calendar.grain.between(day, calendar.grain.shift(max(calendar.plus(day, span) for span in ends), -1))
