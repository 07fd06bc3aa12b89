"""A whole cycle of one model in this process: ingest what is missing, train, gate, promote, score, monitor and ask the rules.

Each step is the same core function that a task of the model's DAGs calls, so the laptop and the night agree.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.config.wording import listed
from include.evergreen.data.ingestion import ingest
from include.evergreen.data.partitions import current_partitions
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.gates import Decision, decide
from include.evergreen.monitoring import monitor
from include.evergreen.monitoring.triggers import RuleOutlook, rule_outlooks
from include.evergreen.promotion.promote import awaits_approval, promote_blessed, register_candidate
from include.evergreen.registry import champions
from include.evergreen.registry.champions import Promotion, RegisteredVersion
from include.evergreen.scoring.score import Outcome, find_predictions, score
from include.evergreen.training import Candidate, Snapshot, take_snapshot, train

log = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]  # the step's name, how much of it is done, and of how much
LONGEST_WINDOW_DAYS = 3660  # ten years: more is a slip of the pen, and would reach back before the calendar begins
LONGEST_REASON = 500  # what the database's column holds
UNAVAILABLE_SHOWN = 3


@dataclass(frozen=True)
class CycleResult:
    """What came of each step. ``unavailable`` says why, for each ``dataset/partition`` that could not be ingested.

    ``version`` and ``promotion`` are None unless the gate blessed the candidate. ``rules`` says of each rule whether it would
    fire now; a cycle fires nothing.
    """

    model: str
    as_of: dt.date
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


def no_progress(step: str, done: int, total: int) -> None:
    """For callers that show none."""


def run_cycle(
    catalog: Catalog,
    model: ModelConfig,
    as_of: dt.date,
    *,
    window_days: int | None = None,
    reason: str,
    actor: str,
    progress: Progress = no_progress,
) -> CycleResult:
    """Run every step as of ``as_of``; run again, it finds everything done and changes nothing.

    Partitions that the source does not have, or that validation stops, are listed in the result. Raises `DataError`
    naming them when training then lacks days, `ConfigError` for bad arguments before any side effect.
    """
    window = model.train.window_days if window_days is None else window_days
    _refuse_bad_arguments(catalog, model, as_of, window, reason)
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
    standing = find_predictions(model.name, as_of)
    origin = standing.origin if standing else "live"  # as of a run that a person starts by hand in Airflow
    with _step(progress, "score"):
        scored = score(catalog, model, as_of, origin)
    with _step(progress, "monitor"):
        monitored = monitor(catalog, model, as_of, origin)
    return CycleResult(
        model.name, as_of, ingested, unavailable, snapshot, candidate, is_new, decision, version, promotion, scored, monitored,
        rule_outlooks(model),
    )  # fmt: skip


def partitions_needed(catalog: Catalog, model: ModelConfig, as_of: dt.date, window_days: int) -> list[tuple[DatasetConfig, dt.date]]:
    """Every partition that training and scoring as of ``as_of`` may read, oldest first.

    Only those that the dataset's schedule makes and that were known by then. Inputs reach their ``window_days`` further
    back than the window, because the features of its first day may: else a laptop would train another model than the
    night does.
    """
    oldest_row = as_of - dt.timedelta(days=window_days)
    spans = {model.target.dataset: (oldest_row, as_of - dt.timedelta(days=1))}
    for each in model.inputs:
        lag = dt.timedelta(days=each.lag_days)
        first, last = oldest_row - lag - dt.timedelta(days=each.window_days - 1), as_of - lag
        earlier, later = spans.get(each.dataset, (first, last))
        spans[each.dataset] = (min(first, earlier), max(last, later))
    needed = [
        (dataset, day)
        for dataset, (first, last) in ((catalog.dataset(name), span) for name, span in spans.items())
        for day in clock.days(max(first, dataset.schedule.start), min(last, dataset.schedule.end or last))
        if _is_known(dataset, day, as_of)
    ]
    return sorted(needed, key=lambda each: (each[1], each[0].name))


def _refuse_bad_arguments(catalog: Catalog, model: ModelConfig, as_of: dt.date, window: int, reason: str) -> None:
    if not model.train.min_days <= window <= LONGEST_WINDOW_DAYS:
        raise ConfigError(
            f"{model.name}: a window of {window} days cannot train it; give {model.train.min_days} (its train.min_days) "
            f"to {LONGEST_WINDOW_DAYS}."
        )
    first, today = catalog.dataset(model.rows).schedule.start, clock.now().date()
    if not first < as_of <= today:
        raise ConfigError(
            f"{model.name}: as_of {as_of} is {'in the future' if as_of > today else 'not after the first rows'}; "
            f"{model.rows} begins on {first}, so give a date after that, and today ({today}) at the latest."
        )
    if not 0 < len(reason.strip()) <= LONGEST_REASON:
        raise ConfigError(f"{model.name}: the reason has {len(reason)} characters; give 1 to {LONGEST_REASON}, in words.")


def _promote(catalog: Catalog, model: ModelConfig, version: RegisteredVersion, actor: str, reason: str) -> Promotion:
    if waits := awaits_approval(version):
        serving = champions.champion(model.name)
        return Promotion(False, serving.version if serving else champions.NO_VERSION, f"version {version.version} is registered: {waits}")
    return promote_blessed(catalog, model, version.version, actor=actor, reason=reason)


def _is_known(dataset: DatasetConfig, partition: dt.date, as_of: dt.date) -> bool:
    return clock.moment(partition) + dt.timedelta(hours=dataset.knowledge.hours_after_partition) <= clock.moment(as_of)


def _ingest_missing(needed: list[tuple[DatasetConfig, dt.date]], progress: Progress) -> tuple[list[str], dict[str, str]]:
    """Ingest what of ``needed`` is not there; returns what now is, and why the rest could not be."""
    missing = _missing(needed)
    ingested: list[str] = []
    unavailable: dict[str, str] = {}
    progress("ingest", 0, len(missing))
    for done, (dataset, day) in enumerate(missing, start=1):
        try:
            ingest(dataset, day, "backfill")
            ingested.append(f"{dataset.name}/{day}")
        except DataError as error:
            unavailable[f"{dataset.name}/{day}"] = str(error)
            log.info("%s %s could not be ingested: %s", dataset.name, day, error)
        progress("ingest", done, len(missing))
    return ingested, unavailable


def _missing(needed: list[tuple[DatasetConfig, dt.date]]) -> list[tuple[DatasetConfig, dt.date]]:
    days: dict[str, list[dt.date]] = {}
    for dataset, day in needed:
        days.setdefault(dataset.name, []).append(day)
    spans = {name: (min(wanted), max(wanted)) for name, wanted in days.items()}
    there = {(name, each.partition) for name, span in spans.items() for each in current_partitions(name, *span)}
    return [(dataset, day) for dataset, day in needed if (dataset.name, day) not in there]


def _snapshot(catalog: Catalog, model: ModelConfig, as_of: dt.date, window: int, unavailable: dict[str, str]) -> Snapshot:
    try:
        return take_snapshot(catalog, model, as_of, window)
    except DataError as error:
        if not unavailable:
            raise
        reasons = "\n".join(f"- {words}" for words in list(unavailable.values())[:UNAVAILABLE_SHOWN])
        raise DataError(f"{error}\nCould not be ingested: {listed(unavailable)}. The first reasons:\n{reasons}") from error


@contextmanager
def _step(progress: Progress, name: str) -> Iterator[None]:
    progress(name, 0, 1)
    yield
    progress(name, 1, 1)
