"""Score, monitor and rescore, and find what was missed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator

from evergreen_airflow.links import DriftReportLink
from evergreen_airflow.operators.ingestion import announce
from evergreen_airflow.operators.training import ModelOperator, skip
from evergreen_airflow.runs import partition_of
from include.evergreen.config import Catalog
from include.evergreen.foundation.clock import parse_partition
from include.evergreen.foundation.errors import DataError
from include.evergreen.state.stage_status import Stage

MOST_STARTED = 500  # in one night; Airflow maps a task at most 1,024 times


class ScorePartitionOperator(ModelOperator):
    """Scores a partition once all inputs are there; else, or when nothing changed, it skips and says why.

    An event that brings no work makes no run (see `evergreen_airflow.mappers`); a person may start one all the same.
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.scoring import readiness
        from include.evergreen.scoring.score import score

        catalog, partition = Catalog(), partition_of(context)
        origin = readiness.scoring(self.model, partition).origin
        outcome = score(catalog, catalog.model(self.model), partition, origin)
        is_first_try = context["ti"].try_number == 1  # a later try may have lost the event of an earlier one
        if not outcome.is_done or (outcome.status == "unchanged" and is_first_try):
            skip(self, outcome.words)
        announce(self, context, {"origin": outcome.facts["origin"], "version": outcome.facts["version"]})
        return {"partition": str(partition), "words": outcome.words, **outcome.facts}


class MonitorPartitionOperator(ModelOperator):
    """Observes a scored partition: drift now, performance once the truth is there."""

    operator_extra_links = (DriftReportLink(),)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.monitoring import monitor
        from include.evergreen.scoring import readiness

        catalog, partition = Catalog(), partition_of(context)
        model = catalog.model(self.model)
        outcome = monitor(catalog, model, partition, readiness.monitoring(model.name, partition, model.target.dataset).origin)
        if not outcome.is_done:
            skip(self, outcome.words)
        return {"partition": str(partition), "words": outcome.words, **outcome.facts}


class DrawEvidenceOperator(ModelOperator):
    """Draws the drift report of the window that made a rule trip, at once: what it shows may be corrected tomorrow.

    :param sensed_by: the task that recorded the firing
    """

    operator_extra_links = (DriftReportLink(),)

    def __init__(self, *, model: str, sensed_by: str, **kwargs: Any) -> None:
        super().__init__(model=model, **kwargs)
        self.sensed_by = sensed_by

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.monitoring import NotAsMonitoredError, ensure_report

        partition = parse_partition(context["ti"].xcom_pull(task_ids=self.sensed_by)["as_of"])
        catalog = Catalog()
        try:
            path = ensure_report(catalog, catalog.model(self.model), partition)
        except NotAsMonitoredError as error:  # a correction was quicker, and no retry brings back what was
            skip(self, str(error))
        return {"partition": str(partition), "report": path}


class FindMissedWorkOperator(BaseOperator):
    """Finds work that no event has started, and gives the runs that make up for it: the arguments of `TriggerDagRunOperator`."""

    def execute(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        from include.evergreen.operations.missed import missed_work

        missed = missed_work(Catalog())
        for each in missed[:MOST_STARTED]:
            self.log.warning("Missed: %s", each)
        if len(missed) > MOST_STARTED:
            self.log.warning("%d more are left for the next night", len(missed) - MOST_STARTED)
        return [
            {
                "trigger_dag_id": f"{each.model}.{each.stage}",
                "trigger_run_id": f"missed__{each.partition}__{each.mark}",
                "conf": {"partition": str(each.partition), "reason": f"missed: {', '.join(each.news)}"[:500]},
            }
            for each in missed[:MOST_STARTED]
        ]


class RescoreOperator(ModelOperator):
    """Scores and monitors a range of partitions again, without ingesting."""

    def __init__(self, *, model: str = "", **kwargs: Any) -> None:
        super().__init__(model=model, **kwargs)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.operations.rescoring import rescore

        params = context["params"]
        first = parse_partition(params["first"], subject="The parameter first")
        last = parse_partition(params["last"], subject="The parameter last")
        stages: Sequence[Stage] = ("score", "monitor") if params["stage"] == "both" else (params["stage"],)
        catalog = Catalog()
        outcomes = rescore(catalog, catalog.model(params["model"]), first, last, stages=stages, progress=self._report)
        counts: dict[str, int] = {}
        for each in outcomes:
            counts[each.outcome.status] = counts.get(each.outcome.status, 0) + 1
        if failed := [each for each in outcomes if each.outcome.status == "failed"]:
            raise DataError(
                f"{len(failed)} of {len(outcomes)} could not be done again; the first: {failed[0].partition}: {failed[0].outcome.words}"
            )
        return {"model": params["model"], "first": str(first), "last": str(last), **counts}

    def _report(self, _step: str, done: int, total: int) -> None:
        self.log.info("%d of %d days", done, total)
