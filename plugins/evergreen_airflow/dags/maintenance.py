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

Keeps the storage small and true, every night at 03:30 UTC **once you switch it on**. *retention* takes away what is kept no longer: the content of superseded
versions and raw rows as each `dataset.yaml` says under `retention`, old drift reports, and what belongs to candidates that were neither
blessed nor registered. **Never** what the snapshot of a blessed or registered version names. *orphans* removes files that no record
names and that nobody wrote for a day. *records* looks for records whose files are gone. *verify* reads a sample of what is stored
again and compares it with the digests; it is another sample every night.

All of it is safe beside running DAGs, safe to repeat, and safe to kill. **By hand:** Trigger; with *Dry run* nothing is removed, and
the logs say what would be.

| when this fails | it means | do this |
|---|---|---|
| retention | a `dataset.yaml` is wrong (the other datasets were done), or the storage did not answer | mend the YAML that the error names; transient errors are retried |
| orphans | the storage did not let us remove, or did not answer | the error names the file; check the storage's permissions |
| records | somebody or something removed files that are recorded: **data loss** | the log lists each with what mends it: ingest again, rescore, train again, or restore from a backup |
| verify | stored rows are not those that were recorded: **damage or tampering** | the log lists each, and the ledger keeps it; restore or ingest again, and find out who or what changed the storage |

Settings, and the same without Airflow: `docs/guides/maintenance.md`, `evergreen maintain --dry-run`.
"""


def maintenance_dag() -> DAG:
    """What only looks does not wait for what removes: a failure of the one must not hide what the other would find."""
    params = {
        "grace_hours": Param(
            None,
            type=["null", "number"],
            minimum=0,
            title="Grace hours",
            description="Files written less than this ago are left alone. Empty: EVERGREEN_ORPHAN_GRACE_HOURS, else 24.",
        ),
        "sample": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            title="Sample",
            description="How many partition versions and prediction sets are read again. Empty: EVERGREEN_VERIFY_SAMPLE, else 50.",
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Remove nothing; the logs say what would be removed."),
        "reason": reason(),
    }
    with DAG(
        "evergreen.maintenance",
        description="Retention, orphans, records without files, and verification of a sample, every night.",
        doc_md=DOC,
        schedule=CronTriggerTimetable(CRON, timezone="UTC", run_immediately=dt.timedelta(0)),
        catchup=False,
        is_paused_upon_creation=True,  # what removes data begins when somebody says so, and not in the midst of `make run`
        tags=["evergreen", "maintenance"],
        params=params,
        default_args={**DEFAULT_ARGS, "owner": "evergreen", "execution_timeout": dt.timedelta(hours=6)},
        max_active_runs=1,
    ) as dag:
        ApplyRetentionOperator(task_id="retention") >> RemoveOrphansOperator(task_id="orphans")
        FindLostFilesOperator(task_id="records")
        VerifySampleOperator(task_id="verify")
    return dag
