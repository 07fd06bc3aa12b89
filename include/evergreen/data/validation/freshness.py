"""Freshness and schema checks: whether a delivery came in time, and which undeclared columns it has."""

from __future__ import annotations

import datetime as dt

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Freshness
from include.evergreen.data.validation.checks import CheckResult, shown
from include.evergreen.data.validation.rows import Delivered

COLUMNS_SHOWN = 10


def undeclared_check(dataset: DatasetConfig, delivered: Delivered) -> CheckResult:
    """Check whether the source gave a column that is not declared. Its name is shown, its values never were read.

    :param dataset: its ``undeclared_columns`` says what follows: ``warn`` or ``error``
    :param delivered: what else is known of the partition
    :returns: the result; always evaluated
    """
    extra = [shown(name) if name else "a column without a name (does the header end in a delimiter?)" for name in delivered.undeclared]
    rest = f" and {len(extra) - COLUMNS_SHOWN} more" if len(extra) > COLUMNS_SHOWN else ""
    message = ", ".join(extra[:COLUMNS_SHOWN]) + rest if extra else "none"
    return CheckResult("undeclared_columns", {}, dataset.undeclared_columns, "failed" if extra else "passed", observed=message)


def freshness_check(dataset: DatasetConfig, freshness: Freshness, delivered: Delivered) -> CheckResult:
    """Check whether a live delivery arrived by its deadline; a backfill comes late by its nature.

    :param dataset: whose partition it is
    :param freshness: the deadline
    :param delivered: what else is known of the partition
    :returns: the result; not evaluated in a backfill
    """
    arguments = freshness.model_dump(exclude={"on_fail"}, exclude_none=True)
    if not delivered.live:
        message = "this is a backfill, and only what is ingested live has a deadline"
        return CheckResult("freshness", arguments, freshness.on_fail, "not_evaluated", observed=message)
    deadline = freshness.moment(dataset.grain, delivered.partition)
    late = delivered.arrived - deadline
    message = f"arrived {_minute(delivered.arrived)}, with a deadline of {_minute(deadline)} UTC"
    if late <= dt.timedelta():
        return CheckResult("freshness", arguments, freshness.on_fail, "passed", observed=message)
    return CheckResult("freshness", arguments, freshness.on_fail, "failed", observed=f"{message}: {_hours(late)} late")


def _minute(timestamp: dt.datetime) -> str:
    return f"{timestamp.astimezone(dt.UTC):%Y-%m-%d %H:%M}"


def _hours(duration: dt.timedelta) -> str:
    hours = duration.total_seconds() / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
