"""Score, monitor and rescore partitions, and find the runs that were missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from evergreen_airflow.links import DriftReportLink
from evergreen_airflow.operators.ingestion import emit_asset_events
from evergreen_airflow.operators.training import ModelOperator, skip
from evergreen_airflow.runs import resolve_partition
from evergreen_airflow.sensors.retraining import recorded_event
from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import DAILY, parse_any
from include.evergreen.state.stage_status import Stage

if TYPE_CHECKING:
    from airflow.sdk import Context

MAX_STARTED_RUNS = 500  # in one night; Airflow maps a task at most 1,024 times


class ScorePartitionOperator(ModelOperator):
    """Score a partition once all its inputs are published. Skip if one is missing or nothing has changed.

    Asset events that bring no work start no run (see `evergreen_airflow.mappers`), but a person may.

    :param model: its name, as in ``include/models`` (templated)
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Score the run's partition.

        :param context: the running task's Airflow context
        :returns: ``partition`` and ``summary``; ``rows``, ``path`` and ``origin`` of the predictions; the ``version`` that made them and
            the ``challenger_version`` that scored in its shadow (or None)
        """
        from include.evergreen.scoring import readiness
        from include.evergreen.scoring.score import score

        catalog = Catalog()
        model = catalog.model(self.model)
        partition = resolve_partition(context, model.grain)
        origin = readiness.scoring(self.model, partition, moment=model.moment(partition)).origin
        outcome = score(catalog, model, partition, origin)
        is_first_try = context["ti"].try_number == 1  # an earlier try may have scored and died before its asset event
        if not outcome.is_done or (outcome.status == "unchanged" and is_first_try):
            skip(self, outcome.message)
        emit_asset_events(self, context, partition, {"origin": outcome.facts["origin"], "version": outcome.facts["version"]})
        return {"partition": str(partition), "summary": outcome.message, **outcome.facts}


class MonitorPartitionOperator(ModelOperator):
    """Monitor a scored partition: drift at once, performance once the labels are mature; then decide the model's roll-out, if it can be.

    :param model: its name, as in ``include/models`` (templated)
    """

    operator_extra_links = (DriftReportLink(),)

    def execute(self, context: Context) -> dict[str, Any]:
        """Monitor the run's partition, or skip if it has no predictions.

        :param context: the running task's Airflow context
        :returns: ``partition``, ``summary`` and each metric's value
        """
        from include.evergreen.operations.watching import watch
        from include.evergreen.scoring import readiness

        catalog = Catalog()
        partition = resolve_partition(context, catalog.model(self.model).grain)
        model = catalog.model(self.model)
        outcome = watch(catalog, model, partition, readiness.monitoring(model.name, partition, model.labels).origin)
        if not outcome.is_done:
            skip(self, outcome.message)
        return {"partition": str(partition), "summary": outcome.message, **outcome.facts}


class RenderDriftReportOperator(ModelOperator):
    """Render the drift report of the window in which a rule tripped, before a correction can change that window's data.

    :param model: its name, as in ``include/models`` (templated)
    :param sensor_task_id: id of the task that recorded the trigger event
    :param **kwargs: passed to ``BaseOperator``
    """

    operator_extra_links = (DriftReportLink(),)

    def __init__(self, *, model: str, sensor_task_id: str, **kwargs: Any) -> None:
        super().__init__(model=model, **kwargs)
        self.sensor_task_id = sensor_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Render the report, or skip if the data has changed or no trigger event was recorded.

        :param context: the running task's Airflow context
        :returns: ``partition`` (last day of the window) and the ``report``'s path in the storage
        """
        from include.evergreen.monitoring import NotAsMonitoredError, ensure_report

        event = recorded_event(self, context, self.sensor_task_id)
        partition = parse_any(event.get("partition", event["as_of"]))  # an event of an earlier release names no partition
        catalog = Catalog()
        try:
            path = ensure_report(catalog, catalog.model(self.model), partition)
        except NotAsMonitoredError as error:  # the data was corrected first, and no retry brings it back
            skip(self, str(error))
        return {"partition": str(partition), "report": path}


class FindMissedWorkOperator(BaseOperator):
    """Find partitions that should have been scored or monitored and were not, for example because an asset event was lost."""

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Look for missed work.

        :param context: the running task's Airflow context
        :returns: one dict of ``TriggerDagRunOperator`` arguments for each run to start, at most 500
        """
        from include.evergreen.operations.missed import missed_work

        all_missed = missed_work(Catalog())
        for missed in all_missed[:MAX_STARTED_RUNS]:
            self.log.warning("Missed: %s", missed)
        if len(all_missed) > MAX_STARTED_RUNS:
            self.log.warning("%d more are left for the next night", len(all_missed) - MAX_STARTED_RUNS)
        return [
            {
                "trigger_dag_id": f"{missed.model}.{missed.stage}",
                "trigger_run_id": f"missed__{missed.partition}__{missed.mark}",
                "conf": {"partition": str(missed.partition), "reason": f"missed: {', '.join(missed.news)}"[:500]},
            }
            for missed in all_missed[:MAX_STARTED_RUNS]
        ]


class RescoreOperator(ModelOperator):
    """Score and monitor a range of partitions again without ingesting them. The run's parameters name the model and the range.

    :param model: not used: the form names the model
    :param **kwargs: passed to ``BaseOperator``
    """

    def __init__(self, *, model: str = "", **kwargs: Any) -> None:
        super().__init__(model=model, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Rescore the range.

        :param context: the running task's Airflow context, whose params name the model, the days and the stages
        :returns: ``model``, ``first`` and ``last`` (days, inclusive), and the number of outcomes by status, such as ``done``
        :raises DataError: if a partition could not be rescored, after all others were tried
        """
        from include.evergreen.operations.rescoring import rescore

        params = context["params"]
        catalog = Catalog()
        model = catalog.model(params["model"])
        days = (DAILY.begins(DAILY.parse(params[name], subject=f"The parameter {name}")) for name in ("first", "last"))
        first, last = model.grain.of_dates(*days)
        stages: Sequence[Stage] = ("score", "monitor") if params["stage"] == "both" else (params["stage"],)
        results = rescore(catalog, model, first, last, stages=stages, progress=self._log_progress)
        if failed := [result for result in results if result.outcome.status == "failed"]:
            raise DataError(
                f"{len(failed)} of {len(results)} could not be rescored. The first: {failed[0].partition}: {failed[0].outcome.message}"
            )
        return {"model": params["model"], "first": str(first), "last": str(last), **Counter(result.outcome.status for result in results)}

    def _log_progress(self, _step: str, done: int, total: int) -> None:
        self.log.info("%d of %d days", done, total)
