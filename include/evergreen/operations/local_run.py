"""A local run of one model in this process: ingest what is missing, train, gate, promote, score, monitor, evaluate rules.

Each step is the same core function that a task of the model's DAGs calls, so a laptop and the nightly run agree.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.config.base import LONGEST_WINDOW
from include.evergreen.config.wording import listed
from include.evergreen.data.ingestion import ingest
from include.evergreen.data.partitions import OlderDeliveryError, current_partitions
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.reasons import checked_reason
from include.evergreen.foundation.span import Span
from include.evergreen.gates.decide import decide
from include.evergreen.gates.decision import Decision
from include.evergreen.monitoring.triggers import RuleOutlook, rule_outlooks
from include.evergreen.operations.progress import Progress, no_progress
from include.evergreen.operations.watching import watch
from include.evergreen.promotion.promote import awaits_approval, promote_blessed, register_candidate
from include.evergreen.registry import champions
from include.evergreen.registry.champions import Promotion, RegisteredVersion
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state.stage_status import Outcome
from include.evergreen.training.candidate import Candidate
from include.evergreen.training.snapshot import Snapshot
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train

log = logging.getLogger(__name__)
UNAVAILABLE_SHOWN = 3


@dataclass(frozen=True)
class CycleResult:
    """What came of each step. ``unavailable`` says why, for each ``dataset/partition`` that could not be ingested.

    ``version`` and ``promotion`` are None unless the gate blessed the candidate. ``rules`` says of each rule whether it would
    fire now; a cycle fires nothing.
    """

    model: str
    as_of: Partition
    ingested: list[str]
    unavailable: dict[str, str]
    snapshot: Snapshot
    candidate: Candidate
    is_new_candidate: bool
    decision: Decision
    version: RegisteredVersion | None
    promotion: Promotion | None
    scored: Outcome
    monitored: Outcome
    rules: list[RuleOutlook]


def run_cycle(
    catalog: Catalog,
    model: ModelConfig,
    as_of: Partition,
    *,
    window: Span | None = None,
    reason: str,
    actor: str,
    progress: Progress = no_progress,
) -> CycleResult:
    """Run every step of a model's DAGs as of one day; run again, it finds everything done and changes nothing.

    `DataError` names the partitions that could not be ingested when training then lacks days; `ConfigError` refuses bad arguments before
    any side effect.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param as_of: the day that it is trained for, and that is scored and monitored; after the first rows, and today at the latest
    :param window: how far before ``as_of`` the rows begin that it is trained on; None: ``train.window``
    :param reason: why, for the ledger; see `checked_reason`
    :param actor: who is recorded as promoting the version
    :param progress: is told the step, how much of it is done, and of how much
    :returns: what came of each step, and the partitions that the source does not have or that validation stops
    """
    window = window or model.train.window
    _refuse_bad_arguments(catalog, model, as_of, window)
    reason = checked_reason(model.name, reason)
    ingested, unavailable = _ingest_missing(partitions_needed(catalog, model, as_of, window), progress)
    with _step(progress, "snapshot"):
        snapshot = _snapshot(catalog, model, as_of, window, unavailable)
    with _step(progress, "train"):
        candidate, is_new = train(catalog, model, snapshot, reason)
    with _step(progress, "gate"):
        decision = decide(catalog, model, candidate)
    version, promotion = None, None
    if decision.verdict == "blessed":
        with _step(progress, "register"):
            version = register_candidate(catalog, model, candidate.run_key)
        with _step(progress, "promote"):
            promotion = _promote(catalog, model, version, actor, reason)
    existing = find_predictions(model.name, as_of)
    origin = existing.origin if existing else "live"  # as of a run that a person starts by hand in Airflow
    with _step(progress, "score"):
        scored = score(catalog, model, as_of, origin)
    with _step(progress, "monitor"):
        monitored = watch(catalog, model, as_of, origin)
    return CycleResult(
        model.name, as_of, ingested, unavailable, snapshot, candidate, is_new, decision, version, promotion, scored, monitored,
        rule_outlooks(model),
    )  # fmt: skip


def partitions_needed(catalog: Catalog, model: ModelConfig, as_of: Partition, window: Span) -> list[tuple[DatasetConfig, Partition]]:
    """List every partition that training and scoring as of one day may read.

    Only those that the dataset's schedule makes and that were known by then. Inputs reach their ``window`` further
    back than the window, because the features of its first day may: else a laptop would train another model than the
    night does.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param as_of: the day that it is trained for, and that is scored
    :param window: how far before ``as_of`` the rows begin that it is trained on
    :returns: each with its dataset, oldest first, and of one day by the dataset's name; whether it was ingested or not
    """
    oldest_row = model.calendar.minus(as_of, window)
    labels = model.labels
    spans = {labels.dataset: (labels.partitions(oldest_row)[0], labels.partitions(model.grain.shift(as_of, -1))[1])}
    for model_input in model.inputs:
        first, last = model.oldest(model_input.dataset, oldest_row), model.newest(model_input.dataset, as_of)
        if model_input.reads_newest:  # what came before the one that the oldest rows read is read by nothing
            first = catalog.dataset(model_input.dataset).newest_known(model.scored_at.moments(model.grain, oldest_row)[0], first) or first
        earlier, later = spans.get(model_input.dataset, (first, last))
        spans[model_input.dataset] = (min(first, earlier), max(last, later))
    needed = [
        (dataset, day)
        for dataset, (first, last) in ((catalog.dataset(name), span) for name, span in spans.items())
        for day in dataset.schedule.partitions(max(first, dataset.schedule.first), min(last, dataset.schedule.last))
        if _is_known(dataset, day, max(model.grain.start(as_of), model.moment(as_of)))
    ]
    return sorted(needed, key=lambda partition: (partition[1], partition[0].name))


def _refuse_bad_arguments(catalog: Catalog, model: ModelConfig, as_of: Partition, window: Span) -> None:
    count, least, unit = model.calendar.count, model.train.min_history, model.grain.noun
    if not model.grain.is_whole(window):
        raise ConfigError(f"{model.name}: {window} is no whole number of {unit}s; give {model.grain.span_of(count(window))}.")
    if not count(least) <= count(window) <= count(LONGEST_WINDOW):
        raise ConfigError(f"{model.name}: a window of {window} cannot train it; give {least} (its train.min_history) to {LONGEST_WINDOW}.")
    first, today = catalog.dataset(model.rows).schedule.first, model.grain.at(clock.now())
    if not first < as_of <= today:
        raise ConfigError(
            f"{model.name}: as_of {as_of} is {'in the future' if as_of > today else 'not after the first rows'}; "
            f"{model.rows} begins on {first}, so give a date after that, and today ({today}) at the latest."
        )


def _promote(catalog: Catalog, model: ModelConfig, version: RegisteredVersion, actor: str, reason: str) -> Promotion:
    if waits := awaits_approval(version):
        serving = champions.champion(model.name)
        return Promotion(False, serving.version if serving else champions.NO_VERSION, f"version {version.version} is registered: {waits}")
    return promote_blessed(catalog, model, version.version, actor=actor, reason=reason)


def _is_known(dataset: DatasetConfig, partition: Partition, moment: dt.datetime) -> bool:
    return dataset.known_from(partition) <= moment


def _ingest_missing(needed: list[tuple[DatasetConfig, Partition]], progress: Progress) -> tuple[list[str], dict[str, str]]:
    """Ingest what of ``needed`` is not there; returns what now is, and why the rest could not be."""
    missing = _missing(needed)
    ingested: list[str] = []
    unavailable: dict[str, str] = {}
    progress("ingest", 0, len(missing))
    for done, (dataset, day) in enumerate(missing, start=1):
        try:
            _refuse_what_is_past(dataset, day)
            ingest(dataset, day, "backfill")
            ingested.append(f"{dataset.name}/{day}")
        except OlderDeliveryError as error:  # another ingestion was quicker, so the partition is there
            log.info("%s", error)
        except DataError as error:
            unavailable[f"{dataset.name}/{day}"] = str(error)
            log.info("%s %s could not be ingested: %s", dataset.name, day, error)
        progress("ingest", done, len(missing))
    return ingested, unavailable


def _refuse_what_is_past(dataset: DatasetConfig, day: Partition) -> None:
    if dataset.has_no_past and day != dataset.newest_known(clock.now(), day):
        raise DataError(
            f"{dataset.name}: its source has the table of now alone, and that of {day} was not ingested then. If it was as it is now, "
            f"say since when it was known: evergreen ingest {dataset.name} {day} --known-at {day[: len('2013-02-09')]}"
        )


def _missing(needed: list[tuple[DatasetConfig, Partition]]) -> list[tuple[DatasetConfig, Partition]]:
    spans: dict[str, tuple[Partition, Partition]] = {}
    for dataset, day in needed:  # oldest first
        spans[dataset.name] = (spans.get(dataset.name, (day, day))[0], day)
    there = {(name, partition.partition) for name, span in spans.items() for partition in current_partitions(name, *span)}
    return [(dataset, day) for dataset, day in needed if (dataset.name, day) not in there]


def _snapshot(catalog: Catalog, model: ModelConfig, as_of: Partition, window: Span, unavailable: dict[str, str]) -> Snapshot:
    try:
        return take_snapshot(catalog, model, as_of, window)
    except DataError as error:
        if not unavailable:
            raise
        reasons = "\n".join(f"- {message}" for message in list(unavailable.values())[:UNAVAILABLE_SHOWN])
        raise DataError(f"{error}\nCould not be ingested: {listed(unavailable)}. The first reasons:\n{reasons}") from error


@contextmanager
def _step(progress: Progress, name: str) -> Iterator[None]:
    progress(name, 0, 1)
    yield
    progress(name, 1, 1)
