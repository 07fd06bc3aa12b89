"""Clear the failed task instances of an alert, so that they run again, through what Airflow's own API calls."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.dagbag import create_dag_bag
from airflow.api_fastapi.core_api.datamodels.task_instances import ClearTaskInstancesBody
from airflow.api_fastapi.core_api.routes.public.task_instances import post_clear_task_instances
from airflow.models.dag import DagModel
from airflow.models.log import Log
from airflow.utils.session import create_session
from starlette.exceptions import HTTPException

from evergreen_airflow.ui.oncall.viewer import Viewer
from include.evergreen.state.alerts import Detail, Place
from include.evergreen.state.task_failures import unsettled_failures

MOST_RUNS = 100


@dataclass(frozen=True)
class Cleared:
    """A task instance that was cleared, or would be."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


def run_again(viewer: Viewer, detail: Detail, *, dry_run: bool) -> list[Cleared]:
    """Clear what failed where an alert was seen, and what failed because of it, in DAGs that the user may edit.

    :param viewer: who asks
    :param detail: the alert
    :param dry_run: change nothing, only tell
    :returns: the task instances; those of runs that are gone are left out
    """
    cleared: list[Cleared] = []
    for (dag_id, run_id), tasks in list(_failed(detail, viewer).items())[:MOST_RUNS]:
        if _may_clear(viewer, dag_id):
            cleared += _clear(viewer, dag_id, run_id, tasks, dry_run=dry_run)
    return cleared


def _failed(detail: Detail, viewer: Viewer) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """The tasks by DAG and run; a run without tasks is meant as a whole."""
    attempts = [
        Place(dag_id=each.dag_id, run_id=each.run_id, task_id=each.task_id, map_index=each.map_index)
        for each in unsettled_failures(detail.alert.id)
    ]
    found: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for place in viewer.editable([*(place for place in detail.places if place.cleared_at is None), *attempts]):
        tasks = found[place.dag_id, place.run_id]
        if place.task_id and (place.task_id, place.map_index) not in tasks:
            tasks.append((place.task_id, place.map_index))
    return found


def _may_clear(viewer: Viewer, dag_id: str) -> bool:
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    entity = DagAccessEntity.TASK_INSTANCE
    return get_auth_manager().is_authorized_dag(method="PUT", access_entity=entity, details=details, user=viewer.user)


def _clear(viewer: Viewer, dag_id: str, run_id: str, tasks: list[tuple[str, int]], *, dry_run: bool) -> list[Cleared]:
    wanted: list[Any] | None = [task_id if map_index < 0 else (task_id, map_index) for task_id, map_index in tasks] or None
    downstream = wanted is not None
    body = ClearTaskInstancesBody(dry_run=dry_run, dag_run_id=run_id, task_ids=wanted, include_downstream=downstream, only_failed=True)
    try:
        with create_session() as session:
            answer = post_clear_task_instances(dag_id, create_dag_bag(), body, session, viewer.user)
            if not dry_run and answer.total_entries:
                extra = json.dumps({"run_id": run_id, "task_ids": wanted, "by": "evergreen"})
                session.add(Log("post_clear_task_instances", owner=viewer.name, extra=extra, dag_id=dag_id, run_id=run_id))
    except HTTPException as error:
        if error.status_code == 404:
            return []  # the run or the DAG is gone
        raise
    return [Cleared(dag_id, run_id, each.task_id, each.map_index) for each in answer.task_instances]
