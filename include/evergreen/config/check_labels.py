"""Problems of the target: where labels are, when they come, and which classes there are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from include.evergreen.config.base import LONGEST_WAIT
from include.evergreen.config.check_times import as_said
from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.document import Key
from include.evergreen.config.label_keys import keys_problem
from include.evergreen.config.models import ModelConfig
from include.evergreen.config.schedule import A_YEAR
from include.evergreen.config.wording import did_you_mean, listed, unknown
from include.evergreen.foundation.span import Span


def target_problems(model: ModelConfig, known: list[str], datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    """Find targets that are not there, cannot be joined, or could never have a label.

    :param model: as it is declared
    :param known: the names of all datasets
    :param datasets: those of them whose own files are sound
    :yields: the key, and what is wrong with it
    """
    target = model.target
    if target.dataset not in known:
        yield ("target", "dataset"), unknown("dataset", target.dataset, known)
    elif target.dataset in datasets:  # else its own file is wrong, and says so
        columns = {column.name: column for column in datasets[target.dataset].columns}
        if target.column not in columns:
            yield ("target", "column"), unknown(f"column of {target.dataset}", target.column, list(columns))
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
        enough = as_said(window, grain, calendar.count(least) + immature)
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
