"""Validates all declarations: every file by itself, then the references between files."""

from __future__ import annotations

import ast
import datetime as dt
import importlib
import keyword
import math
from bisect import bisect_left
from collections.abc import Iterator
from itertools import count
from typing import Any

from include.evergreen.config.base import LONGEST_DRIFT_WINDOW, LONGEST_WAIT, LONGEST_WINDOW
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.catalog import Catalog
from include.evergreen.config.document import Key
from include.evergreen.config.gate import (
    ENOUGH_DAYS,
    AbsoluteCriterion,
    BaselineCriterion,
    BehaviourCriterion,
    ChampionCriterion,
    Criterion,
    SlicesCriterion,
)
from include.evergreen.config.label_keys import keys_problem
from include.evergreen.config.loader import describe, shown_path
from include.evergreen.config.metrics import (
    ESTIMATED,
    LABEL_SHARE,
    METRICS,
    PERFORMANCE,
    Metric,
    Sliced,
    metrics_of,
    missing_metric,
    observation_names,
    observation_range,
    parse_sliced,
)
from include.evergreen.config.models import AfterPartition, DatasetConfig, Input, ModelConfig, Reference, Rule, Volume
from include.evergreen.config.schedule import A_YEAR, clock_problem, cron_problem
from include.evergreen.config.wording import did_you_mean, listed
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import MINUTES, MONTHS, WEEK, Span

SOME_DAY = dt.date(2013, 12, 31)
READS_SPANS = ("window", "trailing", "latest", "lookup")  # of the reader
LOOKED_AT = 2000  # partitions, in which a schedule shows what it leaves out
WINDOW_COLUMN = "partition"  # in which `read.window` gives the day of each row


def check_catalog(catalog: Catalog) -> list[str]:
    """Check every declaration by itself, and then what they say of each other.

    :param catalog: what is declared now
    :returns: ``file:line: key: what is wrong`` for each problem, datasets first, then models, each by name; empty when all is sound
    """
    problems = _undeclared_folders(catalog)
    known = catalog.dataset_names()
    datasets: dict[str, DatasetConfig] = {}
    for name in known:
        try:
            datasets[name] = catalog.dataset(name)
            problems += describe(catalog.dataset_path(name), list(_of_dataset(datasets[name])))
        except ConfigError as error:
            problems += str(error).splitlines()
    for dataset in datasets.values():
        problems += describe(catalog.dataset_path(dataset.name), list(_reference_problems(dataset, known, datasets)))
    for name in catalog.model_names():
        try:
            problems += describe(catalog.model_path(name), list(_of_model(catalog.model(name), known, datasets)))
        except ConfigError as error:
            problems += str(error).splitlines()
        problems += _features_problems(catalog, name)
        problems += _checks_problems(catalog, name)
    return list(dict.fromkeys(problems))  # a model that takes features from a dataset's columns repeats what is wrong with that


def catalog_warnings(catalog: Catalog) -> list[str]:
    """Say what is sound and yet worth a thought. Raises `ConfigError` for a model whose file is wrong: see `check_catalog` first.

    :param catalog: what is declared now, without problems
    :returns: a line for each warning, in the form of the problems, by model
    """
    warnings = []
    for name in catalog.model_names():
        model = catalog.model(name)
        grain, kinds = model.grain, model.gate.judged_by_days
        held_out, unit = _most_made(model, model.train.holdout), grain.noun
        if kinds and held_out < ENOUGH_DAYS:
            text = (
                f"{held_out} {unit}s are few to show how {unit}s differ, so the intervals of {' and '.join(kinds)} are wide and only large "
                f"differences pass; {_enough(model, model.train.holdout, ENOUGH_DAYS)} or more are better, or gate.resample: rows if the "
                f"rows of {grain.a_partition} are independent"
            )
            warnings += describe(catalog.model_path(name), [(("train", "holdout"), text)])
        warnings += describe(catalog.model_path(name), list(_rollout_warnings(catalog, model)))
    return warnings


