"""Traces a logged prediction, found by its row's keys, to its model version, inputs and approver."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.data.conditions import Conditions, parse_conditions
from include.evergreen.data.partitions.verification import stored_rows
from include.evergreen.data.validation.checks import PERSONAL
from include.evergreen.features.class_columns import stored_names
from include.evergreen.features.columns import CONTRIBUTION, PREDICTION, features_of, find_key, key_column, keys_of
from include.evergreen.features.labels import KNOWN_BY_NOW, join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import LATEST, Partition
from include.evergreen.gates.decision import Decision, find_blessing
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import ApprovalStatus, approval_status
from include.evergreen.scoring.predictions import PredictionSet, all_scorings, newest_predictions
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import promotions
from include.evergreen.training.candidate import Candidate, find_candidate
from include.evergreen.training.recipes import find_recipe, recipe_of_version, restore_config

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
MOST_FOUND = 1000
SETS_AT_ONCE = 50


@dataclass(frozen=True)
class ScoredAgain:
    """What a later scoring of the partition gives the same row: it is what the prediction would be now, if nothing superseded it."""

    scored: PredictionSet
    value: float | str
    contributions: dict[str, float]

    @property
    def is_current(self) -> bool:
        """Whether it is the partition's newest scoring."""
        return self.scored.superseded_at is None


@dataclass(frozen=True)
class Logged:
    """One logged prediction, as it was served: the partition's first. ``again`` are those of the same row by its later scorings.

    ``keys`` and ``features`` are masked where they are personal; ``contributions`` may be empty. Of several classes ``value`` is the
    likeliest, as text, and ``classes`` says how likely the likeliest are.
    """

    scored: PredictionSet
    keys: dict[str, Any]
    features: dict[str, Any]
    value: float | str
    contributions: dict[str, float]
    label: float | str | None
    again: tuple[ScoredAgain, ...] = ()
    classes: dict[str, float] = field(default_factory=dict)

    @property
    def probability(self) -> float:
        """How likely the predicted class is, where there are several."""
        return next(iter(self.classes.values()), 1.0)

    @property
    def base(self) -> float:
        """What the typical row gets: the contributions add up to the rest."""
        return (self.probability if isinstance(self.value, str) else self.value) - sum(self.contributions.values())


@dataclass(frozen=True)
class TraceSearch:
    """The matches, all of the newest partition that has any; the partitions that were searched, newest first; and which could not be."""

    matches: list[Logged]
    searched: list[Partition]
    unreadable: list[str]


@dataclass(frozen=True)
class PredictionOrigin:
    """How the version that made a prediction came to: ``promotion`` is the one in force then, ``decision`` the newest that blessed it."""

    version: champions.RegisteredVersion
    candidate: Candidate
    is_as_written: bool
    promotion: sa.Row[Any] | None
    approval_status: ApprovalStatus
    decision: Decision | None


def find_logged(catalog: Catalog, model: str, texts: Sequence[str], partition: Partition | None = None) -> TraceSearch:
    """Find the predictions for rows by the values of their keys.

    They are those that were served first; a partition may have been scored again since, after a correction or by another champion.
    Reads the named key columns alone until a partition matches. Passes on `ConfigError` for what is no key of the scored rows.

    :param catalog: what is declared now; the model may be retired, but not the dataset of its rows
    :param model: its name, as in ``include/models``
    :param texts: conditions ``column=value`` on keys, at least one; rows must meet all
    :param partition: the day to search; None: all, newest first, until one matches
    :returns: the matches, at most `MOST_FOUND`, and what was searched; files that could not be read are named, and raise nothing
    """
    searched: list[Partition] = []
    unreadable: list[str] = []
    asked: dict[int, tuple[ModelConfig, DatasetConfig, Conditions]] = {}  # by version: their recipes may name other rows
    for scored in _newest_first(model, partition):
        if scored.version not in asked:
            config = _config(catalog, model, scored.version)
            dataset = catalog.dataset(config.rows)
            asked[scored.version] = config, dataset, _of_keys(dataset, texts)
        config, dataset, conditions = asked[scored.version]
        try:
            rows = _matching(scored, conditions)
        except DataError as error:
            unreadable.append(f"{scored.partition}: {error}")
            continue
        searched.append(scored.partition)
        if len(rows):
            logged = _with_later(list(_logged(catalog, config, dataset, scored, rows)), rows, dataset, conditions)
            return TraceSearch(logged, searched, unreadable)
    return TraceSearch([], searched, unreadable)


def _newest_first(model: str, partition: Partition | None) -> Iterator[PredictionSet]:
    """What was served first, of a model or of one partition, some at a time: a match is mostly among the newest."""
    if partition:
        yield from all_scorings(model, partition)[:1]
        return
    before: Partition | None = LATEST
    while before is not None:
        newest = newest_predictions(model, before=before, limit=SETS_AT_ONCE)
        for current in newest:
            yield current if current.scoring == 1 else all_scorings(model, current.partition)[0]
        before = newest[-1].partition if newest else None


