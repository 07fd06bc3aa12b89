"""Monitored figures: one for each model, metric and partition, replaced when the partition is monitored again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import EARLIEST, LATEST, Partition
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import model_versions, observation_news, observations
from include.evergreen.state.database.upsert import upsert


@dataclass(frozen=True)
class Observation:
    """One figure of one model for the window that ``partition`` ends, over ``rows`` rows, about ``version``."""

    model: str
    partition: Partition
    metric: str
    value: float
    version: int
    origin: str
    rows: int


def record_observations(
    model: str, partition: Partition, figures: list[Observation], *, also: Callable[[sa.Connection], None] | None = None
) -> None:
    """Make ``figures`` all that is observed of the partition: earlier ones go in the same transaction.

    What was live stays live when a backfill observes the same version again: it must not leave the sight of the rules.

    :param model: its name, as in ``include/models``
    :param partition: the day that was monitored
    :param figures: what was observed of it, at most one for each metric; empty: only the earlier ones go
    :param also: what stands or falls with them, or refuses them; done first, in the same transaction
    """
    with writing() as connection:
        if also:
            also(connection)
        this = (observations.c.model == model, observations.c.partition == partition)
        live = set(connection.execute(sa.select(observations.c.version).where(*this, observations.c.origin == "live")).scalars())
        connection.execute(observations.delete().where(*this))
        if figures:
            timestamp = clock.now()
            kept = [replace(figure, origin="live") if figure.version in live else figure for figure in figures]
            connection.execute(observations.insert(), [{**figure.__dict__, "recorded_at": timestamp} for figure in kept])
            newest = connection.execute(sa.select(sa.func.max(observation_news.c.sequence))).scalar() or 0
            upsert(connection, observation_news, {"model": model}, {"sequence": newest + 1})


def observed_at(model: str, metric: str, first: Partition, last: Partition) -> dict[Partition, tuple[int, dt.datetime]]:
    """Say when a figure of some partitions was recorded.

    :param model: its name, as in ``include/models``
    :param metric: its whole name, such as ``drift.share``
    :param first: the first day
    :param last: the last day, itself included
    :returns: the version that it is about and the time (UTC), by day; days without it are left out
    """
    table = observations.c
    query = sa.select(table.partition, table.version, table.recorded_at).where(
        table.model == model, table.metric == metric, table.partition.between(first, last)
    )
    with reading() as connection:
        return {row.partition: (row.version, row.recorded_at) for row in connection.execute(query)}


def revise_observations(figures: list[Observation]) -> None:
    """Replace figures that are recorded and leave all others of their partitions; one that is of another version by now stays.

    Origins stay, too. Nobody is told: no rule may watch a figure that is revised so.

    :param figures: of one metric of each of some partitions
    """
    if not figures:
        return
    with writing() as connection:
        for figure in figures:
            same = {name: getattr(figure, name) for name in ("model", "partition", "metric", "version")}
            values = {"value": figure.value, "rows": figure.rows, "recorded_at": clock.now()}
            connection.execute(observations.update().filter_by(**same).values(**values))


def newly_observed(after: int) -> tuple[int, set[str]]:
    """The models that were observed since somebody looked last, for all that wait for news at once.

    :param after: what was returned the last time; 0 the first time
    :returns: the count to give the next time, and the names of the models
    """
    query = sa.select(observation_news.c.model, observation_news.c.sequence).where(observation_news.c.sequence > after)
    with reading() as connection:
        rows = connection.execute(query).all()
    return max((row.sequence for row in rows), default=after), {row.model for row in rows}


def newest_observed(model: str, count: int) -> list[Partition]:
    """The partitions of a model that were observed last.

    :param model: its name, as in ``include/models``
    :param count: how many at most
    :returns: the days that have observations, live or of a backfill, newest first
    """
    column = observations.c.partition
    query = sa.select(column).where(observations.c.model == model).distinct().order_by(column.desc()).limit(count)
    with reading() as connection:
        return list(connection.execute(query).scalars())


def list_observations(model: str, metric: str | None = None, first: Partition = EARLIEST, last: Partition = LATEST) -> list[Observation]:
    """The observations of a model, of any version and origin.

    :param model: its name, as in ``include/models``
    :param metric: its whole name, such as ``drift.share``; None: all
    :param first: the first day
    :param last: the last day, itself included
    :returns: by day, oldest first, and by metric; empty when there is none
    """
    query = observations.select().where(observations.c.model == model, observations.c.partition.between(first, last))
    if metric is not None:
        query = query.where(observations.c.metric == metric)
    with reading() as connection:
        rows = connection.execute(query.order_by(observations.c.partition, observations.c.metric)).all()
    return [_observation(row) for row in rows]


def newest_live(model: str, metric: str, n: int, *, min_rows: int = 1) -> list[Observation]:
    """What a rule is judged on: the newest live observations of the version that was observed last.

    A version scores no partition before its as_of, so nothing older is looked at, however many years were observed.

    :param model: its name, as in ``include/models``
    :param metric: its whole name, such as ``drift.share``
    :param n: how many at most
    :param min_rows: those over fewer rows do not count
    :returns: the observations, oldest first; empty when none is live
    """
    table = observations.c
    live = observations.select().where(table.model == model, table.metric == metric, table.origin == "live", table.rows >= min_rows)
    newest_first = live.order_by(table.partition.desc())
    with reading() as connection:
        newest = connection.execute(newest_first.limit(1)).first()
        if newest is None:
            return []
        own = sa.select(model_versions.c.as_of).where(model_versions.c.model == model, model_versions.c.version == newest.version)
        as_of = connection.execute(own).scalar() or EARLIEST
        same = newest_first.where(table.version == newest.version, table.partition >= as_of).limit(n)
        rows = connection.execute(same).all()
    return [_observation(row) for row in reversed(rows)]


def newest_live_version(model: str) -> int | None:
    """Say which version is observed now.

    :param model: its name, as in ``include/models``
    :returns: that of the newest partition with a live observation; None when there is none
    """
    table = observations.c
    live = sa.select(table.version).where(table.model == model, table.origin == "live")
    with reading() as connection:
        return connection.execute(live.order_by(table.partition.desc()).limit(1)).scalar()


def _observation(row: sa.Row[Any]) -> Observation:
    return as_record(Observation, row)