def _undeclared_folders(catalog: Catalog) -> list[str]:
    """Folders that someone may take for a dataset or a model, and that nothing reads."""
    problems = []
    for kind, names in (("dataset", catalog.dataset_names()), ("model", catalog.model_names())):
        for folder in sorted((catalog.root / f"{kind}s").glob("*/")):
            if folder.name not in names and not folder.name.startswith((".", "_")):
                problems.append(f"{shown_path(folder)}: has no {kind}.yaml; add one, or remove the folder")
    return problems


def _of_dataset(dataset: DatasetConfig) -> Iterator[tuple[Key, str]]:
    columns = [column.name for column in dataset.columns]
    ours = {column.source_name: column.name for column in dataset.columns}
    for index, expectation in enumerate(dataset.expectations):
        for key in ("column", "column_A", "column_B", "column_list"):
            named = expectation.arguments.get(key)
            for column in named if isinstance(named, list) else [named]:
                if column in ours and column not in columns:
                    text = f"{column!r} is what the source calls {ours[column]}; write {ours[column]}, its name here"
                    yield ("expectations", index, "arguments", key), text
                elif column is not None and column not in columns:
                    yield ("expectations", index, "arguments", key), _unknown("column", column, columns)
    yield from _dataset_span_problems(dataset)
    schedule = dataset.schedule
    if problem := clock_problem(schedule, dataset.grain):
        yield ("schedule", "cron"), problem


def _dataset_span_problems(dataset: DatasetConfig) -> Iterator[tuple[Key, str]]:
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