def _with_later(logged: list[Logged], rows: pd.DataFrame, dataset: DatasetConfig, conditions: Conditions) -> list[Logged]:
    """Add what the later scorings of the partition say of the same rows; a file that cannot be read says nothing."""
    served = logged[0].scored
    later: dict[tuple[Any, ...], list[ScoredAgain]] = defaultdict(list)
    for scored in all_scorings(served.model, served.partition)[1:]:
        try:
            matching = _matching(scored, conditions)
        except DataError as error:
            log.warning("%s %s: its scoring %d is not read: %s", scored.model, scored.partition, scored.scoring, error)
            continue
        for row, key in zip(matching.to_dict("records"), _key_tuples(matching, dataset), strict=True):
            later[key].append(ScoredAgain(scored, _value(row[PREDICTION]), _contributions(row)))
    return [_with(prediction, later[key]) for prediction, key in zip(logged, _key_tuples(rows, dataset), strict=True)]


def _key_tuples(rows: pd.DataFrame, dataset: DatasetConfig) -> Iterator[tuple[Any, ...]]:
    return keys_of(rows, dataset.keys).itertuples(index=False, name=None)


def _with(prediction: Logged, later: list[ScoredAgain]) -> Logged:
    """Contributions may have been stored later, when the same version scored the same row to the same value."""
    same = (again for again in later if (again.scored.version, again.value) == (prediction.scored.version, prediction.value))
    contributions = prediction.contributions or next((again.contributions for again in same if again.contributions), {})
    return replace(prediction, again=tuple(later), contributions=contributions)


def _contributions(row: dict[Any, Any]) -> dict[str, float]:
    return {name.removeprefix(CONTRIBUTION): float(value) for name, value in row.items() if name.startswith(CONTRIBUTION)}


def trace_origin(logged: Logged) -> PredictionOrigin:
    """Read the records about the version that made one prediction, and verify that the prediction's file is as it was written.

    :param logged: what `find_logged` found
    :returns: the version, and the candidate, promotion, approval and decision behind it; the same for all matches of one scoring
    """
    scored = logged.scored
    version = champions.version_number(scored.model, scored.version)
    with reading() as connection:
        promoted = (
            promotions.select()
            .where(
                promotions.c.model == scored.model, promotions.c.version == scored.version, promotions.c.promoted_at <= scored.recorded_at
            )
            .order_by(promotions.c.id.desc())
            .limit(1)
        )
        promotion = connection.execute(promoted).first()
    return PredictionOrigin(
        version=version,
        candidate=find_candidate(version.run_key),
        is_as_written=stored_rows(scored.path, scored.digest).state == "whole",
        promotion=promotion,
        approval_status=approval_status(scored.model, scored.version),
        decision=find_blessing(version.run_key),
    )


def _config(catalog: Catalog, model: str, version: int) -> ModelConfig:
    """The model as the version's recipe declares it."""
    registered = champions.version_number(model, version)
    try:
        now = catalog.model(model)
    except ConfigError:  # retired, or broken: what was logged is found all the same
        if kept := find_recipe(registered.recipe_digest):
            return restore_config(catalog, kept)
        raise
    return recipe_of_version(catalog, now, registered).config(now)


def _of_keys(dataset: DatasetConfig, texts: Sequence[str]) -> Conditions:
    conditions = parse_conditions(dataset, texts)
    if not texts or (unknown := [name for name in conditions.values if name not in dataset.keys]):
        said = f"{', '.join(unknown)} is no key" if texts else "no key is given"
        raise ConfigError(
            f"{dataset.name}: {said}; predictions are found by the keys of their rows. Give some or all of: {', '.join(dataset.keys)}."
        )
    return conditions


def _matching(scored: PredictionSet, conditions: Conditions) -> pd.DataFrame:
    """The rows that match, at most `MOST_FOUND`, with all their columns; none but the keys' are read until one matches."""
    names = list(conditions.values)
    keys = storage.read_table(scored.path, [*map(key_column, names), *names])  # of which a file of any release has one or both
    mask = conditions.matches(keys.select([find_key(keys.column_names, name) for name in names]).rename_columns(names))
    matching = storage.read_table(scored.path).filter(mask) if mask.true_count else keys.slice(0, 0)
    return cast("pd.DataFrame", matching.slice(0, MOST_FOUND).to_pandas())


def _logged(catalog: Catalog, config: ModelConfig, dataset: DatasetConfig, scored: PredictionSet, rows: pd.DataFrame) -> Iterator[Logged]:
    cache = PartitionCache(KNOWN_BY_NOW, model=config)
    keys, features = keys_of(rows, dataset.keys), features_of(rows, config.feature_names)
    labels = join_labels(catalog, config, keys, known_labels(catalog, config, scored.partition, cache), cache)
    personal = {feature.name for feature in config.features if feature.personal} | dataset.personal_columns
    of_each = (frame.to_dict("records") for frame in (rows, keys, features))
    for row, key, feature, target in zip(*of_each, labels, strict=True):
        yield Logged(
            scored=scored,
            keys=_shown(key, personal),
            features=_shown(feature, personal),
            value=_value(row[PREDICTION]),
            contributions=_contributions(row),
            label=None if _is_missing(target) else _value(target),
            classes=_classes(row),
        )


def _value(value: Any) -> float | str:
    """A chance or a figure, or the class as text."""
    return value if isinstance(value, str) else float(value)


def _classes(row: dict[Any, Any]) -> dict[str, float]:
    classes, probabilities, _ = stored_names()[1:]
    if classes not in row:
        return {}
    return {str(text): float(value) for text, value in zip(row[classes], row[probabilities], strict=True)}


def _shown(values: dict[Any, Any], personal: frozenset[str] | set[str]) -> dict[str, Any]:
    present = {str(name): None if _is_missing(value) else value for name, value in values.items()}
    return {name: PERSONAL if name in personal and value is not None else value for name, value in present.items()}


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))
