"""<dataset>.ingest"""

from __future__ import annotations

from airflow.sdk import DAG

from evergreen_airflow.dags.common import STAGE_TIMEOUT, by_the_clock, dataset_asset, optional_day, reason
from evergreen_airflow.operators.ingestion import (
    FetchPartitionOperator,
    PublishPartitionOperator,
    ValidatePartitionOperator,
)
from evergreen_airflow.retries import DEFAULT_ARGS
from include.evergreen.config import DatasetConfig

MAX_ACTIVE_RUNS = 8


def ingest_dag(dataset: DatasetConfig) -> DAG:
    """Fetch, validate and publish one partition a run."""
    with DAG(
        f"{dataset.name}.ingest",
        description=dataset.description,
        doc_md=_doc(dataset),
        tags=["evergreen", "ingest", dataset.name, *dataset.tags],
        params={
            "partition": optional_day("Partition", "The day to ingest. Empty: the run's partition key, under Advanced Options."),
            "known_at": optional_day(
                "Known at",
                "For a late correction: the day since when its content is known. Runs as of earlier days go on reading what was known "
                "then. Empty: as dataset.yaml says under knowledge.",
            ),
            "reason": reason(),
        },
        default_args={**DEFAULT_ARGS, "owner": dataset.owner},
        max_active_runs=MAX_ACTIVE_RUNS,
        dagrun_timeout=STAGE_TIMEOUT,
        **by_the_clock(dataset.schedule),
    ) as dag:
        fetch = FetchPartitionOperator(task_id="fetch", dataset=dataset.name)
        validate = ValidatePartitionOperator(task_id="validate", dataset=dataset.name)
        publish = PublishPartitionOperator(task_id="publish", dataset=dataset.name, outlets=[dataset_asset(dataset.name)])
        fetch >> validate >> publish
    return dag


def _doc(dataset: DatasetConfig) -> str:
    return f"""# {dataset.name}.ingest

{dataset.description} Owner: **{dataset.owner}**.

Each run ingests the partition (day) that its **partition key** names: *fetch* reads it at the source, *validate* judges
every row with Great Expectations and sets failing rows aside in quarantine, *publish* makes the rest current and tells the
models that read {dataset.name}. Ingesting a day again replaces nothing unless its content has changed; changed content is the next
version of the partition, and reads as of a moment before it was known go on seeing the version before.

**By hand:** Trigger, and give the day as partition key (`2013-02-09`). **Many days:** Trigger, Backfill, and choose the range;
scoring and monitoring of the models follow by themselves, where anything is new to them.

| when this fails | it means | do this |
|---|---|---|
| fetch | the source has no such partition, or it does not fit the declared columns | read the error: it names file, line and column; mend the source, then clear the task |
| validate | an expectation with `on_fail: stop` failed, or more than {dataset.quarantine.max_share:.0%} of the rows did | open *Validation result* on the task (its Details tab); mend the source, or the expectation in `include/datasets/{dataset.name}/dataset.yaml` |
| publish | our database or storage did not answer | it is retried; then look at the database |

Until a day is published anew, what was published before stays current.
"""
