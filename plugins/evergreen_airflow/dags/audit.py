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

Every night at 04:15 UTC: can what our records say be believed? It removes nothing. *ledger* computes every hash of the ledger anew and
compares it with the anchors. *anchor* keeps the newest hash outside the database, once a day, so that a tail that is cut off, or written anew,
shows. *champions* compares MLflow's aliases and each champion's files with what was blessed. *missed* looks through what was published in the last week for days
that a model could have scored or monitored for more than an hour and did not, since the event that should have started it was lost, or since the
model was promoted later; *start* starts a run for each. It is skipped when nothing was missed, and starts the same work once.

Set `EVERGREEN_LEDGER_ANCHORS` to a place that this deployment can write to and not change, such as a bucket with object lock. Safe to repeat.

| when this fails | it means | do this |
|---|---|---|
| ledger | an entry was changed, removed or reordered, or the tail was cut: **tampering**, or a restored backup | there is a critical alert; the log says where from. Compare with a backup; delete nothing |
| anchor | the place for anchors did not answer, or holds a later entry than the ledger | the error says which; tomorrow's anchor covers today |
| champions | the files of a champion are gone or were changed: **the last champion that verifies serves** | there is a critical alert; restore the files from a backup, or train again |
| missed, start | our database or Airflow's did not answer | it is retried; `evergreen missed` says what is left |

The same without Airflow: `evergreen verify-ledger`, `evergreen missed --make-up`. More: `docs/guides/audit.md`.
"""


def audit_dag() -> DAG:
    """An anchor is made of a ledger that was verified; what the champions serve does not wait for that."""
    with DAG(
        "evergreen.audit",
        description="The ledger verified and anchored, every champion compared with what was blessed, and missed work made up for, every night.",
        doc_md=DOC,
        schedule=CronTriggerTimetable(CRON, timezone="UTC", run_immediately=dt.timedelta(0)),
        catchup=False,
        is_paused_upon_creation=False,  # it removes nothing, and an audit that nobody switched on finds nothing
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
