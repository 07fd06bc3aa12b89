"""What keeps a stage from its work is said loudly: on the partition's record, and in one alert until it works again."""

from __future__ import annotations

from collections.abc import Callable

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import error_text
from include.evergreen.foundation.errors import TransientError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.overtaken import until_not_overtaken
from include.evergreen.registry.versions import ChangedRecordError
from include.evergreen.state.alerts import Alert, open_alerts, raise_alert, resolve_alert
from include.evergreen.state.mlflow_store import ArtifactError
from include.evergreen.state.stage_status import Outcome, Stage, record_stage

LONGEST_CAUSE = 700  # of an alert's characters


def attempt(catalog: Catalog, model: ModelConfig, stage: Stage, partition: Partition, origin: str, work: Callable[[], Outcome]) -> Outcome:
    """Do a stage's work on a partition, again when it was overtaken, and say what becomes of it.

    What fails and will fail again is recorded with its cause; of live data, it raises the model's alert on the stage. Work that is done
    resolves the alert, unless that is of a later partition.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param stage: ``score`` or ``monitor``
    :param partition: the partition that it works on
    :param origin: ``live`` or ``backfill``, which pages nobody
    :param work: does it; raises `OvertakenError`, with nothing recorded, when what it read has changed
    :returns: what ``work`` returned
    :raises Exception: what ``work`` raised
    """
    try:
        outcome = until_not_overtaken(work)
    except Exception as error:  # of the features' code, of the estimator, or of ours
        if not isinstance(error, TransientError | MemoryError):
            has_own_alert = isinstance(error, ArtifactError | ChangedRecordError)
            _record(model.name, stage, partition, origin == "live" and not has_own_alert, error_text(catalog, model, error))
        raise
    alert = _firing(model.name, stage)
    if outcome.is_done and alert and alert.evidence["partition"] <= str(partition):
        resolve_alert(alert.key)
    return outcome


def _record(model: str, stage: Stage, partition: Partition, pages: bool, message: str) -> None:
    record_stage(model, stage, partition, "failed", {"message": message})
    if not pages:
        return
    alert = _firing(model, stage)
    newest = max([str(partition), *([alert.evidence["partition"]] if alert else [])])
    text = (
        f"The {stage} stage of {model} fails, last on {partition}: {message[:LONGEST_CAUSE]} `evergreen why {model} {partition}` "
        f"says what to do next."
    )
    raise_alert(_key(model, stage), model=model, severity="critical", message=text, evidence={"partition": newest})


def _key(model: str, stage: Stage) -> str:
    return f"{stage}/{model}"


def _firing(model: str, stage: Stage) -> Alert | None:
    return next((alert for alert in open_alerts(model) if alert.key == _key(model, stage)), None)
