"""What all DAGs share: assets, partitions by the clock, parameters, the words about failures."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import Asset, CronPartitionTimetable, Param

from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.foundation.clock import PARTITION_FORMAT

STAGE_TIMEOUT = dt.timedelta(hours=2)
DAY_PATTERN = r"^\d{4}-\d{2}-\d{2}$"


def dataset_asset(name: str) -> Asset:
    return Asset(name=name, uri=f"evergreen://datasets/{name}")


def predictions_asset(model: str) -> Asset:
    return Asset(name=f"{model}.predictions", uri=f"evergreen://models/{model}/predictions")


def by_the_clock(schedule: PartitionSchedule) -> dict[str, Any]:
    """The DAG arguments that make one run a partition, from the first to the last."""
    return {
        "schedule": CronPartitionTimetable(schedule.cron, timezone="UTC", run_offset=schedule.run_offset, key_format=PARTITION_FORMAT),
        "start_date": _midnight(schedule.start),
        # runs start up to a day after the partition that they are for
        "end_date": _midnight(schedule.end) + dt.timedelta(days=1) if schedule.end else None,
        "catchup": False,
    }


def optional_day(name: str, description: str) -> Param:
    return Param(None, type=["null", "string"], format="date", title=name, description=description)


def reason(description: str = "Why this run is started by hand. It is kept with what the run does.") -> Param:
    return Param(None, type=["null", "string"], maxLength=500, title="Reason", description=description)


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