def _reference_problems(dataset: DatasetConfig, known: list[str], datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    """A reference to what is not there would never be evaluated, and nobody would see it fail."""
    types = {column.name: column.type for column in dataset.columns}
    for index, reference in enumerate(dataset.references):
        if reference.dataset not in known:
            yield ("references", index, "dataset"), _unknown("dataset", reference.dataset, known)
        elif reference.dataset in datasets:  # else its own file is wrong, and says so
            there = {column.name: column.type for column in datasets[reference.dataset].columns}
            grains = dataset.grain, datasets[reference.dataset].grain
            if grains[0] != grains[1]:
                text = (
                    f"the partitions of {reference.dataset} are {grains[1].noun}s and those of this dataset {grains[0].noun}s, so nothing "
                    f"would be found in it; name a dataset of the same grain"
                )
                yield ("references", index, "dataset"), text
            key = "to" if reference.to else "columns"
            for column, other in zip(reference.columns, reference.to or reference.columns, strict=True):
                if other not in there:
                    yield ("references", index, key), _unknown(f"column of {reference.dataset}", other, list(there))
                elif types[column] != there[other]:
                    text = f"{column} is a {types[column]} and {other} of {reference.dataset} a {there[other]}; both must be of one type"
                    yield ("references", index, key), text


def _of_model(model: ModelConfig, known: list[str], datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    for index, model_input in enumerate(model.inputs):
        name = model_input.dataset
        if name not in known:
            yield ("inputs", index, "dataset"), _unknown("dataset", name, known)
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
    yield from _target_problems(model, known, datasets)
    yield from _personal_problems(model, datasets)
    yield from _own_metric_problems(model)
    yield from _train_problems(model)
    if model.rows in datasets:
        yield from _schedule_problems(model)
        yield from _window_problems(model)
        yield from _rollout_problems(model, datasets[model.rows])
    yield from _gate_problems(model, datasets)
    yield from _monitor_problems(model)
    yield from _rule_problems(model)


def _rule_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    """Rules that watch what is never observed, or a bound that is never passed."""
    for index, rule in enumerate(model.retrain.rules):
        if rule.metric == LABEL_SHARE:
            text = f"{LABEL_SHARE} says how many labels have come, and no training brings more; choose another metric"
            yield ("retrain", "rules", index, "metric"), text
            continue
        if sliced := parse_sliced(model, rule.metric):
            if problem := _slice_problem(model, sliced):
                yield ("retrain", "rules", index, "metric"), problem
                continue
        elif rule.metric not in (names := observation_names(model)):
            lacks = rule.metric.startswith("performance.") and rule.metric.partition(".")[2] in METRICS[model.task]
            unknown = _unknown(f"observation of a {model.task}", rule.metric, names)
            yield ("retrain", "rules", index, "metric"), missing_metric(model, rule.metric.partition(".")[2]) if lacks else unknown
            continue
        yield from ((("retrain", "rules", index, key), text) for key, text in _rule_bound_problems(model, rule))


def _rule_bound_problems(model: ModelConfig, rule: Rule) -> Iterator[tuple[str, str]]:
    """A bound that can never be passed, or that nothing is known to make it of."""
    lowest, highest = observation_range(model, rule.metric)
    key, bound = ("below" if rule.above is None else "above"), rule.declared_bound
    if rule.relative_to == "promotion":
        group, _, name = rule.metric.partition(".")
        metric = metrics_of(model).get(name) if f"{group}." in (PERFORMANCE, ESTIMATED) else None
        if metric is None:
            yield "relative_to", f"{rule.metric} has no figure at promotion; choose a metric of performance or estimated, or {key}: learned"
        elif metric.better == "zero":
            yield "relative_to", f"{name} is about 0, of which a share says nothing; give {key} as a figure, or {key}: learned"
        elif bound is not None and bound <= 0:
            yield key, f"{bound:g} is a share of the figure at promotion; give one above 0, such as {0.95 if key == 'below' else 1.2:g}"
        return
    if bound is not None and key == "above" and bound >= highest:
        yield key, f"{bound:g} can never be passed: {rule.metric} is at most {highest:g}"
    if bound is not None and key == "below" and bound <= lowest:
        yield key, f"{bound:g} can never be passed: {rule.metric} is at least {lowest:g}"


def _slice_problem(model: ModelConfig, sliced: Sliced) -> str:
    """Why a rule about one slice would never see a figure; empty when it may."""
    if sliced.metric not in metrics_of(model):
        return missing_metric(model, sliced.metric)
    if sliced.feature not in model.monitor.slices:
        wanted = ", ".join([*model.monitor.slices, sliced.feature])
        return f"performance is not observed by {sliced.feature}; add it: monitor.slices: [{wanted}]"
    return ""


def _monitor_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    features = {feature.name: feature for feature in model.features}
    categorical = [feature.name for feature in model.features if feature.kind == "categorical" and not feature.personal]
    for index, name in enumerate(model.monitor.slices):
        key: Key = ("monitor", "slices", index)
        if name not in features:
            yield key, _unknown("feature", name, categorical)
        elif features[name].personal:
            yield key, f"{name} is personal, and its values would be names of observations; allowed: {listed(categorical)}"
        elif name not in categorical:
            yield key, f"{name} is numeric, and no two rows may have the same value; allowed: {listed(categorical)}"


def _lag_problems(model: ModelConfig, model_input: Input, dataset: DatasetConfig) -> Iterator[tuple[str, str]]:
    """An input that is not known yet when the newest partition of it that is read is asked for: nothing would ever be scored."""
    grain, name, calendar = dataset.grain, dataset.name, dataset.schedule.calendar
    read = _read_as_of(model, dataset)
    if all(dataset.known_from(calendar.minus(newest, model_input.lag)) <= moment for newest, moment in read):
        return
    lag = calendar.count(model_input.lag)
    longer = (_as_said(model_input.lag, grain, more) for more in count(lag + 1))
    enough = next(span for span in longer if all(dataset.known_from(calendar.minus(newest, span)) <= moment for newest, moment in read))
    advice = f"use at least {enough}"
    if name == model.rows and not lag:
        rule = dataset.knowledge.model_dump(include=set(AfterPartition.model_fields), exclude_none=True)
        said = [*(f"{what}: {when:g}" for what, when in rule.items()), *([f"column: {model.own_time}"] if model.own_time else [])]
        scored_at = f"score rows when they are known, with scored_at: {{{', '.join(said)}}}"
        advice = scored_at if model.own_time else f"{advice}, or {scored_at}"
    yield "lag", f"{model_input.lag} is too short: {name} is known {dataset.knowledge.text(grain)}; {advice}"


def _as_said(span: Span, grain: Grain, partitions: int) -> Span:
    """So many partitions, in partitions if a span was said so, and else in time."""
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
        yield ("scored_at", "column"), _unknown(f"column of {rows.name}", name, moments or list(columns))
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
        return _as_said(said, calendar.grain, wanted)
    made = _numbers_made(calendar)
    lengths = [later - earlier + 1 for earlier, later in zip(made, made[wanted - 1 :], strict=False)]
    return calendar.grain.span_of(min(lengths)) if lengths else Span(wanted, "partition")


def _numbers_made(calendar: Calendar) -> list[int]:
    """The numbers of the partitions that a schedule makes in a few years, or in fewer days of shorter ones."""
    first = calendar.grain.on(SOME_DAY)
    return [calendar.grain.number(partition) for partition in calendar.made(first, calendar.grain.shift(first, LOOKED_AT))]


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' * (number != 1)}"


def _rollout_problems(model: ModelConfig, rows: DatasetConfig) -> Iterator[tuple[Key, str]]:
    """A roll-out that could never be decided, or never divide the rows."""
    rollout, unit = model.rollout, model.grain.noun
    if not rollout.steps:
        return
    if model.gate.against_champion is None:
        text = (
            f"{rollout.strategy} compares with the champion, and no criterion of the gate says by which metric and margin; add one of "
            f"kind champion to gate.criteria"
        )
        yield ("rollout", "strategy"), text
    if rollout.partitions == 1 and model.gate.resample == "days":
        text = (
            f"1 does not show how {unit}s differ, so nothing would ever be decided; use {ENOUGH_DAYS} or more, or gate.resample: rows if "
            f"the rows of {model.grain.a_partition} are independent"
        )
        yield ("rollout", "partitions"), text
    if max(rollout.steps) and not rows.keys:
        yield ("rollout", "strategy"), f"{rollout.strategy} divides the rows by their keys, and {rows.name} has none; declare its keys"


def _rollout_warnings(catalog: Catalog, model: ModelConfig) -> Iterator[tuple[Key, str]]:
    """What a roll-out decides by is little, or comes long after it was scored."""
    rollout, grain = model.rollout, model.grain
    if not rollout.steps:
        return
    unit, count = grain.noun, rollout.partitions
    if count < ENOUGH_DAYS and model.gate.resample == "days":
        text = f"{count} {unit}s are few to show how {unit}s differ, so only large differences are seen; {ENOUGH_DAYS} or more are better"
        yield ("rollout", "partitions"), text
    first = grain.on(catalog.dataset(model.rows).schedule.start)
    last = grain.shift(first, count - 1)
    target = catalog.dataset(model.target.dataset)
    wait = target.known_from(model.labels.partitions(last)[1]) - grain.end(last)
    if wait > grain.end(last) - grain.start(first):
        whole = len(rollout.steps) * (grain.end(last) - grain.start(first) + wait)
        text = (
            f"the labels of {grain.a_partition} come {_in_days(wait)} after it, so that each step of {count} {unit}s is decided so much "
            f"later: a "
            f"whole roll-out takes about {_in_days(whole)}"
        )
        yield ("rollout", "partitions"), text


def _in_days(length: dt.timedelta) -> str:
    return f"{length / dt.timedelta(days=1):.3g} days"


def _train_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    train = model.train
    for index, choice in enumerate(train.choices):
        key: Key = ("train", "estimators", index, "estimator") if train.estimators else ("train", "estimator")
        if not _is_import_path(choice.estimator):
            yield key, f"{choice.estimator!r} is not an import path, such as sklearn.linear_model.Ridge"
        elif train.run_in != "docker" and (problem := _import_problem(choice.estimator)):  # a container has libraries of its own
            yield key, f"{choice.estimator!r} {problem}"
    for index, name in enumerate(train.trusted_types):
        if not _is_import_path(name):
            yield ("train", "trusted_types", index), f"{name!r} is not an import path, such as lightgbm.sklearn.LGBMClassifier"
    if train.tune is not None and train.tune.metric is not None:
        metric = metrics_of(model).get(train.tune.metric)
        if metric is None:
            yield ("train", "tune", "metric"), missing_metric(model, train.tune.metric)
        elif metric.is_of_decisions and model.metrics.learned_threshold is not None:
            others = [other.name for other in metrics_of(model).values() if not other.is_of_decisions]
            text = f"{metric.name} depends on the decision threshold, which is learned after tuning; allowed: {listed(others)}"
            yield ("train", "tune", "metric"), f"{text}, or declare metrics.decision_threshold"
    if train.weights is not None and train.weights.classes is not None and model.task == "regression":
        yield ("train", "weights", "classes"), f"is for classification, and this is a {model.task}; remove it"
    numeric = [feature.name for feature in model.features if feature.kind == "numeric"]
    if train.weights is not None and train.weights.feature not in (None, *numeric):
        yield ("train", "weights", "feature"), _unknown("numeric feature", train.weights.feature, numeric)


def _gate_problems(model: ModelConfig, datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    for index, criterion in enumerate(model.gate.criteria):
        key: Key = ("gate", "criteria", index)
        metric = getattr(criterion, "metric", None)
        if metric is not None and metric not in metrics_of(model):
            yield (*key, "metric"), missing_metric(model, metric)
        elif metric is not None:
            for name, text in _bound_problems(criterion, metrics_of(model)[metric]):
                yield (*key, name), text
        if isinstance(criterion, SlicesCriterion):
            for name, text in _slices_problems(criterion, model, datasets):
                yield (*key, name), text


def _bound_problems(criterion: Criterion, metric: Metric) -> Iterator[tuple[str, str]]:
    """A bound that no candidate could meet would reject them all, and each rejection would look like its own fault."""
    (lowest, highest), name = metric.range, metric.judged_name
    if metric.better == "zero":
        lowest = 0
    if isinstance(criterion, AbsoluteCriterion | SlicesCriterion):
        if criterion.at_least is not None and metric.better == "zero":
            yield "at_least", f"{metric.name} is best at 0, and this asks for a large one; give at_most, which bounds its size"
        elif criterion.at_least is not None and criterion.at_least > highest:
            yield "at_least", f"{criterion.at_least:g} can never be met: {name} is at most {highest:g}"
        if criterion.at_most is not None and criterion.at_most < lowest:
            yield "at_most", f"{criterion.at_most:g} can never be met: {name} is at least {lowest:g}"
    must_be_better = isinstance(criterion, BaselineCriterion) or (isinstance(criterion, ChampionCriterion) and criterion.must == "better")
    if isinstance(criterion, BaselineCriterion) and not metric.baseline:
        best = {"recall": "calling every row positive has a recall of 1", "bias": "the mean of what was fitted on has next to none"}
        told = best.get(metric.name, "calling every row so has a recall of 1")
        yield "metric", f"{metric.name} is no measure against a constant: {told}; choose another metric"
    elif isinstance(criterion, BaselineCriterion) and metric.name in ("auc", "auc_ovr") and criterion.margin >= 0.5:
        yield "margin", f"{criterion.margin:g} can never be met: the {metric.name} of a constant is 0.5, and the best is 1"
    elif must_be_better and (margin := getattr(criterion, "margin", 0.0)) >= highest - lowest:
        yield "margin", f"{margin:g} can never be met: {name} is from {lowest:g} to {highest:g}"


def _own_metric_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    ours = {name for metrics in METRICS.values() for name in metrics}
    for index, own in enumerate(model.metrics.own):
        if own.name in ours:
            yield ("metrics", "own", index, "name"), f"{own.name!r} is one of ours; give your metric another name"
        if not _is_import_path(own.function):
            yield ("metrics", "own", index, "function"), f"{own.function!r} is not an import path, such as profit.per_row"


def _slices_problems(criterion: SlicesCriterion, model: ModelConfig, datasets: dict[str, DatasetConfig]) -> Iterator[tuple[str, str]]:
    """Slices are named by their values, which decisions, cards and the ledger keep for ever: so not by a person's without a word."""
    if criterion.judge in ("disparate_impact", "equal_opportunity") and model.task != "classification":
        text = f"{criterion.judge} is for classification, and this is a {model.task}; allowed: worst, difference"
        yield "judge", f"{text}, such as of metric: recall:CLASS" if model.task == "multiclass" else text
    features = {feature.name: feature.personal for feature in model.features}
    columns = {column.name: column.personal for column in datasets[model.rows].columns} if model.rows in datasets else {}
    is_personal = features.get(criterion.by) or columns.get(criterion.by)
    if is_personal and model.rows in datasets and datasets[model.rows].keys == (criterion.by,):
        text = f"{criterion.by!r} is personal and the key of {model.rows}, so its values name persons and not groups; choose another column"
        yield "by", text
    elif is_personal and not criterion.allow_personal:
        text = (
            f"{criterion.by!r} is personal, and the names of slices are kept for ever; choose a column that is not, or set "
            f"allow_personal: true, which shows no group of fewer than smallest_group rows"
        )
        yield "by", text
    elif criterion.allow_personal and columns and not is_personal:
        yield "allow_personal", f"{criterion.by!r} is not personal; remove it, or set personal: true where the column is declared"
    elif columns and criterion.by not in {**features, **columns}:
        allowed = [name for name, personal in {**columns, **features}.items() if not personal]
        yield "by", _unknown(f"feature or column of {model.rows}", criterion.by, allowed)


def _target_problems(model: ModelConfig, known: list[str], datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    target = model.target
    if target.dataset not in known:
        yield ("target", "dataset"), _unknown("dataset", target.dataset, known)
    elif target.dataset in datasets:  # else its own file is wrong, and says so
        columns = {column.name: column for column in datasets[target.dataset].columns}
        if target.column not in columns:
            yield ("target", "column"), _unknown(f"column of {target.dataset}", target.column, list(columns))
        else:
            yield from _class_problems(model, columns[target.column].type, datasets[target.dataset])
            if model.task == "multiclass" and columns[target.column].personal:
                text = f"{target.column} is personal, and decisions, cards and reports name classes by its values; choose another column"
                yield ("target", "column"), text
        if model.rows in datasets:
            if problem := keys_problem(datasets[model.rows], datasets[target.dataset]):
                yield ("target", "dataset"), problem
            yield from _late_label_problems(model, datasets[model.rows], datasets[target.dataset])


def _late_label_problems(model: ModelConfig, rows: DatasetConfig, target: DatasetConfig) -> Iterator[tuple[Key, str]]:
    """A wait for labels that no row survives: nothing would ever be mature, or nothing within the window that is trained on."""
    within, window, least = model.target.within, model.train.window, model.train.min_history
    if not within:
        return
    labels, schedule, grain, calendar = model.labels, rows.schedule, rows.grain, rows.schedule.calendar
    as_of = grain.plus(grain.plus(schedule.first, Span(A_YEAR, "day")), LONGEST_WAIT)
    before, wanted = calendar.before(as_of, window), len(calendar.before(as_of, least))
    ends = [labels.partitions(partition)[1] for partition in before]
    begins = grain.start(as_of)
    mature = sum(target.known_from(last) <= begins for last in ends)
    if mature < wanted:
        newest = (labels.partitions(grain.shift(as_of, -1 - number))[1] for number in count())
        immature = next(number for number, last in enumerate(newest) if target.known_from(last) <= begins)
        enough = _as_said(window, grain, calendar.count(least) + immature)
        text = (
            f"{window} is too short: labels come within {within} (target.within) and are known "
            f"{target.knowledge.text(labels.grain, 'their')}, so {mature or 'none'} of the {len(before)} {grain.noun}s before "
            f"as_of have all their labels, and train.min_history asks for {wanted}; use at least {enough}"
        )
        yield ("train", "window"), text
    last = min(schedule.last, grain.plus(schedule.first, Span(A_YEAR, "day")))
    scored = [day for partition in schedule.partitions(schedule.first, last) for day in model.scored_by(rows.name, partition)]
    if scored and not any(target.schedule.partitions(*model.labels.partitions(day)) for day in scored):
        text = (
            f"{within} is too short: the schedule of {target.name} ({target.schedule.cron}) makes no partition within {within} of any of "
            f"{rows.name} ({rows.schedule.cron}), so no row would ever have a label; use more, or correct the schedules"
        )
        yield ("target", "within"), text


def _class_problems(model: ModelConfig, kind: str, dataset: DatasetConfig) -> Iterator[tuple[Key, str]]:
    """What a column of this type cannot be, and what would do."""
    target, column = model.target, model.target.column
    if kind == "timestamp":
        yield ("target", "column"), f"{column} is a timestamp, and a target is an integer, a number, a boolean or a text"
    elif model.task == "multiclass":
        yield from _several_class_problems(model, kind, dataset)
    elif kind == "string" and target.positive is None:
        key = "column" if target.positive_above is None else "positive_above"
        text = f"{column} is a string, and no figure; use task: classification, and positive: the text that is positive"
        yield ("target", key), f"{text}; or task: multiclass"
    elif target.positive is not None and kind == "number":
        yield ("target", "positive"), f"{column} is a number, which is hardly ever just one value; use positive_above"
    elif target.positive is not None and type(target.positive) is not {"boolean": bool, "integer": int, "string": str}[kind]:
        yield ("target", "positive"), f"{target.positive!r} is no {kind}, as {column} is; write {_written(kind, target.positive)}"
    elif target.positive is not None:
        for allowed in _value_sets(dataset, column):
            if target.positive not in allowed:
                text = f"no row would ever be positive: {column} of {dataset.name} is never {target.positive!r}"
                values = list(map(str, allowed))
                yield ("target", "positive"), f"{text}; {did_you_mean(target.positive, values)}allowed: {listed(values)}"


def _several_class_problems(model: ModelConfig, kind: str, dataset: DatasetConfig) -> Iterator[tuple[Key, str]]:
    column, classes = model.target.column, model.target.classes or ()
    if kind == "number":
        text = f"{column} is a number, of which there are too many for classes; declare it as an integer, or use task: regression"
        yield ("target", "column"), text
        return
    for index, value in enumerate(classes):
        if type(value) is not {"boolean": bool, "integer": int, "string": str}[kind]:
            yield ("target", "classes", index), f"{value!r} is no {kind}, as {column} is; write {_written(kind, value)}"
            return  # the others are mostly alike
    for allowed in _value_sets(dataset, column):
        for index, value in enumerate(classes):
            if value not in allowed:
                values = list(map(str, allowed))
                text = f"no row would ever be of it: {column} of {dataset.name} is never {value!r}"
                yield ("target", "classes", index), f"{text}; {did_you_mean(value, values)}allowed: {listed(values)}"


def _value_sets(dataset: DatasetConfig, column: str) -> Iterator[list[Any]]:
    """To which values the dataset's expectations hold a column."""
    for expectation in dataset.expectations:
        allowed = expectation.arguments.get("value_set")
        is_of_column = (expectation.expect, expectation.arguments.get("column")) == ("expect_column_values_to_be_in_set", column)
        if is_of_column and isinstance(allowed, list):
            yield allowed


def _written(kind: str, value: object) -> str:
    """How a value of a type is written in YAML, in place of one of another type."""
    ways = {"boolean": "true or false", "integer": "a whole number"}
    return ways.get(kind, f'it in quotes, such as "{str(value).lower()}"')


def _personal_problems(model: ModelConfig, datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    """A feature that bears the name of a personal column is taken to carry its values."""
    sources = {model_input.dataset for model_input in model.inputs} & datasets.keys()
    for index, feature in enumerate(model.features):
        owners = sorted(name for name in sources if feature.name in datasets[name].personal_columns)
        if owners and not feature.personal:
            text = (
                f"{feature.name!r} is a personal column of {owners[0]}; set personal: true, so that no report shows its values, "
                f"or leave the feature out"
            )
            yield ("features", index, "name"), text


def _features_problems(catalog: Catalog, name: str) -> list[str]:
    path = catalog.features_path(name)
    if not path.is_file():
        return [f"{shown_path(path)}: there is no such file; model {name!r} needs it to compute its features, write it"]
    try:
        tree = ast.parse(path.read_bytes(), path)
        compile(tree, path, "exec")
    except (SyntaxError, ValueError) as error:  # ValueError: of null bytes, on some versions of Python
        line = getattr(error, "lineno", None) or 1
        return [f"{shown_path(path)}:{line}: {getattr(error, 'msg', error)}; correct the file"]
    return [f"{shown_path(path)}:{line}: {text}" for line, text in _older_calls(tree)]


def _older_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls of the reader that say a number of days, as kept recipes may and new ones do not."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr not in READS_SPANS:
            continue
        named = [(f"{keyword.arg}=", keyword.value) for keyword in call.keywords if keyword.arg in ("days", "span")]
        placed = [("", call.args[1])] if call.func.attr == "window" and len(call.args) > 1 else []
        for name, value in named + placed:
            number = value.value if isinstance(value, ast.Constant) else None
            if name == "days=" or isinstance(number, int):
                said = f"{Span(number, 'day')}" if isinstance(number, int) else "60 days"
                yield value.lineno, f"{name}{ast.unparse(value)} is now span: write span={said!r}"


def _checks_problems(catalog: Catalog, name: str) -> list[str]:
    """A behaviour criterion without a checks.py would never be evaluated; checks that no criterion asks for, never tried."""
    path = catalog.model_path(name).with_name("checks.py")
    try:
        asked = any(isinstance(criterion, BehaviourCriterion) for criterion in catalog.model(name).gate.criteria)
    except ConfigError:
        return []  # its own file is wrong, and says so
    if asked and not path.is_file():
        return [f"{shown_path(path)}: there is no such file; the behaviour criterion of model {name!r} needs it, write it"]
    if path.is_file() and not asked:
        return [f"{shown_path(path)}: is never tried; add {{kind: behaviour}} to gate.criteria of model {name!r}, or remove the file"]
    return []


def _is_import_path(text: str) -> bool:
    parts = text.split(".")
    return len(parts) > 1 and all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


def _import_problem(path: str) -> str | None:
    """Why no estimator can be made from an import path in this environment, if so."""
    module, _, name = path.rpartition(".")
    try:
        found = importlib.import_module(module)
    except Exception as error:  # a library may raise anything at its import
        return f"cannot be imported here ({error}); install it, or give the import path of an estimator that is"
    if not hasattr(found, name):
        return f"cannot be imported here: {module} has no {name!r}; {did_you_mean(name, dir(found))}give the path of a class in it"
    if not callable(factory := getattr(found, name)):
        return f"is a {type(factory).__name__}, and no class or function that makes an estimator"
    return None


def _unknown(kind: str, value: object, allowed: list[str]) -> str:
    return f"unknown {kind} {value!r}; {did_you_mean(value, allowed)}allowed: {listed(allowed)}"
