"""Diagnosis: why a partition has or has not been scored and monitored, and what to do next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.labels import LabelSource
from include.evergreen.config.models import Input
from include.evergreen.data.partitions import PartitionVersion, current_partition, current_partitions, newest_known
from include.evergreen.data.validation.record import latest_validation
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Partition
from include.evergreen.promotion.rollouts import rollout_progress
from include.evergreen.registry import champions
from include.evergreen.registry.rollouts import governing_rollout
from include.evergreen.scoring.readiness import Readiness, monitoring, scoring
from include.evergreen.state.database import reading
from include.evergreen.state.stage_status import Stage, StageRecord, find_stage

COMMAND = "evergreen"


def why(catalog: Catalog, model: ModelConfig, partition: Partition) -> list[str]:
    """Explain what became of the inputs, labels, scoring and monitoring of a partition. Reads alone.

    :param catalog: what is declared now; a dataset whose YAML is broken is named as the reason
    :param model: the model as it is declared now
    :param partition: the day, past or future, whether anything is recorded of it or not
    :returns: a sentence or more each: on every input, the labels, the two stages, and last what to do next
    """
    findings = _gather(catalog, model, partition)
    return [
        *(_delivery_text(delivery) for delivery in findings.inputs),
        _labels_text(model, findings.labels),
        _stage_text("score", findings.score, findings.to_score),
        _stage_text("monitor", findings.monitor, findings.to_monitor),
        *_rollout_text(catalog, model, partition),
        f"Next: {next(_next_steps(model, partition, findings))}",
    ]


@dataclass(frozen=True)
class _Delivery:
    """One partition of one dataset: what is published of it, or why nothing is."""

    dataset: str
    day: Partition
    version: PartitionVersion | None
    validation: dict[str, Any] | None
    never: str | None  # why its schedule will never make it
    known_from: dt.datetime | None
    step: str = ""  # what brings it, where that is something else than with the others

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.day}"

    @property
    def stopped_because(self) -> str | None:
        """Why validation stopped the newest delivery; an older one may stand."""
        if self.validation is None or self.validation["verdict"] != "stopped":
            return None
        return str(self.validation["reason"])

    @property
    def is_early(self) -> bool:
        return self.known_from is not None and self.known_from > clock.now()


@dataclass(frozen=True)
class _Findings:
    inputs: list[_Delivery]
    labels: list[_Delivery]  # that may hold labels, oldest first; one where labels stand in the row's own partition
    score: StageRecord | None
    monitor: StageRecord | None
    to_score: Readiness
    to_monitor: Readiness
    has_champion: bool


def _gather(catalog: Catalog, model: ModelConfig, partition: Partition) -> _Findings:
    return _Findings(
        inputs=[delivery for model_input in model.inputs for delivery in _input_deliveries(catalog, model, model_input, partition)],
        labels=_label_deliveries(catalog, model.labels, partition),
        score=find_stage(model.name, "score", partition),
        monitor=find_stage(model.name, "monitor", partition),
        to_score=scoring(model.name, partition, moment=model.moment(partition)),
        to_monitor=_to_monitor(model, partition),
        has_champion=champions.champion_for(model.name, partition) is not None,
    )


def _input_deliveries(catalog: Catalog, model: ModelConfig, read: Input, partition: Partition) -> list[_Delivery]:
    """The newest partitions that are read; of an input whose newest known one is read, whichever that was at the scoring moment."""
    name, newest = read.dataset, model.newest(read.dataset, partition)
    if not read.reads_newest:
        return [_delivery(catalog, name, each) for each in model.newest_of_rows(name, partition)]
    moment, oldest = model.moment(partition), model.oldest(name, partition)
    if version := newest_known(name, as_of=moment, first=oldest, last=newest):
        return [_delivery(catalog, name, version.partition)]
    delivery, span = _delivery(catalog, name, newest), f"from {oldest} to {newest}"
    step = f"ingest a partition of {name} {span} that was known by {_utc(moment)} (if nothing else says so, by --known-at)"
    return [replace(delivery, version=None, never=f"no partition {span} was known at {_utc(moment)}, the scoring moment", step=step)]


def _delivery(catalog: Catalog, name: str, day: Partition) -> _Delivery:
    never, known_from = None, None
    try:
        dataset = catalog.dataset(name)
        schedule = dataset.schedule
        if day < schedule.first:
            never = f"its schedule starts on {schedule.first}"
        elif day > schedule.last:
            never = f"its schedule ended on {schedule.last}"
        known_from = dataset.known_from(day)
    except ConfigError as error:
        never = f"the dataset's declaration is broken: {str(error).splitlines()[0]}"
    return _Delivery(name, day, current_partition(name, day), latest_validation(name, day), never, known_from)


def _to_monitor(model: ModelConfig, partition: Partition) -> Readiness:
    try:
        return monitoring(model.name, partition, model.labels)
    except ConfigError as error:
        return Readiness(blocker=f"the declaration of {model.target.dataset} is broken: {str(error).splitlines()[0]}")


def _label_deliveries(catalog: Catalog, labels: LabelSource, partition: Partition) -> list[_Delivery]:
    """Of each partition that may hold labels: those that are there, and those that are waited for."""
    there = {version.partition for version in current_partitions(labels.dataset, *labels.partitions(partition))}
    try:
        schedule = catalog.dataset(labels.dataset).schedule
    except ConfigError:  # which the text on the delivery says
        return [_delivery(catalog, labels.dataset, labels.partitions(partition)[1])]
    return [_delivery(catalog, labels.dataset, day) for day in sorted(there.union(labels.missing(partition, there, schedule)))]


def _labels_text(model: ModelConfig, labels: list[_Delivery]) -> str:
    if not model.labels.is_spread:
        return f"{_delivery_text(labels[0])} Monitoring compares predictions with it."
    missing = [delivery for delivery in labels if delivery.version is None]
    there, dataset = len(labels) - len(missing), model.target.dataset
    if not missing:
        return f"All {there} partitions of {dataset} that may hold labels are there. Monitoring compares predictions with them."
    return (
        f"{there} of the {len(labels)} partitions of {dataset} that may hold labels are there. Monitoring compares predictions with them "
        f"when all are. {_delivery_text(missing[0])}"
    )


def _delivery_text(delivery: _Delivery) -> str:
    name = delivery.name
    if delivery.version:
        return f"{name} is there{_version_text(delivery.version)}{_later_stop_text(delivery)}"
    if delivery.stopped_because and delivery.validation:
        since = _utc(delivery.validation["recorded_at"])
        return f"{name} is not there: validation stopped it at {since}: {_sentence(delivery.stopped_because)}"
    if delivery.never:
        return f"{name} is not there and will not come: {_sentence(delivery.never)}"
    if delivery.known_from and delivery.is_early:
        return f"{name} is not there yet: it will be known from {_utc(delivery.known_from)}."
    since = f" since {_utc(delivery.known_from)}" if delivery.known_from else ""
    return f"{name} is not there: it could be known{since}, but no ingestion of it came as far as validation."


def _version_text(version: PartitionVersion) -> str:
    counts = f"{version.rows} rows, {version.quarantined or 'none'} in quarantine"
    return f" since {_utc(version.recorded_at)}: version {version.version}, {counts}."


def _later_stop_text(delivery: _Delivery) -> str:
    if not delivery.stopped_because:
        return ""
    return f" A later delivery was stopped by validation, so this one stays: {_sentence(delivery.stopped_because)}"


def _stage_text(stage: Stage, record: StageRecord | None, ready: Readiness) -> str:
    """The status of the stage. A stage that has not started has no record: no task is started without work to do."""
    if record and record.status == "failed":
        return f"The {stage} stage has failed, last at {_utc(record.recorded_at)}: {_sentence(record.message)}"
    if record and (record.status == "done" or (record.status == "skipped" and ready.blocker)):
        return f"The {stage} stage is {record.status} since {_utc(record.since)}: {_sentence(record.message)}"
    if ready.blocker:
        return f"The {stage} stage has not run: {ready.blocker}."
    since = record.since if record and record.status == "waiting" else ready.since
    if ready.missing and since:
        return f"The {stage} stage is waiting for {', '.join(ready.missing)}, since {_utc(since)}."
    if ready.is_due:
        complete = max(item.recorded_at for item in ready.news)
        return f"The {stage} stage has not run, though its inputs are complete since {_utc(complete)}."
    return f"The {stage} stage has not run."


def _rollout_text(catalog: Catalog, model: ModelConfig, partition: Partition) -> Iterator[str]:
    """The roll-out that governs the partition, and what it waits for, if it runs."""
    with reading() as connection:
        rollout = governing_rollout(connection, model.name, partition)
    if rollout is None:
        return
    share = rollout.share(partition)
    whose = f"version {rollout.version} serves {share:.0%} of its keys" if share else f"version {rollout.version} scores it in shadow"
    told = f"It is in the {rollout.name}: {whose}."
    if not rollout.is_running:
        yield f"{told} That was {rollout.word} at {_utc(rollout.ended_at or rollout.started_at)}: {_sentence(rollout.because)}"
        return
    progress = rollout_progress(catalog, model)
    waits = progress.waits_for if progress else ""
    yield f"{told} {_sentence(f'It waits: {waits}' if waits else 'The next monitoring decides it')}"


def _next_steps(model: ModelConfig, partition: Partition, findings: _Findings) -> Iterator[str]:
    """What is left to do, the most pressing first."""
    rescore = f"{COMMAND} rescore {model.name} --from {partition} --to {partition}"
    if blocked := [delivery for delivery in findings.inputs if delivery.version is None]:
        yield f"{_unblock(blocked)}. Then score and monitor: `{rescore}`."
    if not findings.has_champion:
        run = f"{COMMAND} run {model.name} --as-of {partition}"
        yield f"train and promote a version as of {partition} or earlier, as no later one may score that day: `{run}`."
    if findings.score and findings.score.status == "failed":
        yield (
            f"mend what the score stage failed on, or, if the champion cannot be computed any more, train and promote another: "
            f"`{COMMAND} run {model.name} --as-of {partition}`. Then score and monitor: `{rescore}`."
        )
    if not _is_done(findings.score):
        yield f"all inputs are there, so score and monitor: `{rescore}`."
    if newer := [item.name for item in findings.to_score.news]:
        yield f"{' and '.join(newer)} changed after scoring, so score and monitor again: `{rescore}`."
    if findings.monitor and findings.monitor.status == "failed":
        yield f"mend what the monitor stage failed on. Then monitor: `{rescore} --stage monitor`."
    if not _is_done(findings.monitor):
        yield f"it is scored and not monitored, so monitor it: `{rescore} --stage monitor`."
    if newer := [item.name for item in findings.to_monitor.news]:
        yield f"{' and '.join(newer)} came after monitoring, so monitor again: `{rescore} --stage monitor`."
    if missing := [delivery for delivery in findings.labels if delivery.version is None]:
        yield f"{_unblock(missing[:1])}, so that performance can be measured. All else is done."
    yield "nothing; all is done."


def _is_done(record: StageRecord | None) -> bool:
    return record is not None and record.status == "done"


def _unblock(absent: list[_Delivery]) -> str:
    """How to get the missing partitions; each cause has its own fix."""
    steps, ingestible = [], []
    for delivery in absent:
        name, dataset = delivery.name, delivery.dataset
        if delivery.step:
            steps.append(delivery.step)
        elif delivery.stopped_because:
            steps.append(f"fix {name} at its source, or the expectation in the dataset.yaml of {dataset}, and ingest it again")
        elif delivery.never:
            steps.append(f"nothing brings {name}, unless the dataset.yaml of {dataset} changes")
        elif delivery.known_from and delivery.is_early:
            steps.append(f"wait for {name} until {_utc(delivery.known_from)}")
        else:
            ingestible.append(name)
    if ingestible:
        steps.append(f"ingest {', '.join(ingestible)} (in Airflow: trigger the dataset's ingest DAG with the date as its partition key)")
    return "; ".join(steps)


def _utc(timestamp: dt.datetime) -> str:
    return f"{timestamp:%Y-%m-%d %H:%M} UTC"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
