"""evergreen.maintenance"""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG, CronTriggerTimetable, Param

from evergreen_airflow.dags.common import reason
from evergreen_airflow.operators.maintenance import (
    ApplyRetentionOperator,
    FindLostFilesOperator,
    RemoveOrphansOperator,
    VerifySampleOperator,
)
from evergreen_airflow.retries import DEFAULT_ARGS

CRON = "30 3 * * *"
DOC = """# evergreen.maintenance

Cleans up and verifies the storage every night at 03:30 UTC, **once you unpause it**.

- *retention* removes what has outlived its retention: superseded versions and raw rows as declared under `retention` in each
  `dataset.yaml`, old drift reports, and the files of candidates that were neither blessed nor registered. It **never** removes what
  the snapshot of a blessed or registered version refers to.
- *orphans* removes files that no record refers to and that are more than a day old.
- *records* looks for records whose files are missing.
- *verify* reads a sample of the stored rows and compares it with the recorded digests. Each night draws a new sample.

All tasks are safe to repeat, to kill, and to run alongside other DAGs. Trigger the DAG with *Dry run* to see in the logs what would
be removed.

| failed task | meaning | action |
|---|---|---|
| retention | a `dataset.yaml` is invalid (the other datasets were processed), or the storage did not respond | fix the YAML that the error names; transient errors are retried |
| orphans | the storage denied a removal, or did not respond | the error names the file; check the storage's permissions |
| records | recorded files were removed: **data loss** | the log lists each file and its fix: ingest again, rescore, train again, or restore from a backup |
| verify | stored rows differ from their records: **damage or tampering** | the log and the ledger list each case; restore or ingest again, and find out who or what changed the storage |

Settings, and the same without Airflow: `docs/guides/maintenance.md`, `evergreen maintain --dry-run`.
"""


def maintenance_dag() -> DAG:
    """Build evergreen.maintenance. Checks do not wait for removals, so that a failed removal does not hide what they find.

    :returns: the DAG, which is paused until somebody switches it on
    """
    params = {
        "grace_hours": Param(
            None,
            type=["null", "number"],
            minimum=0,
            title="Grace hours",
            description="Keep files younger than this. Default: EVERGREEN_ORPHAN_GRACE_HOURS, or 24.",
        ),
        "sample": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            title="Sample",
            description="Number of partition versions and prediction sets to verify. Default: EVERGREEN_VERIFY_SAMPLE, or 50.",
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Remove nothing. The logs say what would be removed."),
        "reason": reason(),
    }
    with DAG(
        "evergreen.maintenance",
        description="Apply retention, remove orphans, find lost files, and verify a sample of the storage, every night.",
        doc_md=DOC,
        schedule=CronTriggerTimetable(CRON, timezone="UTC", run_immediately=dt.timedelta(0)),
        catchup=False,
        is_paused_upon_creation=True,  # removal starts only when a person asks for it, and not in the middle of `make run`
        tags=["evergreen", "maintenance"],
        params=params,
        default_args={**DEFAULT_ARGS, "owner": "evergreen", "execution_timeout": dt.timedelta(hours=6)},
        max_active_runs=1,
    ) as dag:
        ApplyRetentionOperator(task_id="retention") >> RemoveOrphansOperator(task_id="orphans")
        FindLostFilesOperator(task_id="records")
        VerifySampleOperator(task_id="verify")
    return dag
