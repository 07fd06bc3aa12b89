"""What a scored partition was made from and how: quality, freshness and volume of its data, scoring speed, what has come since training.

Where nothing was measured, nothing is observed: a rule takes no figure for a calm one.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.config.metrics import (
    FAILED_CHECKS,
    FRESHNESS,
    MISSING_SHARE,
    NEW_LABELS,
    NEW_ROWS,
    QUARANTINED_SHARE,
    RELATIVE_VOLUME,
    SCORING_SPEED,
    TRAINING_AGE,
    VOLUME,
)
from include.evergreen.data.partitions import current_partition
from include.evergreen.data.partitions.store import all_versions, count_rows
from include.evergreen.data.validation import latest_validation
from include.evergreen.features.columns import feature_column
from include.evergreen.foundation.span import WEEK
from include.evergreen.monitoring.figures import Figure
from include.evergreen.scoring.predictions import PredictionSet, list_predictions
from include.evergreen.scoring.score import SECONDS
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.stage_status import find_stage
from include.evergreen.training.candidate import newest_training

if TYPE_CHECKING:
    from collections.abc import Iterator

WEEKS = 4  # whose same weekday is what a day is compared with
LEAST_WEEKS = 2  # that must have been scored


def supply_figures(model: ModelConfig, scored: PredictionSet) -> list[Figure]:
    """Observe what a scored partition was made from, and how. Passes on `TransientError`.

    :param model: the model, as the version that scored it was trained
    :param scored: the partition's predictions
    :returns: the figures that can be measured; those that are not of rows count as over the scored rows, or one where there are none
    """
    return [*_quality(model, scored), *_freshness(model, scored), *_volume(model, scored), *_speed(scored), *_since_training(model, scored)]


def _quality(model: ModelConfig, scored: PredictionSet) -> Iterator[Figure]:
    """Rows and expectations of the partition that failed, and the share of the features' values that are missing."""
    version = current_partition(model.rows, scored.partition)
    if version is not None and version.source_rows:
        yield Figure(QUARANTINED_SHARE, version.quarantined / version.source_rows, version.source_rows)
    validation = latest_validation(model.rows, scored.partition)
    if validation is not None:
        failed = sum(not check["passed"] for check in validation["checks"])
        yield Figure(FAILED_CHECKS, float(failed), _counted(scored))
    if scored.rows:
        import pyarrow.compute as pc

        table = storage.read_table(scored.path, [feature_column(name) for name in model.feature_names])
        missing = sum(pc.sum(pc.is_null(column, nan_is_null=True)).as_py() for column in table.columns)
        yield Figure(MISSING_SHARE, missing / (scored.rows * table.num_columns), scored.rows)


def _freshness(model: ModelConfig, scored: PredictionSet) -> Iterator[Figure]:
    """Of the newest partition of each input, how long after its end its first version had come: the latest of them, in hours."""
    waited = []
    for each in model.inputs:
        newest = model.newest(each.dataset, scored.partition)
        with reading() as connection:
            first = next(iter(all_versions(connection, each.dataset, newest, newest)), None)
        if first is not None and first.origin == "live":  # a backfill says nothing of when the source delivers
            delay = (first.arrived_at or first.recorded_at) - model.grain_of(each.dataset).end(newest)
            waited.append(delay.total_seconds() / 3600)
    if waited:
        yield Figure(FRESHNESS, max(waited), _counted(scored))


def _volume(model: ModelConfig, scored: PredictionSet) -> Iterator[Figure]:
    """The rows, and their ratio to the median of the same weekdays (of longer partitions: of the ones before)."""
    yield Figure(VOLUME, float(scored.rows), _counted(scored))
    before = {model.grain.minus(scored.partition, WEEK * weeks) for weeks in range(1, WEEKS + 1)}
    rows = [each.rows for each in list_predictions(model.name, min(before), max(before)) if each.partition in before]
    usual = statistics.median(rows) if len(rows) >= LEAST_WEEKS else 0
    if usual:
        yield Figure(RELATIVE_VOLUME, scored.rows / usual, _counted(scored))


def _speed(scored: PredictionSet) -> Iterator[Figure]:
    """Seconds for 1,000 rows, from the look at the inputs to the record of the predictions; none where an earlier release scored."""
    stage = find_stage(scored.model, "score", scored.partition)
    seconds = stage.detail.get(SECONDS) if stage else None
    if isinstance(seconds, float) and scored.rows:
        yield Figure(SCORING_SPEED, 1000 * seconds / scored.rows, scored.rows)


def _since_training(model: ModelConfig, scored: PredictionSet) -> Iterator[Figure]:
    """How old the newest training is, in days of partition time, and what has come since that it has not seen."""
    grain, day = model.grain, scored.partition
    trained = newest_training(model.name, day)
    if trained is None:
        return
    counted = _counted(scored)
    yield Figure(TRAINING_AGE, (grain.start(day) - grain.start(trained)).total_seconds() / 86_400, counted)
    yield Figure(NEW_ROWS, float(count_rows(model.rows, trained, day)), counted)
    labels, of_labels = model.target.dataset, model.labels.grain
    first, last = (of_labels.at(grain.start(partition)) for partition in (trained, day))
    yield Figure(NEW_LABELS, float(count_rows(labels, first, of_labels.shift(last, -1))), counted)


def _counted(scored: PredictionSet) -> int:
    """One at least: that nothing was scored is what a rule on such a figure must see."""
    return max(scored.rows, 1)
