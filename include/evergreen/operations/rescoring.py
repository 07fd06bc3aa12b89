"""Scores and monitors a range of partitions again, without ingesting: after a fix, or for days that were missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import error_text
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import Span
from include.evergreen.operations.progress import Progress, no_progress
from include.evergreen.operations.watching import watch
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state.stage_status import Outcome, Stage

LONGEST_RANGE = Span(366, "day")  # a leap year: a slip in the year must not start thousands of runs
FAILED = "failed"
Work = Callable[[Catalog, ModelConfig, Partition, str], Outcome]
# in the order in which a partition passes them
_WORK: Mapping[Stage, Work] = {"score": score, "monitor": watch}


@dataclass(frozen=True)
class StageOutcome:
    """What came of one stage of one partition; beside the stage's own statuses there is ``failed``, with the error's message."""

    partition: Partition
    stage: Stage
    outcome: Outcome


def rescore(
    catalog: Catalog,
    model: ModelConfig,
    first: Partition,
    last: Partition,
    *,
    stages: Sequence[Stage] = ("score", "monitor"),
    progress: Progress = no_progress,
) -> list[StageOutcome]:
    """Take every partition of a range through stages again; what is up to date stays.

    New predictions inherit the origin of those that they replace, and are a ``backfill`` where there were none. `ConfigError`
    refuses a bad range or stage before any side effect; `TransientError` ends it at once, and what was done stays.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param first: the first day
    :param last: the last day, itself included; at most `LONGEST_RANGE` in all
    :param stages: one or both; a partition passes them in their own order, whatever the order here
    :param progress: is told the step, how much of it is done, and of how much
    :returns: one for each day and stage, oldest day first; of what could not be done, ``failed`` with the error's message
    """
    _refuse_bad_arguments(model, first, last, stages)
    days = model.grain.between(first, last)
    progress("rescore", 0, len(days))
    outcomes = []
    for done, day in enumerate(days, start=1):
        outcomes += _one_partition(catalog, model, day, stages)
        progress("rescore", done, len(days))
    return outcomes


def _refuse_bad_arguments(model: ModelConfig, first: Partition, last: Partition, stages: Sequence[Stage]) -> None:
    if first > last:
        raise ConfigError(f"{model.name}: the range {first} to {last} ends before it begins; give the earlier day first.")
    length = len(model.grain.between(first, last))
    if length > (longest := model.grain.partitions_in(LONGEST_RANGE)):
        raise ConfigError(
            f"{model.name}: the range {first} to {last} has {length} {model.grain.noun}s; at most {longest} at a time. "
            f"Give a shorter one, and the next after it."
        )
    unknown = [stage for stage in stages if stage not in _WORK]
    if unknown or not stages:
        raise ConfigError(f"{model.name}: cannot rescore the stages {list(stages)}; give one or more of {', '.join(_WORK)}.")


def _one_partition(catalog: Catalog, model: ModelConfig, day: Partition, stages: Sequence[Stage]) -> list[StageOutcome]:
    existing = find_predictions(model.name, day)
    origin = existing.origin if existing else "backfill"
    outcomes = []
    for stage, work in _WORK.items():
        if stage in stages:
            outcomes.append(StageOutcome(day, stage, attempt(work, catalog, model, day, origin)))
    return outcomes


def attempt(work: Work, catalog: Catalog, model: ModelConfig, partition: Partition, origin: str) -> Outcome:
    """Do a stage's work for one partition among several; what fails, for whatever reason but a transient one, is an outcome too.

    :param work: `score` or `watch`
    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param partition: the day that it works on
    :param origin: ``live`` or ``backfill``
    :returns: what the stage says, or ``failed`` with the error's message
    :raises Exception: a transient one, or when memory does not suffice
    """
    try:
        return work(catalog, model, partition, origin)
    except Exception as error:
        if isinstance(error, TransientError | MemoryError):
            raise
        return Outcome(FAILED, error_text(catalog, model, error), {})
