"""What the DAGs share: assets, schedules and parameters."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import Asset, CronPartitionTimetable, Param

from include.evergreen.config.schedule import Schedule, last_run
from include.evergreen.foundation.grain import Grain

STAGE_TIMEOUT = dt.timedelta(hours=2)
DAY_PATTERN = r"^\d{4}-\d{2}-\d{2}$"


def dataset_asset(name: str) -> Asset:
    """Return the asset that stands for the published partitions of a dataset.

    :param name: the dataset's, as in ``include/datasets``
    :returns: the asset; equal for the same name, so that whoever publishes and whoever waits need not share it
    """
    return Asset(name=name, uri=f"evergreen://datasets/{name}")


def predictions_asset(model: str) -> Asset:
    """Return the asset that stands for the predictions of a model.

    :param model: its name, as in ``include/models``
    :returns: the asset; equal for the same name, so that whoever publishes and whoever waits need not share it
    """
    return Asset(name=f"{model}.predictions", uri=f"evergreen://models/{model}/predictions")


def partition_schedule(schedule: Schedule, grain: Grain) -> dict[str, Any]:
    """Return the DAG arguments that make one scheduled run for each partition, from the schedule's start to its end.

    :param schedule: the schedule, as declared in YAML
    :param grain: that of the partitions: of a dataset the schedule's own, of a training the model's
    :returns: keyword arguments of ``DAG``
    """
    return {
        "schedule": CronPartitionTimetable(
            schedule.cron, timezone=grain.timezone, run_offset=schedule.run_offset, key_format=grain.key_format
        ),
        "start_date": grain.start(grain.on(schedule.start)),
        "end_date": last_run(schedule, grain),
        "catchup": False,
    }


def optional_day(title: str, description: str) -> Param:
    """Return a form field for a day, which may stay empty.

    :param title: label of the field
    :param description: help text of the field
    :returns: the DAG parameter, empty by default
    """
    return Param(None, type=["null", "string"], format="date", title=title, description=description)


def optional_partition(title: str, description: str, grain: Grain) -> Param:
    """Return a form field for a partition, which may stay empty.

    :param title: label of the field
    :param description: help text of the field
    :param grain: that of the partition: the field is a date, or, where keys are times, text
    :returns: the DAG parameter, empty by default
    """
    if grain.is_of_days:
        return optional_day(title, description)
    clock = "UTC" if grain.is_by_utc else f"the clock of {grain.timezone}"
    return Param(None, type=["null", "string"], title=title, description=f"{description} A time by {clock}, such as {grain.example}.")


def reason(description: str = "Why you trigger this run. Stored with its results.") -> Param:
    """Return a form field for a reason, which may stay empty.

    :param description: help text of the field
    :returns: the DAG parameter, empty by default
    """
    return Param(None, type=["null", "string"], maxLength=500, title="Reason", description=description)
