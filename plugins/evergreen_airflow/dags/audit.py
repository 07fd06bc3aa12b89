"""evergreen.audit"""

from __future__ import annotations

import datetime as dt

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronTriggerTimetable

from evergreen_airflow.dags.common import reason
from evergreen_airflow.operators.audit import AnchorLedgerOperator, AuditChampionsOperator, VerifyLedgerOperator
from evergreen_airflow.operators.serving import FindMissedWorkOperator
from evergreen_airflow.retries import DEFAULT_ARGS

CRON = "15 4 * * *"
DOC = """# evergreen.audit

Verifies Evergreen's records every night at 04:15 UTC. It removes nothing.

- *ledger* recomputes every hash of the ledger and compares it with the anchors.
- *anchor* stores the ledger's newest hash outside the database, once a day, so that a truncated or rewritten ledger is detected.
- *champions* compares MLflow's aliases and each champion's files with what the gate blessed.
- *missed* looks for partitions of the last week that could have been scored or monitored for more than an hour and were not. The
  asset event may have been lost, or the model promoted later.
- *start* triggers one run for each of them. It is skipped if nothing was missed, and never triggers the same work twice.

Set `EVERGREEN_LEDGER_ANCHORS` to storage that this deployment can write to but not change, such as a bucket with object lock.
Runs of this DAG are safe to repeat.

| failed task | meaning | action |
|---|---|---|
| ledger | an entry was changed, removed or reordered, or the ledger was truncated: **tampering**, or a restored backup | see the critical alert and the log for the first affected entry; compare with a backup; delete nothing |
| anchor | the anchor storage did not respond, or holds a later entry than the ledger | the error says which; tomorrow's anchor covers today |
| champions | the files of a champion are missing or changed: **the last champion that verifies is served instead** | see the critical alert; restore the files from a backup, or train again |
| missed, start | our database or Airflow's did not respond | it is retried; `evergreen missed` lists what is left |

The same without Airflow: `evergreen verify-ledger`, `evergreen missed --make-up`. More: `docs/guides/audit.md`.
"""


def audit_dag() -> DAG:
    """Build evergreen.audit. Only a verified ledger is anchored; the champions are audited in parallel.

    :returns: the DAG, which runs every night and is not paused when it is created
    """
    with DAG(
        "evergreen.audit",
        description="Verify and anchor the ledger, audit every champion, and start missed runs, every night.",
        doc_md=DOC,
        schedule=CronTriggerTimetable(CRON, timezone="UTC", run_immediately=dt.timedelta(0)),
        catchup=False,
        is_paused_upon_creation=False,  # it removes nothing, and an audit that is off by default finds nothing
        tags=["evergreen", "audit"],
        params={"reason": reason()},
        default_args={**DEFAULT_ARGS, "owner": "evergreen", "execution_timeout": dt.timedelta(hours=2)},
        max_active_runs=1,
    ) as dag:
        VerifyLedgerOperator(task_id="ledger") >> AnchorLedgerOperator(task_id="anchor")
        AuditChampionsOperator(task_id="champions")
        missed = FindMissedWorkOperator(task_id="missed")
        start = TriggerDagRunOperator.partial(task_id="start", logical_date=None, skip_when_already_exists=True)
        start.expand_kwargs(missed.output)
    return dag
