"""What a run is about: its partition or as_of, and whether it is live or a backfill."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError

Origin = Literal["live", "backfill"]
BACKFILL: Origin = "backfill"
LIVE: Origin = "live"


def partition_of(context: Mapping[str, Any]) -> dt.date:
    """The run's partition: the parameter ``partition``, then the partition key; else `ConfigError`."""
    return _day_of(context, "partition")


def as_of_of(context: Mapping[str, Any]) -> dt.date:
    """The run's as_of: the parameter ``as_of``, then the partition key; else `ConfigError`."""
    return _day_of(context, "as_of")


def known_at_of(context: Mapping[str, Any]) -> dt.datetime | None:
    """When what the run ingests was known, if a person said so by the parameter ``known_at``."""
    value = context["params"].get("known_at")
    return clock.moment(clock.parse_partition(value, subject="The parameter known_at")) if value else None


def own_origin(context: Mapping[str, Any]) -> Origin:
    """Live or backfill, by the run's own type: for ingestion alone, where the data enters. What follows takes it from the record."""
    return BACKFILL if _run_type(context) == BACKFILL else LIVE


def person_of(context: Mapping[str, Any]) -> str:
    """Who started the run: the user's name, or how it came to be."""
    run = context["dag_run"]
    return str(run.triggering_user_name or f"airflow ({_run_type(context)})")


def _run_type(context: Mapping[str, Any]) -> str:
    run_type = context["dag_run"].run_type
    return str(getattr(run_type, "value", run_type))  # str() of the enum would be DagRunType.BACKFILL_JOB


def _day_of(context: Mapping[str, Any], name: str) -> dt.date:
    if value := context["params"].get(name):
        return clock.parse_partition(value, subject=f"The parameter {name}")
    if key := context["dag_run"].partition_key:
        return clock.parse_partition(key)
    raise ConfigError(
        f"This run of {context['dag_run'].dag_id} has neither a partition key nor the parameter {name!r}, so it is not "
        f"known which day it is for. Trigger it again with a partition key such as 2013-02-09, or set {name}."
    )
