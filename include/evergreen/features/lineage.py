"""Feature lineage: which columns of which datasets change a feature, over which days, and which other models use them.

It is found by experiment, not by reading the code: on synthetic rows, one column at a time gets other values (of many columns, half of
them at a time), and the features that change depend on it. Then one day at a time, of all these columns. Other values are drawn twice, so
that a feature that looks at few of them is found too. What no synthetic row exercises is not found; what is found is true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.models import Feature
from include.evergreen.features.build import FeatureCode, code_now, compute_features, load_code
from include.evergreen.features.differences import changed
from include.evergreen.features.reader import PointInTimeReader
from include.evergreen.features.synthetic import MadeUpCache, SyntheticRows
from include.evergreen.foundation.errors import EvergreenError
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    import pandas as pd

    from include.evergreen.data.partitions import PartitionVersion

DRAWS = (1, 2)
MOST_TRIED_ALONE = 16  # columns; of more, halves are tried first


@dataclass(frozen=True)
class FeatureOrigin:
    """Columns of one dataset, and the days before the scored partition (0: its own) whose rows make a difference."""

    dataset: str
    columns: tuple[str, ...]
    newest_day: int
    oldest_day: int

    @property
    def description(self) -> str:
        """The origin as people read it: ``flights.{distance, origin}, days -30 to -1``."""
        days = f"day -{self.newest_day}" if self.newest_day else "day 0"
        if self.oldest_day != self.newest_day:
            days = f"days -{self.oldest_day} to {-self.newest_day}"
        columns = f"{{{', '.join(self.columns)}}}" if len(self.columns) > 1 else self.columns[0]
        return f"{self.dataset}.{columns}, {days}"


def lineage(catalog: Catalog, model: ModelConfig, code: FeatureCode | None = None) -> dict[str, tuple[FeatureOrigin, ...]]:
    """Find what each declared feature of a model comes from.

    Raises `ConfigError` when features() fails on rows that its datasets declare as possible.

    :param catalog: what is declared now
    :param model: the model, which declares features and inputs
    :param code: what computes the features; None: the model's `features.py` as it stands now
    :returns: the origins of each feature, in the order of the model's inputs; none for a feature that nothing changes
    """
    columns: dict[str, dict[str, set[str]]] = {feature.name: {} for feature in model.features}
    days: dict[str, dict[str, set[int]]] = {feature.name: {} for feature in model.features}
    trial = _Trial(catalog, model, code)
    for dataset, read in trial.columns_read().items():
        for feature, changing in trial.changing_columns(dataset, read).items():
            columns[feature][dataset] = changing
    depended_on = {
        dataset: set().union(*(origins.get(dataset, set()) for origins in columns.values())) for dataset in trial.source.datasets
    }
    for dataset, read_days in trial.days_read().items():
        concerned = {feature for feature, origins in columns.items() if dataset in origins}
        for feature, ends in trial.newest_and_oldest(dataset, depended_on[dataset], read_days, concerned).items():
            days[feature][dataset] = {_partitions_back(model, dataset, trial.source.day, day) for day in ends}
    declared = {model_input.dataset: catalog.dataset(model_input.dataset).column_names for model_input in model.inputs}
    return {
        feature: tuple(
            FeatureOrigin(
                dataset=dataset,
                columns=tuple(name for name in declared[dataset] if name in origins[dataset]),
                newest_day=min(days[feature].get(dataset, {model.calendar_of(dataset).count(model.input(dataset).lag)})),
                oldest_day=max(days[feature].get(dataset, {model.calendar_of(dataset).count(model.input(dataset).lag)})),
            )
            for dataset in declared
            if dataset in origins
        )
        for feature, origins in columns.items()
    }


def _partitions_back(model: ModelConfig, dataset: str, scored: Partition, read: Partition) -> int:
    """How many partitions of a dataset lie between the one in which the scored partition begins and the one that is read.

    Where rows have their own times, between the one in which the last of them may be and that.
    """
    grain = model.grain_of(dataset)
    return grain.number(_read_on(model, dataset, scored)[-1]) - grain.number(read)


def _read_on(model: ModelConfig, dataset: str, scored: Partition) -> list[Partition]:
    """The partition of a dataset in which the scored one begins, or, where rows have their own times, all in which they may be."""
    grain, begins = model.grain_of(dataset), model.grain.start(scored)
    ends = begins if model.own_time is None else model.scored_at.moments(model.grain, scored)[1]
    return grain.between(grain.at(begins), grain.at(ends))


def features_from(catalog: Catalog, model: ModelConfig, dataset: str, column: str) -> list[str]:
    """The features that change with a column of a dataset's partition of the scored day itself, in the declared order.

    Raises `ConfigError` when features() fails on rows that its datasets declare as possible.

    :param catalog: what is declared now
    :param model: the model, which declares features and inputs
    :param dataset: an input of the model
    :param column: a column of that dataset
    :returns: the names of the features
    """
    trial = _Trial(catalog, model, None)
    concerned = trial.changed_by(dataset, {column}, days=set(_read_on(model, dataset, trial.source.day)))
    return [name for name in model.feature_names if name in concerned]


def personal_origins(catalog: Catalog, model: ModelConfig) -> dict[str, list[str]]:
    """The features that change with a personal column of an input, of whatever day.

    Raises `ConfigError` when features() fails on rows that its datasets declare as possible.

    :param catalog: what is declared now, which says what is personal
    :param model: the model, which declares features and inputs
    :returns: by feature, the personal columns that it comes from, as ``dataset.column``; features without any are left out
    """
    trial = _Trial(catalog, model, None)
    origins: dict[str, list[str]] = {}
    for dataset, read in trial.columns_read().items():
        for column in (name for name in read if name in catalog.dataset(dataset).personal_columns):
            for feature in sorted(trial.changed_by(dataset, {column}, days=None)):
                origins.setdefault(feature, []).append(f"{dataset}.{column}")
    return origins


def feature_list(catalog: Catalog, chosen: str | None, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    """List the features of one model, or of all, for people: a JSON document.

    - ``models``: of each model, its features: name, kind, description, origins, and the other models that declare one of
      this name (``same``: whether it has the same kind and origins there)
    - ``columns``: of each ``dataset.column`` of these origins, the features of the listed models that come from it
    - ``problems``: of each model whose features cannot be computed, why

    :param catalog: what is declared now
    :param chosen: the name of the model; None: all models
    :param progress: told a heading, how many models are done, and of how many
    :returns: the document
    :raises EvergreenError: when the chosen model is unknown, its files are wrong, or its features cannot be computed
    """
    shown = catalog.model_names() if chosen is None else [chosen]
    declared, problems = _declared(catalog, chosen, shown)
    wanted = {feature.name for name in shown if name in declared for feature in declared[name].features}
    concerned = [name for name, model in declared.items() if name in shown or wanted & {feature.name for feature in model.features}]
    traced: dict[str, dict[str, tuple[FeatureOrigin, ...]]] = {}
    for done, name in enumerate(concerned):
        progress("Features", done, len(concerned))
        try:
            traced[name] = lineage(catalog, declared[name])
        except EvergreenError as error:
            if name == chosen:
                raise
            problems[name] = error
    progress("Features", len(concerned), len(concerned))
    known = {(name, feature.name): (feature, traced[name][feature.name]) for name in traced for feature in declared[name].features}
    columns: dict[str, list[str]] = {}
    for (name, feature_name), (_, origins) in known.items():
        for column in (f"{origin.dataset}.{column}" for origin in origins for column in origin.columns):
            columns.setdefault(column, []).append(f"{name}.{feature_name}")
    of_shown = {column: used_by for column, used_by in columns.items() if any(user.split(".")[0] in shown for user in used_by)}
    return {
        "models": {name: [_described(feature, name, known) for feature in declared[name].features] for name in shown if name in traced},
        "columns": dict(sorted(of_shown.items())),
        "problems": {name: str(error) for name, error in problems.items()},
    }


def _declared(catalog: Catalog, chosen: str | None, shown: list[str]) -> tuple[dict[str, ModelConfig], dict[str, EvergreenError]]:
    """All sound models, and what is wrong with those of ``shown`` that are not; of the chosen one, that is raised."""
    declared, problems = {}, {}
    for name in dict.fromkeys([*shown, *catalog.model_names()]):
        try:
            declared[name] = catalog.model(name)
        except EvergreenError as error:
            if name == chosen:
                raise
            if name in shown:
                problems[name] = error
    return declared, problems


def _described(feature: Feature, model: str, known: dict[tuple[str, str], tuple[Feature, tuple[FeatureOrigin, ...]]]) -> dict[str, Any]:
    _, origins = known[model, feature.name]
    others = {name: other for (name, other_name), other in known.items() if other_name == feature.name and name != model}
    return {
        "name": feature.name,
        "kind": feature.kind,
        "description": feature.description,
        "from": [{**asdict(origin), "description": origin.description} for origin in origins],
        "also_in": [
            {"model": name, "same": (other.kind, others_origins) == (feature.kind, origins)}
            for name, (other, others_origins) in others.items()
        ],
    }


class _Trial:
    """One model's features of one synthetic day, with and without other values in some columns.

    :param catalog: what is declared now
    :param model: the model, which declares features and inputs
    :param code: what computes the features; None: the model's `features.py` as it stands now
    """

    def __init__(self, catalog: Catalog, model: ModelConfig, code: FeatureCode | None) -> None:
        self.source = SyntheticRows(catalog, model)
        self._model = self.source.model
        self._code = code or code_now(catalog, model)
        self._cache = MadeUpCache(self.source.day, self.source, is_scored=True)
        self._before = self._features(self._cache)

    def columns_read(self) -> dict[str, list[str]]:
        """List what the features were computed from.

        :returns: by dataset, the columns that were asked for, in their declared order
        """
        return {
            dataset: [name for name in self.source.datasets[dataset].column_names if asked is None or name in asked]
            for dataset, asked in self._cache.asked.items()
        }

    def changing_columns(self, dataset: str, read: list[str]) -> dict[str, set[str]]:
        """Find which of the columns of a dataset change which features.

        Of many columns, half of them are changed at a time, once for each digit of their binary numbers and once for its complement: a
        feature that stays the same with a half comes from none of it. So the one column of a feature that comes from one is found in two
        times eight trials rather than two hundred, and only what is left open is tried by itself.

        :param dataset: an input of the model
        :param read: its columns that are read
        :returns: by feature, the columns that change it; features that none changes are left out
        """
        declared = self.source.datasets[dataset]
        alone = [name for name in read if name in (*declared.keys, declared.knowledge.column)]  # they decide which rows meet
        others = [name for name in read if name not in alone]
        candidates: dict[str, set[str]] = {}
        if len(others) > MOST_TRIED_ALONE:
            halves = [
                {name for number, name in enumerate(others) if number >> digit & 1 == side}
                for digit in range((len(others) - 1).bit_length())
                for side in (0, 1)
            ]
            changed_by_half = [(half, self.changed_by(dataset, half, days=None)) for half in halves]
            for feature in set().union(*(features for _, features in changed_by_half)):
                staying = set().union(*(half for half, features in changed_by_half if feature not in features))
                candidates[feature] = set(others) - staying or set(others)  # none is left where a change hides another
            others = sorted(set().union(*(left for left in candidates.values() if len(left) > 1)))
        found = {feature: left for feature, left in candidates.items() if len(left) == 1}
        for column in (*alone, *others):
            for feature in self.changed_by(dataset, {column}, days=None):
                found.setdefault(feature, set()).add(column)
        return found

    def days_read(self) -> dict[str, list[Partition]]:
        """List the partitions that the features were computed from.

        :returns: by dataset, its partitions that were read, oldest first
        """
        read: dict[str, set[Partition]] = {}
        for dataset, day, _ in self._cache.read:
            read.setdefault(dataset, set()).add(day)
        return {dataset: sorted(days) for dataset, days in read.items()}

    def newest_and_oldest(
        self, dataset: str, columns: set[str], days: list[Partition], among: set[str]
    ) -> dict[str, tuple[Partition, Partition]]:
        """Find the newest and the oldest partition that changes each feature, from both ends: what lies between is not tried.

        :param dataset: an input of the model
        :param columns: which of its columns get other values
        :param days: its partitions that were read, oldest first
        :param among: the features that are asked about
        :returns: by feature, both partitions, which may be one; features that no single partition changes are left out
        """
        newest = self._first_to_change(dataset, columns, days[::-1], among, {})
        oldest = self._first_to_change(dataset, columns, days, set(newest), newest)
        return {feature: (newest[feature], oldest[feature]) for feature in newest}

    def _first_to_change(
        self, dataset: str, columns: set[str], days: list[Partition], among: set[str], known: dict[str, Partition]
    ) -> dict[str, Partition]:
        """By feature, the first of ``days`` that changes it; of ``known`` ones, a partition that does is known."""
        found: dict[str, Partition] = {}
        for day in days:
            found |= {feature: day for feature, changes in known.items() if changes == day and feature not in found}
            if not (left := among - set(found)):
                break
            found |= dict.fromkeys(self.changed_by(dataset, columns, days={day}, among=left) & left, day)
        return found

    def changed_by(self, dataset: str, columns: set[str], days: set[Partition] | None, among: set[str] | None = None) -> set[str]:
        """Give some columns other values, and see which features change.

        :param dataset: an input of the model
        :param columns: which of its columns get other values
        :param days: its partitions that get other values; None: all
        :param among: the features that are asked about, of which others are not all found; None: every feature
        :returns: the names of the features that change with any of `DRAWS`
        """
        features: set[str] = set()
        for draw in DRAWS:
            if among is None or not among <= features:
                cache = _OtherValues(self._model, self._cache, self.source, dataset, columns, days, draw)
                features |= set(changed(self._before, self._features(cache)))
        return features

    def _features(self, cache: MadeUpCache) -> pd.DataFrame:
        reader = PointInTimeReader(self._model, self.source.day, cache)
        return compute_features(self._model, reader, load_code(self._code), self._code.place)[1]


class _OtherValues(MadeUpCache):
    """Synthetic rows of which some columns have other values.

    :param model: the model; none of the rows that it scores is added or lost
    :param unchanged: holds the same rows as they are; of partitions without other values they are taken from there
    :param source: what generates the rows; they are read as of its ``day``
    :param dataset: the dataset whose columns get other values
    :param columns: which of its columns get other values, where they are read
    :param days: its partitions that get other values; None: all
    :param draw: from 1; another one gives other values again
    """

    def __init__(
        self,
        model: ModelConfig,
        unchanged: MadeUpCache,
        source: SyntheticRows,
        dataset: str,
        columns: set[str],
        days: set[Partition] | None,
        draw: int,
    ) -> None:
        super().__init__(source.day, source, is_scored=True)
        self._unchanged = unchanged
        self.windows = {asked: window for asked, window in unchanged.windows.items() if asked[0] != dataset}
        self._dataset, self._columns, self._days, self._draw = dataset, columns, days, draw
        self._rows = (model.rows, model.newest(model.rows, source.day))

    def _content(self, version: PartitionVersion, columns: list[str] | None) -> pd.DataFrame:
        if version.dataset != self._dataset or (self._days is not None and version.partition not in self._days):
            return self._unchanged._content(version, columns)
        return super()._content(version, columns)

    def _read(self, version: PartitionVersion, columns: list[str] | None) -> pd.DataFrame:
        content = super()._read(version, columns)
        others = {
            name: self._source.other_values(self._dataset, name, version.partition, self._draw)
            for name in sorted(self._columns)
            if name in content
        }
        if version.knowledge_column in others and (version.dataset, version.partition) == self._rows:
            known, limit = version.knowledge_column, self.until
            stays = (others[known] <= limit) == (content[known] <= limit)  # else there would be other rows to compare, or fewer
            others[known] = others[known].where(stays, content[known])
        return content.assign(**others)
