"""What happens when: what the declarations of a model say of one of its partitions, and of its trainings, before there is any data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.config.base import LONGEST_WAIT
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.numbering import is_cron
from include.evergreen.foundation.span import Span


@dataclass(frozen=True)
class Read:
    """What is read of a dataset, from the oldest partition to the newest.

    By the rule all of it is known from ``known_from``; ``ingested_at`` is when the scheduled run of the newest starts, None: there is none.
    """

    dataset: str
    oldest: Partition
    newest: Partition
    known_from: dt.datetime
    ingested_at: dt.datetime | None


@dataclass(frozen=True)
class Timetable:
    """Of one partition of a model: what its scoring reads, and where its labels stand. ``moment`` is the scoring moment."""

    partition: Partition
    moment: dt.datetime
    inputs: tuple[Read, ...]
    labels: Read

    @property
    def scored_at(self) -> dt.datetime | None:
        """When its scoring starts by schedule: with the last of its inputs. None: one has no scheduled run."""
        return _last(read.ingested_at for read in self.inputs)

    @property
    def measured_at(self) -> dt.datetime | None:
        """When its performance is measured by schedule: with the last of its labels, once it is scored. None as in ``scored_at``."""
        return _last([self.scored_at, self.labels.ingested_at])


def timetable(catalog: Catalog, model: ModelConfig, partition: Partition) -> Timetable:
    """Look up what the declarations say of a partition. Raises `ConfigError` when one that the model reads is wrong.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param partition: a key of the model
    :returns: what is read, and when
    """
    names = [each.dataset for each in model.inputs]
    return Timetable(
        partition,
        model.moment(partition),
        tuple(_input(catalog.dataset(name), model, partition) for name in names),
        _read(catalog.dataset(model.target.dataset), *model.labels.partitions(partition)),
    )


def first_training(catalog: Catalog, model: ModelConfig) -> Partition | None:
    """Find the first as_of that has enough partitions to train on, when each dataset has all that its schedule makes.

    Raises `ConfigError` as `timetable`.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :returns: the as_of; None when the schedules make too few for any
    """
    grain, train = model.grain, model.train
    calendar, window = model.calendar, model.calendar.count(train.window)
    began = grain.number(catalog.dataset(model.rows).schedule.first)
    trainable: list[dt.datetime | None] = []  # from when on, of each partition since the first; None: never
    usable = [0]  # how many of the first so many ever are
    known = 0  # so many of the first are trainable by now, as far as they ever are
    for number in range(2 * window + grain.partitions_in(LONGEST_WAIT)):
        begins = grain.start(grain.numbered(began + number))
        while known < number and _has_come(trainable[known], begins):
            known += 1
        as_of = grain.numbered(began + number)
        first = grain.number(calendar.minus(as_of, train.window)) - began
        if usable[known] - usable[min(known, max(0, first))] >= calendar.count_before(as_of, train.min_history):
            return as_of
        trainable.append(_trainable_from(catalog, model, as_of))
        usable.append(usable[-1] + (trainable[-1] is not None))
    return None


def explain(catalog: Catalog, model: ModelConfig, now: dt.datetime) -> list[str]:
    """Say in words what will happen when. Raises `ConfigError` as `timetable`.

    :param catalog: what is declared now, without problems
    :param model: the model as it is declared now
    :param now: the partition that it falls in is the example, or the last that the schedule makes, or the first
    :returns: lines, indented below that of the model
    """
    schedule = catalog.dataset(model.rows).schedule
    example = timetable(catalog, model, min(max(model.grain.at(now), schedule.first), schedule.last))
    return list(_told(catalog, model, example))


def _told(catalog: Catalog, model: ModelConfig, example: Timetable) -> Iterator[str]:
    grain, train, labels = model.grain, model.train, example.labels
    zone = "" if grain.timezone == "UTC" else f", of {grain.timezone}" if is_cron(grain.unit) else f" of {grain.timezone}"
    lasts = f" from one time of {grain.unit!r} to the next" if is_cron(grain.unit) else ""
    yield f"{model.name}: {model.task} of {model.rows}. A partition is {grain.a_partition}{lasts}{zone}; all times are UTC."
    yield f"  Partition {example.partition}, for example: {_at(grain.start(example.partition))} to {_at(grain.end(example.partition))}"
    if model.own_time is None:
        yield f"    scored as of {_at(example.moment)}: its features see what was known then"
    else:
        yield f"    each row as of its own {model.own_time}: its features see what was known then, and the {model.rows} before it"
        yield f"    they are scored together, {_at(example.moment)} at the earliest"
    for read in example.inputs:
        age = model.input(read.dataset).max_age
        newest = "" if age is None else f", the newest known one, if it is at most {age} old"
        yield f"      {read.dataset} {read.newest}{newest}{_back_to(read)}: {_when(read)}"
    stands = labels.newest if labels.oldest == labels.newest else f"{labels.oldest} to {labels.newest}"
    yield f"    starts when the last of them is ingested: {_scheduled(example.scored_at)}"
    yield f"    labels: {model.target.column} of {labels.dataset} {stands}: {_when(labels)}"
    if model.rows == labels.dataset:
        yield "      beside the rows: if a later delivery brings them, all that needs labels starts with that delivery"
    if model.labels.is_spread:
        yield f"      a row that has none by then is {'negative' if model.target.absent == 'negative' else 'left out'}"
    yield f"    performance is measured when the last of them is ingested: {_scheduled(example.measured_at)}"
    window, least, holdout = (_number(model, span) for span in (train.window, train.min_history, train.holdout))
    yield f"  Trainings read {window} before as_of; {least} must have rows, inputs and labels, and the newest {holdout} are the holdout"
    first = first_training(catalog, model)
    yield f"    the first possible is as of {first}" if first else "    none is possible: the schedules make too few partitions"
    scheduled = "" if train.schedule is None else f"by schedule ({train.schedule.cron}) from {train.schedule.start}"
    ends = f", until {train.schedule.end}" if train.schedule is not None and train.schedule.end else ""
    ways = [f"{scheduled}{ends}", "by hand", "by a rule that fires" if model.retrain.rules else ""]
    yield f"    started {', or '.join(filter(None, ways))}"
    for rule in model.retrain.rules:
        yield f"    rule: {rule.name}"


def _input(dataset: DatasetConfig, model: ModelConfig, partition: Partition) -> Read:
    oldest, newest = model.oldest(dataset.name, partition), model.newest(dataset.name, partition)
    if not model.input(dataset.name).reads_newest:
        return _read(dataset, oldest, newest)
    known = dataset.newest_known(model.moment(partition), oldest) or newest
    return _read(dataset, known, known)


def _read(dataset: DatasetConfig, oldest: Partition, newest: Partition) -> Read:
    return Read(dataset.name, oldest, newest, dataset.known_from(newest), dataset.schedule.run_at(newest))


def _trainable_from(catalog: Catalog, model: ModelConfig, partition: Partition) -> dt.datetime | None:
    """When the rows of a partition have their features and all their labels; None: never."""
    moment = model.moment(partition)
    for each in model.inputs:
        dataset, newest = catalog.dataset(each.dataset), model.newest(each.dataset, partition)
        if each.reads_newest:
            if dataset.newest_known(moment, model.oldest(each.dataset, partition)) is None:
                return None
        elif not _is_made(dataset, newest) or dataset.known_from(newest) > moment:
            return None
    target, (first, last) = catalog.dataset(model.target.dataset), model.labels.partitions(partition)
    wanted = target.schedule.partitions(first, last) if model.labels.is_spread else [partition]
    if not wanted or not all(_is_made(target, each) for each in wanted):
        return None
    return max(moment, *(target.known_from(each) for each in wanted))


def _is_made(dataset: DatasetConfig, partition: Partition) -> bool:
    schedule = dataset.schedule
    return schedule.first <= partition <= schedule.last and bool(schedule.partitions(partition, partition))


def _has_come(moment: dt.datetime | None, by: dt.datetime) -> bool:
    return moment is None or moment <= by


def _last(moments: Iterable[dt.datetime | None]) -> dt.datetime | None:
    given = list(moments)
    known = [moment for moment in given if moment is not None]
    return max(known) if len(known) == len(given) else None


def _at(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _when(read: Read) -> str:
    return (
        f"known from {_at(read.known_from)}, {'no run scheduled' if read.ingested_at is None else f'ingested at {_at(read.ingested_at)}'}"
    )


def _back_to(read: Read) -> str:
    return "" if read.oldest == read.newest else f" (features may look back to {read.oldest})"


def _scheduled(moment: dt.datetime | None) -> str:
    return "by hand, since not all have a scheduled run" if moment is None else _at(moment)


def _number(model: ModelConfig, span: Span) -> str:
    number, unit = model.calendar.count(span), model.grain.noun
    if model.calendar.cron is not None and span.unit == "partition":
        return f"{span} that its schedule makes"
    return f"1 {unit}" if number == 1 else f"{number} {unit}s"
