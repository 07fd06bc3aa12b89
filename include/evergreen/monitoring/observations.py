"""Monitored figures: one for each model, metric and partition, revised when the partition is monitored again.

What a figure was before stands apart, so that rules and pages read one row for each figure however often it was revised.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import EARLIEST, LATEST, Partition
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import model_versions, observation_news, observations, superseded_observations
from include.evergreen.state.database.upsert import upsert


@dataclass(frozen=True)
class Observation:
    """One figure of one model for the window that ``partition`` ends, over ``rows`` rows, about ``version``.

    ``low`` and ``high`` are the ends of its 95% interval, where it has one: of what was realised by resampling, of what is estimated as
    its estimator says.
    """

    model: str
    partition: Partition
    metric: str
    value: float
    version: int
    origin: str
    rows: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SupersededObservation(Observation):
    """What a figure was from ``recorded_at`` to ``superseded_at``, when its partition was monitored again and came to another, or none."""

    recorded_at: dt.datetime = field(kw_only=True)
    superseded_at: dt.datetime = field(kw_only=True)


def record_observations(
    model: str, partition: Partition, figures: list[Observation], *, also: Callable[[sa.Connection], None] | None = None
) -> None:
    """Make ``figures`` all that is observed of the partition; earlier ones that say otherwise are kept as superseded.

    All in one transaction. What was live stays live when a backfill observes the same version again: it must not leave the sight of
    the rules.

    :param model: its name, as in ``include/models``
    :param partition: the day that was monitored
    :param figures: what was observed of it, at most one for each metric; empty: nothing is observed of it any longer
    :param also: what stands or falls with them, or refuses them; done first, in the same transaction
    """
    with writing() as connection:
        if also:
            also(connection)
        this, timestamp = (observations.c.model == model, observations.c.partition == partition), clock.now()
        earlier = connection.execute(observations.select().where(*this)).all()
        live = {row.version for row in earlier if row.origin == "live"}
        same = {_said(figure) for figure in figures}
        if superseded := [row for row in earlier if _said(row) not in same]:
            columns = [column.name for column in observations.columns if column.name != "id"]
            values = [{**{name: row._mapping[name] for name in columns}, "superseded_at": timestamp} for row in superseded]
            connection.execute(superseded_observations.insert(), values)
        connection.execute(observations.delete().where(*this))
        if figures:
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

    Origins stay, too. Nobody is told, and nothing is kept of what they were: no rule may watch a figure that is revised so, night by night.

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


def list_superseded(
    model: str, metric: str | None = None, first: Partition = EARLIEST, last: Partition = LATEST
) -> list[SupersededObservation]:
    """What was observed of a model before it was observed again, as far as retention keeps it.

    :param model: its name, as in ``include/models``
    :param metric: its whole name, such as ``drift.share``; None: all
    :param first: the first day
    :param last: the last day, itself included
    :returns: by day, oldest first, by metric, and in the order in which they were superseded; empty when there is none
    """
    table = superseded_observations
    query = table.select().where(table.c.model == model, table.c.partition.between(first, last))
    if metric is not None:
        query = query.where(table.c.metric == metric)
    with reading() as connection:
        rows = connection.execute(query.order_by(table.c.partition, table.c.metric, table.c.id)).all()
    return [as_record(SupersededObservation, row) for row in rows]


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


def first_live(model: str, metric: str, version: int, n: int, *, min_rows: int = 1) -> list[Observation]:
    """What was observed first of a version, from which a rule learns what is usual.

    :param model: its name, as in ``include/models``
    :param metric: its whole name, such as ``drift.share``
    :param version: whose observations count
    :param n: how many at most
    :param min_rows: those over fewer rows do not count
    :returns: live observations, oldest first; empty when there is none
    """
    table = observations.c
    own = sa.select(model_versions.c.as_of).where(model_versions.c.model == model, model_versions.c.version == version)
    with reading() as connection:
        as_of = connection.execute(own).scalar() or EARLIEST
        query = observations.select().where(
            table.model == model, table.metric == metric, table.partition >= as_of,
            table.version == version, table.origin == "live", table.rows >= min_rows,
        )  # fmt: skip
        rows = connection.execute(query.order_by(table.partition).limit(n)).all()
    return [_observation(row) for row in rows]


def newest_live_version(model: str) -> int | None:
    """Say which version is observed now.

    :param model: its name, as in ``include/models``
    :returns: that of the newest partition with a live observation; None when there is none
    """
    table = observations.c
    live = sa.select(table.version).where(table.model == model, table.origin == "live")
    with reading() as connection:
        return connection.execute(live.order_by(table.partition.desc()).limit(1)).scalar()


def _said(figure: Observation | sa.Row[Any]) -> tuple[Any, ...]:
    """What makes a figure another one; that a backfill observed the same again does not."""
    return figure.metric, figure.value, figure.low, figure.high, figure.version, figure.rows


def _observation(row: sa.Row[Any]) -> Observation:
    return as_record(Observation, row)
