"""Which errors are worth a retry. An error class says who must act on it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryRule
from airflow.sdk.definitions.retry_policy import RetryAction

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            "include.evergreen.foundation.errors.ConfigError",
            RetryAction.FAIL,
            reason="The configuration or a parameter is invalid. A retry would fail in the same way.",
        ),
        RetryRule(
            "include.evergreen.foundation.errors.DataError",
            RetryAction.FAIL,
            reason="The data is invalid. Its owner must fix it before a retry can succeed.",
        ),
        RetryRule(
            "include.evergreen.foundation.errors.TransientError",
            RetryAction.RETRY,
            reason="An external system is temporarily unavailable.",
        ),
    ],
)

DEFAULT_ARGS: dict[str, Any] = {
    "retries": 3,
    "retry_delay": dt.timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": dt.timedelta(minutes=10),
    "retry_policy": RETRY_POLICY,
    "execution_timeout": dt.timedelta(minutes=30),
}
