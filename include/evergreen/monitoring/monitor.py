"""Monitors one partition: computes and records its observations. The report is rendered on demand: see `report`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.classes import recalled_class
from include.evergreen.config.metrics import NEW_CLASS_SHARE, PERFORMANCE, QUARANTINED_SHARE, is_sliced
from include.evergreen.data.erased.stale_reads import refuse_stale_reads
from include.evergreen.features.labels import KNOWN_BY_NOW, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError, OvertakenError
from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring.drift import as_detail, drift_figures, in_words
from include.evergreen.monitoring.estimates import estimate_performance
from include.evergreen.monitoring.figures import Figure
from include.evergreen.monitoring.label_share import label_share, update_label_shares
from include.evergreen.monitoring.observations import Observation, list_observations, record_observations
from include.evergreen.monitoring.realised import Realised, measure_realised
from include.evergreen.monitoring.report import find_monitored, record_monitored
from include.evergreen.monitoring.supply import supply_figures
from include.evergreen.monitoring.target_drift import judge_target, target_figures, target_in_words
from include.evergreen.monitoring.window import Window, load_window
from include.evergreen.scoring.failures import attempt
from include.evergreen.scoring.predictions import PredictionSet, find_predictions
from include.evergreen.scoring.score import stage_waits
from include.evergreen.state.stage_status import Outcome, find_stage, record_stage

if TYPE_CHECKING:
    import sqlalchemy as sa

    from include.evergreen.monitoring.verdicts import Verdict

log = logging.getLogger(__name__)


def monitor(catalog: Catalog, model: ModelConfig, partition: Partition, origin: str) -> Outcome:
    """Observe ``partition``; again when its predictions or its labels changed, and not otherwise.

    Drift is of the features and predictions of ``monitor.window``, performance of ``monitor.performance_window`` (estimated at
    once, realised when their labels are mature), quality of the day. Later days whose performance is measured together with that of
    ``partition`` are observed again, too; of those whose labels are still coming, how many have come. Passes on `OvertakenError` when
    predictions or labels changed again and again while they were observed. What cannot be observed, since the reference is gone or labels
    contradict each other, keeps nothing else from being observed, and its earlier figures stay; it is recorded as failed, and raises an
    alert until that partition or a later one is observed.

    :param catalog: what is declared now
    :param model: the model as it is declared now; its features and target are those of the version that scored
    :param partition: the day that was scored
    :param origin: ``live`` or ``backfill``, recorded with each observation: rules are judged on live ones alone
    :returns: ``done``, ``unchanged``, or that it waits for predictions, with the main figures of the day under ``facts``
    """
    outcome = attempt(catalog, model, "monitor", partition, origin, lambda: _monitor(catalog, model, partition, origin))
    for day, own_origin in _later_windows(model, partition):
        attempt(catalog, model, "monitor", day, own_origin, partial(_monitor, catalog, model, day, own_origin))
    update_label_shares(catalog, model)
    return outcome


def _later_windows(model: ModelConfig, partition: Partition) -> list[tuple[Partition, str]]:
    """The later days that were observed with their labels, each with its origin; their performance is measured with that of the day."""
    first = model.grain.shift(partition, 1)
    last = model.grain.shift(model.calendar.plus(partition, model.monitor.performance_window), -1)
    if last < first:
        return []
    observed = list_observations(model.name, first=first, last=last)
    return list({figure.partition: figure.origin for figure in observed if figure.metric.startswith("performance.")}.items())


def _monitor(catalog: Catalog, model: ModelConfig, partition: Partition, origin: str) -> Outcome:
    began = clock.now()
    scored = find_predictions(model.name, partition)
    if scored is None:
        return stage_waits(model, "monitor", partition, [f"predictions of {model.name}/{partition}"])
    # by the target that is declared now, as `readiness` asks: what comes after this is new to it
    read = {
        "predictions": scored.digest,
        "truth": known_labels(catalog, model, partition, PartitionCache(KNOWN_BY_NOW, model=model)).digest,
    }
    window = load_window(catalog, model, scored)
    declared, model = model, window.model  # its version's own features and target
    labels = window.labels[partition]
    input_digest = window.input_digest()
    monitored = find_monitored(model.name, partition)
    if monitored is not None and monitored.input_digest == input_digest:
        message = "nothing has changed since it was last monitored"
        _confirm_done(model.name, partition, message, read)
        return Outcome("unchanged", message, _facts(model.name, partition))
    problems = Problems()
    realised = problems.note(lambda: measure_realised(catalog, window), otherwise=Realised())
    estimated = estimate_performance(window, realised.figures)
    figures = [*supply_figures(model, scored), *realised.figures, *estimated.figures]
    figures += problems.note(lambda: _label_share(catalog, window), otherwise=[])
    judged = problems.note(lambda: _judge_drift(window), otherwise=None)
    if judged is not None:
        figures += [Figure(name, value, window.rows) for name, value in drift_figures(model, judged.verdict)]
    target = problems.note(lambda: judge_target(catalog, window), otherwise=None)
    figures += target_figures(target)
    observed = [
        Observation(model.name, partition, name, value, scored.version, origin, rows, low, high) for name, value, rows, low, high in figures
    ]
    if problems.errors:
        observed += _earlier(model.name, partition, scored.version, observed)

    def record(connection: sa.Connection) -> None:
        refuse_stale_reads(connection, [model_input.dataset for model_input in model.inputs], began, is_derived=True)
        _refuse_overtaken(catalog, declared, scored, input_digest)
        if judged is not None and not problems.errors:  # else it is monitored again whatever has changed
            record_monitored(connection, model.name, partition, path=judged.report_path, input_digest=input_digest)
        estimated.record(connection)
        window.profiles.keep()
        window.target_profiles.keep()

    record_observations(model.name, partition, observed, also=record)
    if problems.errors:
        raise problems.errors[0]
    assert judged is not None
    verdict = judged.verdict
    told = [each for each in figures if _is_told(each)]
    message = ", ".join(f"{figure.name} {figure.value:.3f}" for figure in told)
    message = "; ".join(part for part in (message, realised.message, in_words(verdict), target_in_words(target), estimated.message) if part)
    log.info("%s %s (version %d): %s", model.name, partition, scored.version, message)
    if labels.waits_for:
        message += f"; {labels.waits_for}"
    detail = {"message": message, "read": read, **as_detail(verdict, target), **realised.detail, **estimated.detail}
    record_stage(model.name, "monitor", partition, "done", detail)
    return Outcome("done", message, _facts(model.name, partition))


def _is_told(figure: Figure) -> bool:
    """Whether a message names the figure: of several classes not the recall of each, but what share is new, if any is."""
    if figure.name == NEW_CLASS_SHARE:
        return figure.value > 0
    is_main = figure.name.startswith(("performance", "drift.share", QUARANTINED_SHARE)) and not is_sliced(figure.name)
    return is_main and recalled_class(figure.name.removeprefix(PERFORMANCE)) is None


Found = TypeVar("Found")


@dataclass
class Problems:
    """What could not be observed of a partition, while all else of it is."""

    errors: list[ConfigError | DataError] = field(default_factory=list)

    def note(self, work: Callable[[], Found], *, otherwise: Found) -> Found:
        """Do a part of the work, or note why it cannot be done.

        :param work: the part
        :param otherwise: what is returned where it cannot be done
        :returns: what ``work`` returned
        """
        try:
            return work()
        except (ConfigError, DataError) as error:
            self.errors.append(error)
            return otherwise


def _earlier(model: str, partition: Partition, version: int, observed: list[Observation]) -> list[Observation]:
    """What was observed of the version before, and is not now."""
    now = {each.metric for each in observed}
    earlier = list_observations(model, first=partition, last=partition)
    return [each for each in earlier if each.version == version and each.metric not in now]


class JudgedDrift(NamedTuple):
    """A verdict on drift, and where the report that shows it will lie."""

    verdict: Verdict
    report_path: str


def _judge_drift(window: Window) -> JudgedDrift:
    model, version, profiles = window.model.name, window.version, window.profiles
    try:
        digest = profiles.reference_digest
    except DataError as error:
        raise DataError(
            f"drift cannot be judged, since the reference sample of version {version.version} of {model} cannot be read: {error} Train "
            f"{model} again as of {version.as_of}, which writes it anew, and monitor the partition again."
        ) from error
    return JudgedDrift(window.verdict(), window.report_path(digest))


def _label_share(catalog: Catalog, window: Window) -> list[Figure]:
    """Of how many rows of the day the label is known, where labels come late."""
    if not window.model.labels.is_spread:
        return []
    return label_share(catalog, window.model, window.scored, window.labels[window.scored.partition], window.cache)


def _refuse_overtaken(catalog: Catalog, declared: ModelConfig, observed: PredictionSet, input_digest: str) -> None:
    """`OvertakenError` when what was observed is no longer what would be observed now."""
    scored = find_predictions(declared.name, observed.partition)
    if scored is None or load_window(catalog, declared, scored).input_digest() != input_digest:
        raise OvertakenError(f"{declared.name} {observed.partition}: its predictions or its labels changed while it was monitored")


def _confirm_done(model: str, partition: Partition, message: str, read: dict[str, str | None]) -> None:
    """For a run that was killed between its last record and that of the stage; the message of any other stays."""
    record = find_stage(model, "monitor", partition)
    detail = record.detail if record and record.status == "done" else {"message": message}
    if detail.get("read") != read:
        record_stage(model, "monitor", partition, "done", {**detail, "read": read})


def _facts(model: str, partition: Partition) -> dict[str, float]:
    wanted = ("performance", "estimated", "concept_drift", "drift.share", "quality", "prediction_drift")
    figures = list_observations(model, first=partition, last=partition)
    return {
        figure.metric: round(figure.value, 4) for figure in figures if figure.metric.startswith(wanted) and not is_sliced(figure.metric)
    }
