"""Missed work: stages that no event has started long after all their inputs were there.

A publisher may die between the database and its event and never be tried again; an API server may be down; a model may be promoted
after its inputs came. Here such work is found, so that a scheduled task can start it, and what waits is recorded.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.operations.rescoring import attempt
from include.evergreen.operations.watching import watch
from include.evergreen.scoring.readiness import Readiness, monitoring, monitorings, partitions_reading, scoring
from include.evergreen.scoring.score import score
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import partition_versions, prediction_sets
from include.evergreen.state.stage_status import Outcome, Stage, record_stage

log = logging.getLogger(__name__)
LOOK_BACK = dt.timedelta(days=7)  # at what was published: older than that, a person decides (rescore)
GRACE = dt.timedelta(hours=1)  # for what an event has started and the scheduler has still to run


@dataclass(frozen=True)
class Missed:
    """A stage of a model that has work for a partition and was not started; ``news`` is what it has not read, since ``since``."""

    model: str
    stage: Stage
    partition: Partition
    news: tuple[str, ...]
    since: dt.datetime
    mark: str  # the same work has the same mark, so that it is not started twice

    def __str__(self) -> str:
        return f"{self.model} {self.partition}: {self.stage} has not read {', '.join(self.news)} (since {self.since:%Y-%m-%d %H:%M} UTC)"


def missed_work(catalog: Catalog, *, since: dt.datetime | None = None) -> list[Missed]:
    """Find the scorings and monitorings that are due because of what was published lately, and `GRACE` ago at the latest.

    What waits for an input for longer than `GRACE` is recorded as waiting on the way. A model whose declaration is broken is left out: its
    DAGs fail by themselves.

    :param catalog: what is declared now
    :param since: what was published before is not looked at; None: `LOOK_BACK` ago
    :returns: scorings first, then older partitions; empty when nothing was missed
    """
    recent = _published_since(since or clock.now() - LOOK_BACK)
    missed = [work for model in _sound(catalog) for work in _missed_by(model, recent, clock.now() - GRACE)]
    return sorted(missed, key=lambda work: (work.stage != "score", work.partition, work.model))


def make_up_for(catalog: Catalog, missed: Missed) -> Outcome:
    """Do missed work in this process, as the task of its DAG would. Passes on `TransientError`.

    :param catalog: what is declared now
    :param missed: what `missed_work` found; it may have been done since
    :returns: what the stage says, or ``failed`` with the error's message
    """
    model = catalog.model(missed.model)
    if missed.stage == "score":
        return attempt(
            score,
            catalog,
            model,
            missed.partition,
            scoring(model.name, missed.partition, moment=model.moment(missed.partition)).origin,
        )
    origin = monitoring(model.name, missed.partition, model.labels).origin
    return attempt(watch, catalog, model, missed.partition, origin)


@dataclass(frozen=True)
class _Recent:
    partitions: defaultdict[str, set[Partition]]  # by dataset
    scored: defaultdict[str, set[Partition]]  # by model


def _published_since(timestamp: dt.datetime) -> _Recent:
    recent = _Recent(defaultdict(set), defaultdict(set))
    for table, name, days in ((partition_versions, "dataset", recent.partitions), (prediction_sets, "model", recent.scored)):
        query = sa.select(table.c[name], table.c.partition).where(table.c.recorded_at >= timestamp)
        with reading() as connection:
            for owner, day in connection.execute(query):
                days[owner].add(day)
    return recent


def _missed_by(model: ModelConfig, recent: _Recent, before: dt.datetime) -> Iterator[Missed]:
    names = [model_input.dataset for model_input in model.inputs]
    for day in sorted(
        {day for name in names for published in recent.partitions[name] for day in partitions_reading(model, name, published)}
    ):
        ready = scoring(model.name, day, moment=model.moment(day))
        _record_waiting(model.name, day, ready, before)
        yield from _overdue(model.name, "score", day, ready, before)
    for day, ready in _to_monitor(model, recent).items():
        yield from _overdue(model.name, "monitor", day, ready, before)


def _to_monitor(model: ModelConfig, recent: _Recent) -> dict[Partition, Readiness]:
    """What there is to monitor of the days that were scored lately, and of those whose labels may stand in what was published lately."""
    labels = model.labels
    published = recent.partitions[labels.dataset]
    days = recent.scored[model.name].union(*(model.grain.between(*labels.rows(partition)) for partition in published))
    ready: dict[Partition, Readiness] = {}
    try:
        for first, last in _spans(sorted(days), model.grain):
            ready |= monitorings(model.name, first, last, labels)
    except ConfigError as error:  # of the labels' dataset, whose DAG says so by itself
        log.warning("%s: what there is to monitor is not known: %s", model.name, error)
    return ready


def _spans(days: Sequence[Partition], grain: Grain) -> Iterator[tuple[Partition, Partition]]:
    """The runs of days that follow one another, each asked for at once."""
    begins = [place for place, day in enumerate(days) if not place or grain.shift(days[place - 1], 1) < day]
    ends = [*begins[1:], len(days)]
    yield from ((days[begin], days[end - 1]) for begin, end in zip(begins, ends, strict=False))  # without days there is an end alone


def _overdue(model: str, stage: Stage, day: Partition, ready: Readiness, before: dt.datetime) -> Iterator[Missed]:
    since = max((item.recorded_at for item in ready.news), default=before)
    if ready.is_due and since < before:
        yield Missed(model, stage, day, tuple(item.name for item in ready.news), since, f"{since:%Y%m%dT%H%M%S%f}")


def _record_waiting(model: str, day: Partition, ready: Readiness, before: dt.datetime) -> None:
    """For whoever watches what waits too long; `why` finds it by itself."""
    if ready.missing and ready.since and ready.since < before:
        detail = {"message": f"waiting for {', '.join(ready.missing)}", "waiting_for": list(ready.missing)}
        record_stage(model, "score", day, "waiting", detail, since=ready.since)


def _sound(catalog: Catalog) -> Iterator[ModelConfig]:
    for name in catalog.model_names():
        try:
            yield catalog.model(name)
        except ConfigError as error:
            log.warning("%s is left out: %s", name, error)
