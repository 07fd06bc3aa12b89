"""How much of a partition's truth has come: observed where labels come late, and kept up to date until they are mature."""

from __future__ import annotations

import logging
from functools import cache, partial

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.metrics import LABEL_SHARE
from include.evergreen.features.columns import key_column, keys_of
from include.evergreen.features.labels import KNOWN_BY_NOW, KnownLabels, join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring.figures import Figure
from include.evergreen.monitoring.observations import Observation, observed_at, revise_observations
from include.evergreen.registry import champions
from include.evergreen.scoring.predictions import PredictionSet, list_predictions
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import dataset_totals
from include.evergreen.training.recipes import recipe_of_version

log = logging.getLogger(__name__)


def label_share(
    catalog: Catalog, model: ModelConfig, scored: PredictionSet, labels: KnownLabels, labels_cache: PartitionCache
) -> list[Figure]:
    """Measure of how many rows of a partition the label is known.

    :param catalog: what is declared now, for the keys
    :param model: the model, as the version that scored it was trained
    :param scored: the partition's predictions
    :param labels: as `known_labels` found them for it
    :param labels_cache: what they are read through
    :returns: the figure; none where there are no rows
    """
    if not scored.rows:
        return []
    names = catalog.dataset(model.rows).keys
    keys = storage.read_table(scored.path, [*map(key_column, names), *names]).to_pandas()  # a file of any release has one or both
    known = join_labels(catalog, model, keys_of(keys, names), labels, labels_cache).notna()
    return [Figure(LABEL_SHARE, float(known.mean()), scored.rows)]


def update_label_shares(catalog: Catalog, model: ModelConfig) -> None:
    """Measure again how much of the truth has come of each monitored partition that may still wait for labels, if any have come since.

    So no task need start for a partition each time that some of its labels arrive. A partition whose labels cannot be read is left as
    it is; its own monitoring says so.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    """
    newest = _newest_partition(model.target.dataset) if model.labels.is_spread else None
    if newest is None:
        return
    first, last = model.labels.rows(newest)
    measured = observed_at(model.name, LABEL_SHARE, first, last)
    labels_cache, config_of = PartitionCache(KNOWN_BY_NOW, model=model), cache(partial(_config, catalog, model))
    revised = []
    for scored in list_predictions(model.name, first, last):
        version, timestamp = measured.get(scored.partition, (None, None))
        if timestamp is None or version != scored.version:
            continue  # it is not monitored yet, or will be again
        try:
            config = config_of(scored.version)
            labels = known_labels(catalog, config, scored.partition, labels_cache)
            if any(label_version.recorded_at > timestamp for label_version in labels.versions):
                revised += [_observation(scored, figure) for figure in label_share(catalog, config, scored, labels, labels_cache)]
        except (ConfigError, DataError) as error:
            log.warning("%s %s: how many labels have come is not measured: %s", model.name, scored.partition, error)
    revise_observations(revised)


def _newest_partition(dataset: str) -> Partition | None:
    with reading() as connection:
        newest = sa.select(dataset_totals.c.latest).where(dataset_totals.c.dataset == dataset)
        return connection.execute(newest).scalar()


def _config(catalog: Catalog, model: ModelConfig, version: int) -> ModelConfig:
    """The model with the target of a version, which judges its own predictions."""
    return recipe_of_version(catalog, model, champions.version_number(model.name, version)).config(model)


def _observation(scored: PredictionSet, figure: Figure) -> Observation:
    return Observation(scored.model, scored.partition, figure.name, figure.value, scored.version, scored.origin, figure.rows)
