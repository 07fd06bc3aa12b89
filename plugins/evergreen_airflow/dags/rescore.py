"""evergreen.rescore"""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG, Param

from evergreen_airflow.dags.common import DAY_PATTERN
from evergreen_airflow.operators.serving import RescoreOperator
from evergreen_airflow.retries import DEFAULT_ARGS

DOC = """# evergreen.rescore

A form that scores and monitors a range of days of one model again, **without ingesting them**. A day is left alone if its inputs,
features and model version have not changed. A day that lacks an input is reported as waiting; the other days are processed.

Use it in place of a backfill, which Airflow does not offer for asset-partitioned DAGs. Observations keep their origin (live or
backfill).
"""


def rescore_dag(models: list[str]) -> DAG:
    """Build evergreen.rescore: one form for all models, which processes a range of days in one task.

    :param models: names of the models to choose from
    :returns: the DAG
    """
    params = {
        "model": Param(
            models[0] if models else None, type="string", enum=models or None, title="Model", description="The model to score again."
        ),
        "first": Param(type="string", format="date", pattern=DAY_PATTERN, title="First day", description="First partition of the range."),
        "last": Param(
            type="string", format="date", pattern=DAY_PATTERN, title="Last day", description="Last partition of the range (inclusive)."
        ),
        "stage": Param("both", type="string", enum=["both", "score", "monitor"], title="Stage", description="The stages to repeat."),
        "reason": Param(type="string", minLength=5, maxLength=500, title="Reason", description="Why the range is scored again."),
    }
    with DAG(
        "evergreen.rescore",
        description="Score and monitor a range of days again, without ingesting them.",
        doc_md=DOC,
        schedule=None,
        tags=["evergreen", "rescore"],
        params=params,
        default_args={**DEFAULT_ARGS, "owner": "evergreen", "execution_timeout": dt.timedelta(hours=6)},
        max_active_runs=1,
    ) as dag:
        RescoreOperator(task_id="rescore")
    return dag
