"""Problems of declared times: lags, ages, windows, schedules, and rows' own times."""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_left
from collections.abc import Iterator
from itertools import count

from include.evergreen.config.base import LONGEST_DRIFT_WINDOW, LONGEST_WAIT, LONGEST_WINDOW
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.datasets import DatasetConfig, Reference, Volume
from include.evergreen.config.document import Key
from include.evergreen.config.gate import ENOUGH_DAYS
from include.evergreen.config.models import Input, ModelConfig
from include.evergreen.config.moments import AfterPartition
from include.evergreen.config.schedule import A_YEAR, clock_problem, cron_problem
from include.evergreen.config.wording import listed, unknown
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import MINUTES, MONTHS, WEEK, Span

SOME_DAY = dt.date(2013, 12, 31)
LOOKED_AT = 2000  # partitions, in which a schedule shows what it leaves out
WINDOW_COLUMN = "partition"  # in which `read.window` gives the day of each row


def input_problems(model: ModelConfig, known: list[str], datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    """Find inputs that are not there, or not known when a partition or a row is scored, and lengths that make no sense for a grain.

    :param model: as it is declared
    :param known: the names of all datasets
    :param datasets: those of them whose own files are sound
    :yields: the key, and what is wrong with it
    """
    for index, model_input in enumerate(model.inputs):
        name = model_input.dataset
        if name not in known:
            yield ("inputs", index, "dataset"), unknown("dataset", name, known)
        elif name in datasets and datasets[name].whole_table and not model_input.reads_newest and name != model.rows:
            text = (
                f"{name} is a whole table, each of whose deliveries replaces the one before; say how old the one that is read may be, "
                f"such as max_age: {_age_to_allow(model, datasets[name])}, in place of a lag and a window"
            )
            yield ("inputs", index, "dataset"), text
        elif name in datasets and model.rows in datasets:
            find = _age_problems if model_input.reads_newest else _lag_problems
            for key, text in find(model, model_input, datasets[name]):
                yield ("inputs", index, key), text
        if name in datasets and WINDOW_COLUMN in datasets[name].column_names:
            text = (
                f"{name} has a column {WINDOW_COLUMN!r}, by which read.window() calls the day of each row; give it another name in its "
                f"dataset.yaml, such as {{name: {name}_{WINDOW_COLUMN}, from: {WINDOW_COLUMN}, ...}}"
            )
            yield ("inputs", index, "dataset"), text
    if model.own_time is not None and model.rows in datasets:
        yield from _own_time_problems(model, model.own_time, datasets[model.rows])
    yield from _span_problems(model, datasets)


def training_time_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    """Find schedules of trainings, windows and holdouts that cannot work together.

    :param model: as it is declared, whose rows' dataset is
    :yields: the key, and what is wrong with it
    """
    yield from _schedule_problems(model)
    yield from _window_problems(model)


def dataset_time_problems(dataset: DatasetConfig) -> Iterator[tuple[Key, str]]:
    """Find lengths of time that make no sense for a dataset's grain, and a clock over which its runs lose a partition.

    :param dataset: as it is declared
    :yields: the key, and what is wrong with it
    """
    given: list[tuple[Key, Volume | Reference, tuple[str, str]]] = [
        (("references", index), reference, ("lag", "window")) for index, reference in enumerate(dataset.references)
    ]
    if dataset.volume is not None:
        given.append((("volume",), dataset.volume, ("window", "min_history")))
    for key, section, names in given:
        for name in section.model_fields_set.intersection(names):
            if problem := _span_problem(getattr(section, name), dataset, LONGEST_WAIT):
                yield (*key, name), problem
    calendar = dataset.schedule.calendar
    if dataset.volume is not None and calendar.count(dataset.volume.min_history) > calendar.count(dataset.volume.window):
        yield ("volume", "min_history"), f"{dataset.volume.min_history} is more than window, {dataset.volume.window}"
    if problem := clock_problem(dataset.schedule, dataset.grain):
        yield ("schedule", "cron"), problem


def holdout_warnings(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    """Say where a holdout is sound and yet short.

    :param model: as it is declared
    :yields: the key, and why
    """
    grain, kinds = model.grain, model.gate.judged_by_days
    held_out, unit = _most_made(model, model.train.holdout), grain.noun
    if kinds and held_out < ENOUGH_DAYS:
        text = (
            f"{held_out} {unit}s are few to show how {unit}s differ, so the intervals of {' and '.join(kinds)} are wide and only large "
            f"differences pass; {_enough(model, model.train.holdout, ENOUGH_DAYS)} or more are better, or gate.resample: rows if the "
            f"rows of {grain.a_partition} are independent"
        )
        yield ("train", "holdout"), text


def _lag_problems(model: ModelConfig, model_input: Input, dataset: DatasetConfig) -> Iterator[tuple[str, str]]:
    """An input that is not known yet when the newest partition of it that is read is asked for: nothing would ever be scored."""
    grain, name, calendar = dataset.grain, dataset.name, dataset.schedule.calendar
    read = _read_as_of(model, dataset)
    if all(dataset.known_from(calendar.minus(newest, model_input.lag)) <= moment for newest, moment in read):
        return
    lag = calendar.count(model_input.lag)
    longer = (as_said(model_input.lag, grain, more) for more in count(lag + 1))
    enough = next(span for span in longer if all(dataset.known_from(calendar.minus(newest, span)) <= moment for newest, moment in read))
    advice = f"use at least {enough}"
    if name == model.rows and not lag:
        rule = dataset.knowledge.model_dump(include=set(AfterPartition.model_fields), exclude_none=True)
        said = [*(f"{what}: {when:g}" for what, when in rule.items()), *([f"column: {model.own_time}"] if model.own_time else [])]
        scored_at = f"score rows when they are known, with scored_at: {{{', '.join(said)}}}"
        advice = scored_at if model.own_time else f"{advice}, or {scored_at}"
    yield "lag", f"{model_input.lag} is too short: {name} is known {dataset.knowledge.text(grain)}; {advice}"


def as_said(span: Span, grain: Grain, partitions: int) -> Span:
    """Say so many partitions as somebody said another length.

    :param span: as it was said
    :param grain: of the partitions
    :param partitions: how many
    :returns: in partitions if ``span`` was said so, and else in time
    """
    return Span(partitions, "partition") if span.unit == "partition" else grain.span_of(partitions)


def _age_problems(model: ModelConfig, model_input: Input, dataset: DatasetConfig) -> Iterator[tuple[str, str]]:
    """Partitions that are too old when the next one is not known yet: on some days nothing would be scored."""
    assert model_input.max_age is not None
    calendar, reads = dataset.schedule.calendar, _newest_reads(model, dataset)
    if any(found < calendar.minus(now, model_input.max_age) for now, found in reads):
        oldest = _oldest_read(calendar, reads, model_input.max_age)
        text = (
            f"{model_input.max_age} is too short: {dataset.name} comes by {dataset.schedule.cron} and is known "
            f"{dataset.knowledge.text(dataset.grain)}, so that at some moments the newest known one is {oldest} old; use at least {oldest}"
        )
        yield "max_age", text
    kept, window = dataset.retention.superseded_days, _days_of_window(model)
    if dataset.whole_table and kept is not None and kept < window:
        text = (
            f"{dataset.name} keeps a table for {kept} days after it is replaced (retention.superseded_days of its dataset.yaml), and a "
            f"training reads those of {window} days (train.window); keep them at least so long"
        )
        yield "dataset", text


def _days_of_window(model: ModelConfig) -> int:
    """How many days the rows of a training are spread over, at most."""
    grain, as_of = model.grain, model.grain.on(SOME_DAY)
    return math.ceil((grain.start(as_of) - grain.start(model.calendar.minus(as_of, model.train.window))) / dt.timedelta(days=1))


def _age_to_allow(model: ModelConfig, dataset: DatasetConfig) -> Span:
    """Twice what is needed when each delivery comes in time: one may be missing."""
    needed = dataset.grain.partitions_in(_oldest_read(dataset.schedule.calendar, _newest_reads(model, dataset), LONGEST_WINDOW))
    return dataset.grain.span_of(min(dataset.grain.partitions_in(LONGEST_WINDOW), max(2, 2 * needed)))


def _newest_reads(model: ModelConfig, dataset: DatasetConfig) -> list[tuple[Partition, Partition]]:
    """For the scoring moments of a year: the partition that each is in, and the newest one that is known then when all come in time."""
    grain, rows, schedule = dataset.grain, model.grain, dataset.schedule
    days = [schedule.start + dt.timedelta(days=number) for number in range(A_YEAR)]
    reads = []
    for moment in {moment for day in days for moment in model.scored_at.moments(rows, rows.on(day))}:
        now, longest = grain.at(moment), grain.partitions_in(LONGEST_WINDOW)
        ages = (age for age in range(longest) if _has_come(dataset, grain.shift(now, -age), moment))
        reads.append((now, grain.shift(now, -next(ages, longest))))
    return reads


def _oldest_read(calendar: Calendar, reads: list[tuple[Partition, Partition]], said: Span) -> Span:
    """How old the oldest of them is, in partitions if an age was said so, and else in time."""
    if said.unit == "partition":
        return Span(max(len(calendar.made(found, calendar.grain.shift(now, -1))) for now, found in reads), "partition")
    return calendar.grain.span_of(max(calendar.grain.number(now) - calendar.grain.number(found) for now, found in reads))


def _has_come(dataset: DatasetConfig, partition: Partition, moment: dt.datetime) -> bool:
    return dataset.known_from(partition) <= moment and bool(dataset.schedule.partitions(partition, partition))


def _read_as_of(model: ModelConfig, dataset: DatasetConfig) -> list[tuple[Partition, dt.datetime]]:
    """For a year of scored partitions: the dataset's partition in which each begins, and its scoring moment.

    Where rows have their own times, each of the dataset's partitions in which they may be, and the last moment of a row in it; rows that
    are known one by one, and those that are scored themselves, need be known only when these are there.
    """
    rows, first, grain = model.grain, model.grain.on(dataset.schedule.start), dataset.grain
    partitions = rows.between(first, rows.shift(first, min(A_YEAR, rows.partitions_in(Span(A_YEAR, "day")))))
    if model.own_time is None:
        return [(grain.at(rows.start(partition)), model.moment(partition)) for partition in partitions]
    is_known_by_rows = dataset.knowledge.column is not None or dataset.name == model.rows
    return [
        (own, moment if is_known_by_rows else min(moment, grain.end(own) - dt.timedelta.resolution))
        for partition in partitions
        for moment in [model.moment(partition)]
        for begins, ends in [model.scored_at.moments(rows, partition)]
        for own in grain.between(grain.at(begins), grain.at(ends))
    ]


def _own_time_problems(model: ModelConfig, name: str, rows: DatasetConfig) -> Iterator[tuple[Key, str]]:
    """Rows that have no time of their own, or that would be scored before it."""
    columns = {column.name: column for column in rows.columns}
    moments = [column.name for column in rows.columns if column.type == "timestamp" and not column.nullable]
    if name not in columns:
        yield ("scored_at", "column"), unknown(f"column of {rows.name}", name, moments or list(columns))
    elif columns[name].type != "timestamp":
        text = f"{name} is no timestamp (its type is {columns[name].type}), as a row's own time is; allowed: {listed(moments) or 'none'}"
        yield ("scored_at", "column"), text
    elif columns[name].nullable:
        text = (
            f"{name} is nullable, and a row without its own time can be scored as of none; remove nullable from {rows.name} (rows "
            f"without a value are then quarantined), or choose another column"
        )
        yield ("scored_at", "column"), text
    grain, first = rows.grain, rows.grain.on(rows.schedule.start)
    if any(model.moment(partition) < grain.end(partition) for partition in grain.between(first, grain.shift(first, A_YEAR))):
        key = "hours_after_end" if model.scored_at.hours_after_end is not None else "hours_after_partition"
        text = (
            f"is {model.scored_at.text(grain)}, and rows have their own times (column: {name}) until it ends, so that the last of them "
            f"would be scored before they are there; write hours_after_end: 0, or more"
        )
        yield ("scored_at", key), text
    for index, each in enumerate(model.inputs):
        if each.dataset == model.rows and each.lag:
            text = f"{each.lag} is for rows of an earlier {grain.noun}, and {name} is a time in the scored one; remove it"
            yield ("inputs", index, "lag"), text
    if rows.whole_table:
        text = (
            f"{rows.name} is a whole table, whose rows are of any time and not of the {grain.noun} in which it is delivered; remove "
            f"column, or read the rows from a dataset with partitions of their own time"
        )
        yield ("scored_at", "column"), text


def _schedule_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    key = ("train", "schedule", "cron")
    if model.train.schedule is None:
        return
    if problem := cron_problem(model.train.schedule.cron, model.grain):
        _, text = problem
        yield key, f"{text}; as_of is {model.grain.a_partition}, as the partitions of {model.rows} are"
    elif text := clock_problem(model.train.schedule, model.grain):
        yield key, text


def _spans(model: ModelConfig) -> Iterator[tuple[Key, Span | None, str, Span]]:
    """The spans that are declared of a model, and not by default; each with its key, the dataset in whose partitions it is
    counted, and the longest that it may be."""
    train, sections = model.train, {"monitor": model.monitor, "retrain": model.retrain, "train": model.train}
    keys = {
        "train": ("window", "min_history", "holdout"),
        "monitor": ("window", "performance_window"),
        "retrain": ("cooldown", "max_cooldown"),
    }
    bounds = {("monitor", "window"): LONGEST_DRIFT_WINDOW, ("monitor", "performance_window"): LONGEST_WAIT}
    for section, names in keys.items():
        for name in names:
            if name in sections[section].model_fields_set:
                yield (section, name), getattr(sections[section], name), model.rows, bounds.get((section, name), LONGEST_WINDOW)
    if train.early_stop is not None and "holdout" in train.early_stop.model_fields_set:
        yield ("train", "early_stop", "holdout"), train.early_stop.holdout, model.rows, LONGEST_WINDOW
    for index, rule in enumerate(model.retrain.rules):
        yield ("retrain", "rules", index, "within"), rule.within, model.rows, LONGEST_WINDOW
    yield ("max_champion_age",), model.max_champion_age, model.rows, LONGEST_WINDOW
    yield ("target", "within"), model.target.within, model.target.dataset, LONGEST_WAIT
    for index, model_input in enumerate(model.inputs):
        for name in ("lag", "window", "max_age"):
            if name in model_input.model_fields_set:
                yield (
                    ("inputs", index, name),
                    getattr(model_input, name),
                    model_input.dataset,
                    LONGEST_WAIT if name == "lag" else LONGEST_WINDOW,
                )


def _span_problems(model: ModelConfig, datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    """Spans that are no whole number of the partitions in which they are counted, or more of them than there may be."""
    for key, span, name, longest in _spans(model):
        if span is not None and name in datasets and (problem := _span_problem(span, datasets[name], longest)):
            yield key, problem
    half_life = model.train.weights.half_life if model.train.weights is not None else None
    if half_life is not None and half_life.unit in MONTHS and not model.grain.is_whole(Span(12, "month")):
        text = f"{half_life} are not all of one length; write {Span(half_life.amount * MINUTES[half_life.unit] // MINUTES['day'], 'day')}"
        yield ("train", "weights", "half_life"), text


def _span_problem(span: Span, dataset: DatasetConfig, longest: Span) -> str:
    """Why a span cannot be counted in the partitions of a dataset, and what could; empty when it can."""
    grain = dataset.grain
    most = grain.partitions_in(longest)
    if not grain.is_whole(span):
        nearest = grain.span_of(grain.partitions_in(span))
        return f"{span} is no whole number of {grain.noun}s, which the partitions of {dataset.name} are; write {nearest}"
    if grain.partitions_in(span) > most:
        return f"{span} is too long: partitions of {dataset.name} are {grain.noun}s; allowed: up to {most} partitions"
    return ""


def _window_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    """Spans that do not go together when they are counted in the partitions of the model."""
    calendar, train, retrain, unit = model.calendar, model.train, model.retrain, model.grain.noun
    held_out, least, window = (_most_made(model, span) for span in (train.holdout, train.min_history, train.window))
    left = least - held_out
    if left < 1:
        text = (
            f"{train.min_history} has {_counted(least, unit)}, all of which holdout ({train.holdout}) keeps from fitting; use at least "
            f"{_enough(model, train.min_history, held_out + 1)}"
        )
        yield ("train", "min_history"), text
        return
    if least > window:
        text = (
            f"{train.window} has {_counted(window, unit)}, and min_history ({train.min_history}) asks for {least}; use at least "
            f"{_enough(model, train.window, least)}"
        )
        yield ("train", "window"), text
    if retrain.max_cooldown is not None and calendar.count(retrain.max_cooldown) < calendar.count(retrain.cooldown):
        yield ("retrain", "max_cooldown"), f"{retrain.max_cooldown} is less than cooldown ({retrain.cooldown}), which it is to prolong"
    between = f"the {_counted(left, unit)} (min_history - holdout) that there may be"
    if train.early_stop is not None and _most_made(model, train.early_stop.holdout) >= left:
        text = f"{train.early_stop.holdout} leaves none of {between} to fit on; give less, or more min_history"
        yield ("train", "early_stop", "holdout"), text
    if train.tune is not None and train.tune.folds >= left:
        yield ("train", "tune", "folds"), f"{train.tune.folds} needs more {unit}s to fit on than {between}; give fewer, or more min_history"
    if model.metrics.learned_threshold is not None and (folds := model.metrics.learned_threshold.folds) >= left:
        yield ("metrics", "learned_threshold", "folds"), f"{folds} needs more {unit}s to fit on than {between}; give fewer"
    if held_out == 1 and (kinds := model.gate.judged_by_days):
        text = (
            f"{train.holdout} does not show how {unit}s differ, so {' and '.join(kinds)} would never be evaluated; use "
            f"{_enough(model, train.holdout, ENOUGH_DAYS)} or more, or gate.resample: rows if the rows of {model.grain.a_partition} are "
            f"independent"
        )
        yield ("train", "holdout"), text
    for index, rule in enumerate(retrain.rules):
        if rule.within is not None and rule.k > (most := _most_made(model, rule.within)):
            text = f"{rule.within} has at most {most} observed {unit}{'s' * (most > 1)}, and k asks for {rule.k}"
            yield ("retrain", "rules", index, "within"), f"{text}; use at least {_enough(model, rule.within, rule.k)}"
    possible = math.ceil(calendar.count(WEEK) / (calendar.count(retrain.cooldown) + 1))
    if retrain.max_per_week is not None and retrain.max_per_week >= possible:
        text = f"{retrain.max_per_week} is never exceeded: cooldown ({retrain.cooldown}) allows {possible} in a week"
        yield ("retrain", "max_per_week"), f"{text}. Remove it, or give less than {possible}" if possible > 1 else f"{text}. Remove it"


def _most_made(model: ModelConfig, span: Span) -> int:
    """How many partitions the schedule of the rows makes in a span, at most."""
    calendar = model.calendar
    if calendar.cron is None or span.unit == "partition":
        return calendar.count(span)
    made, length = _numbers_made(calendar), calendar.grain.partitions_in(span)
    return max(bisect_left(made, first + length) - place for place, first in enumerate(made))


def _enough(model: ModelConfig, said: Span, wanted: int) -> Span:
    """The shortest span, in partitions if one was said so and else in time, in which the schedule of the rows makes so many."""
    calendar = model.calendar
    if calendar.cron is None or said.unit == "partition":
        return as_said(said, calendar.grain, wanted)
    made = _numbers_made(calendar)
    lengths = [later - earlier + 1 for earlier, later in zip(made, made[wanted - 1 :], strict=False)]
    return calendar.grain.span_of(min(lengths)) if lengths else Span(wanted, "partition")


def _numbers_made(calendar: Calendar) -> list[int]:
    """The numbers of the partitions that a schedule makes in a few years, or in fewer days of shorter ones."""
    first = calendar.grain.on(SOME_DAY)
    return [calendar.grain.number(partition) for partition in calendar.made(first, calendar.grain.shift(first, LOOKED_AT))]


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' * (number != 1)}"
