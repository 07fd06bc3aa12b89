"""evergreen.rescore"""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG, Param

from evergreen_airflow.dags.common import DAY_PATTERN
from evergreen_airflow.operators.serving import RescoreOperator
from evergreen_airflow.retries import DEFAULT_ARGS

DOC = """# evergreen.rescore

A form: score and monitor a range of days of one model again, **without ingesting**. Days whose inputs, features and version
are as they were are left alone; a day that lacks an input is reported as waiting, and the others go on.

Asset-partitioned DAGs cannot be backfilled, and this form stands in. Observations keep the origin (live or backfill) that they had.
"""


def rescore_dag(models: list[str]) -> DAG:
    """One form for all models; a range is worked through in one task."""
    params = {
        "model": Param(models[0] if models else None, type="string", enum=models or None, title="Model", description="Whose predictions."),
        "first": Param(type="string", format="date", pattern=DAY_PATTERN, title="First day", description="First partition of the range."),
        "last": Param(type="string", format="date", pattern=DAY_PATTERN, title="Last day", description="Last partition, included."),
        "stage": Param("both", type="string", enum=["both", "score", "monitor"], title="Stage", description="What to do again."),
        "reason": Param(type="string", minLength=5, maxLength=500, title="Reason", description="Why."),
    }
    with DAG(
        "evergreen.rescore",
        description="Score and monitor a range of days again, without ingesting.",
        doc_md=DOC,
        schedule=None,
        tags=["evergreen", "rescore"],
        params=params,
        default_args={**DEFAULT_ARGS, "owner": "evergreen", "execution_timeout": dt.timedelta(hours=6)},
        max_active_runs=1,
    ) as dag:
        RescoreOperator(task_id="rescore")
    return dag
