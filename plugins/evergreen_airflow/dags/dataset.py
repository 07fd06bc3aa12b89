"""<dataset>.ingest"""

from __future__ import annotations

from airflow.sdk import DAG

from evergreen_airflow.dags.common import STAGE_TIMEOUT, dataset_asset, optional_day, partition_schedule, reason
from evergreen_airflow.operators.ingestion import FetchPartitionOperator, PublishPartitionOperator, ValidatePartitionOperator
from evergreen_airflow.retries import DEFAULT_ARGS
from include.evergreen.config import DatasetConfig

MAX_ACTIVE_RUNS = 8


def ingest_dag(dataset: DatasetConfig) -> DAG:
    """Build <dataset>.ingest: each run fetches, validates and publishes one partition.

    :param dataset: the dataset as it is declared now
    :returns: the DAG
    """
    with DAG(
        f"{dataset.name}.ingest",
        description=dataset.description,
        doc_md=_doc(dataset),
        tags=["evergreen", "ingest", dataset.name, *dataset.tags],
        params={
            "known_at": optional_day(
                "Known at",
                "For a late correction: the day on which its content became known. Runs with an earlier as_of keep reading the previous "
                "version. Default: as dataset.yaml declares under knowledge.",
            ),
            "reason": reason(),
        },
        default_args={**DEFAULT_ARGS, "owner": dataset.owner},
        max_active_runs=MAX_ACTIVE_RUNS,
        dagrun_timeout=STAGE_TIMEOUT,
        **partition_schedule(dataset.schedule, dataset.grain),
    ) as dag:
        fetch = FetchPartitionOperator(task_id="fetch", dataset=dataset.name)
        validate = ValidatePartitionOperator(task_id="validate", dataset=dataset.name)
        publish = PublishPartitionOperator(task_id="publish", dataset=dataset.name, outlets=[dataset_asset(dataset.name)])
        fetch >> validate >> publish
    return dag


def _doc(dataset: DatasetConfig) -> str:
    return f"""# {dataset.name}.ingest

{dataset.description} Owner: **{dataset.owner}**.

Each run ingests one partition ({dataset.grain.a_partition}), named by the run's **partition key**.

- *fetch* reads the partition from its source.
- *validate* checks every row with Great Expectations and moves failing rows to quarantine.
- *publish* makes the accepted rows the current version and notifies the models that read {dataset.name}.

Ingesting a partition again changes nothing unless its content has changed. Changed content becomes the partition's next version. Reads
as of an earlier time keep returning the version that was known then. Clearing *publish* of an older run replaces nothing newer: the
task is then skipped, and its log names the version that stays.

**One {dataset.grain.noun}:** Trigger the DAG with the {dataset.grain.noun} as partition key (`{dataset.grain.example}`), under *Advanced Options*. **Many {dataset.grain.noun}s:** Trigger, Backfill, and choose the range.
Models that read new content are scored and monitored automatically.

| failed task | meaning | action |
|---|---|---|
| fetch | the source has no such partition, or its content does not match the declared columns | read the error, which names file, line and column; fix the source, then clear the task |
| validate | an expectation with `on_fail: error` failed, or more than {dataset.quarantine.max_share:.0%} of the rows did | open *Validation result* on the task's Details tab; fix the source, or the expectation in `include/datasets/{dataset.name}/dataset.yaml` |
| publish | our database or storage did not respond | it is retried; if it still fails, check the database |

Until a partition is published again, its previous version stays current.
"""
