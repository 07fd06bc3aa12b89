"""Who must act decides whether a retry makes sense."""

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
            reason="A configuration or a parameter is wrong: a retry would find it wrong again.",
        ),
        RetryRule(
            "include.evergreen.foundation.errors.DataError",
            RetryAction.FAIL,
            reason="The data is wrong: its owner must mend it before a retry makes sense.",
        ),
        RetryRule(
            "include.evergreen.foundation.errors.TransientError",
            RetryAction.RETRY,
            reason="Something outside did not answer just now.",
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
