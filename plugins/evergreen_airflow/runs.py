"""What a DAG run is about: its partition or as_of, its origin (live or backfill), and who started it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Literal

from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import DAILY, Grain, Partition, parse_any
from include.evergreen.foundation.reasons import LONGEST_ACTOR

if TYPE_CHECKING:
    from airflow.sdk import Context

Origin = Literal["live", "backfill"]
BACKFILL: Origin = "backfill"
LIVE: Origin = "live"


def resolve_partition(context: Context, grain: Grain | None) -> Partition:
    """Return the run's partition. Passes on `ConfigError` if the run names none, or two.

    :param context: the running task's Airflow context
    :param grain: that of the dataset, or of the model; None: any, where the task has checked the key already
    :returns: the run's partition key, or the parameter ``partition`` of a run that has none, as DAGs start it
    """
    return _resolve(context, "partition", grain)


def resolve_as_of(context: Context, grain: Grain) -> Partition:
    """Return the run's as_of. Passes on `ConfigError` if the run names none, or two.

    :param context: the running task's Airflow context
    :param grain: that of the model
    :returns: the run's partition key, or the parameter ``as_of`` of a run that has none
    """
    return _resolve(context, "as_of", grain)


def resolve_known_at(context: Context) -> dt.datetime | None:
    """Return the knowledge time that somebody set for an ingestion. Passes on `ConfigError` if it is not a day.

    :param context: the running task's Airflow context, whose params may hold ``known_at``
    :returns: midnight UTC of that day, or None if the parameter is empty: what the dataset declares then holds
    """
    value = context["params"].get("known_at")
    return DAILY.start(DAILY.parse(value, subject="The parameter known_at")) if value else None


def ingestion_origin(context: Context) -> Origin:
    """Return the origin of an ingestion run, from its own run type. Downstream stages read the origin from the record instead.

    :param context: the running task's Airflow context
    :returns: ``backfill`` for a run of a backfill, else ``live``
    """
    return BACKFILL if _run_type(context) == BACKFILL else LIVE


def acting_user(context: Context) -> str:
    """Return who acts now, by Airflow's own word.

    Clearing a run keeps the name of who triggered it, and a task cannot learn who cleared it.

    :param context: the running task's Airflow context
    :returns: who triggered the run, cut to `LONGEST_ACTOR` characters; ``airflow (<run type>)`` if no user did, ``airflow (cleared <run
        type> run)`` if it was cleared
    """
    if context["dag_run"].clear_number:
        return f"airflow (cleared {_run_type(context)} run)"
    return str(context["dag_run"].triggering_user_name or f"airflow ({_run_type(context)})")[:LONGEST_ACTOR]


def deed_actor(context: Context) -> str:
    """Return the user who asks for what a form does, which is done once, under that name.

    :param context: the running task's Airflow context
    :returns: the actor, for the ledger
    :raises ConfigError: if the run was cleared, so that it would act again under the name of somebody else
    """
    run = context["dag_run"]
    if run.clear_number:
        raise ConfigError(
            f"{run.dag_id}, {run.run_id}, was cleared. What this form does is done once, under the name of who triggers it, and Airflow "
            f"does not tell a task who cleared it. Nothing was done. Trigger {run.dag_id} again, under your own name."
        )
    return acting_user(context)


def task_result(context: Context, task_id: str) -> dict[str, Any]:
    """Return what an earlier task of the run returned.

    :param context: the running task's Airflow context
    :param task_id: id of the earlier task
    :returns: its result
    :raises DataError: if it returned nothing, as when somebody marked it as success
    """
    result: dict[str, Any] | None = context["ti"].xcom_pull(task_ids=task_id)
    if result is None:
        run = context["dag_run"]
        raise DataError(
            f"The task {task_id} of {run.dag_id}, {run.run_id}, returned nothing, regardless of its state: it was probably marked as "
            f"success. Clear {task_id}, and what follows it."
        )
    return result


def _run_type(context: Context) -> str:
    run_type = context["dag_run"].run_type
    return str(getattr(run_type, "value", run_type))  # str() of the enum would be DagRunType.BACKFILL_JOB


def _resolve(context: Context, parameter: str, grain: Grain | None) -> Partition:
    parse, grain = grain.parse if grain else parse_any, grain or DAILY
    run, value = context["dag_run"], context["params"].get(parameter)
    given = None if value in (None, "") else parse(value, subject=f"The parameter {parameter}")
    key = parse(run.partition_key) if run.partition_key else None
    if given and key and given != key:
        raise ConfigError(
            f"This run of {run.dag_id} has the partition key {key} and the parameter {parameter!r} {given}: one run is about one "
            f"{grain.noun}, so nothing was done. Trigger it again with the {grain.noun} as partition key, and without {parameter}."
        )
    if partition := key or given:
        return partition
    raise ConfigError(
        f"This run of {run.dag_id} has neither a partition key nor the parameter {parameter!r}, so its {grain.noun} is "
        f"unknown. Trigger it again with a partition key such as {grain.example}, or set {parameter}."
    )
