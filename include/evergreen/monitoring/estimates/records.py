"""The recorded estimates: each estimator's for each metric of a partition, of which one estimator's are observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.config.metrics import PERFORMANCE
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.monitoring.estimates.choice import PAST, PastWindow
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import estimates, observations


@dataclass(frozen=True)
class RecordedEstimate:
    """What one estimator told of one metric of the window that ``partition`` ends: a value, and the ends of its interval.

    ``is_observed``: the estimator was chosen, so that the value is also the observation ``estimated.METRIC``.
    """

    model: str
    partition: Partition
    estimator: str
    metric: str
    value: float
    low: float
    high: float
    version: int
    is_observed: bool


def record_estimates(connection: sa.Connection, model: str, partition: Partition, told: Sequence[RecordedEstimate]) -> None:
    """Make these all that is estimated of a partition; earlier estimates of it go.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param model: its name, as in ``include/models``
    :param partition: the day that was monitored
    :param told: what was estimated; empty: only the earlier ones go
    """
    connection.execute(estimates.delete().where(estimates.c.model == model, estimates.c.partition == partition))
    if told:
        now = clock.now()
        connection.execute(estimates.insert(), [{**each.__dict__, "recorded_at": now} for each in told])


def past_windows(model: str, version: int, before: Partition, grain: Grain) -> list[PastWindow]:
    """Find what each estimator told of earlier windows whose labels have come.

    :param model: its name, as in ``include/models``
    :param version: whose windows count
    :param before: the day whose earlier ones are looked at, as far as `PAST` back
    :param grain: that of the model
    :returns: the windows, oldest first
    """
    own, seen = estimates.c, observations.c
    same = (seen.model == own.model) & (seen.partition == own.partition) & (seen.metric == sa.literal(PERFORMANCE) + own.metric)
    first, last = grain.minus(before, PAST), grain.shift(before, -1)
    query = (
        sa.select(own.partition, own.estimator, own.metric, own.value, seen.value.label("realised"))
        .join(observations, same)
        .where(own.model == model, own.partition.between(first, last), own.version == version, seen.version == version)
        .order_by(own.partition)
    )
    windows: dict[Partition, tuple[dict[str, float], dict[str, dict[str, float]]]] = {}
    with reading() as connection:
        for row in connection.execute(query):
            realised, estimated = windows.setdefault(row.partition, ({}, {}))
            realised[row.metric] = row.realised
            estimated.setdefault(row.estimator, {})[row.metric] = row.value
    return [PastWindow(*window) for window in windows.values()]
