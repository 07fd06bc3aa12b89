"""evergreen.pause"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from evergreen_airflow.operators.pausing import PAUSE, RESUME, PauseOperator
from evergreen_airflow.retries import DEFAULT_ARGS
from include.evergreen.foundation.reasons import LENGTHS

LONGEST_HOURS = 24 * 90  # as include.evergreen.state.pauses has it, which a parse need not import
DOC = """# evergreen.pause

**The one switch** that holds all automatic promotion and retraining, of every model: while something is under suspicion, a migration
runs, or nobody is there to look. A form: Trigger, say for how many hours and why. It ends by itself, or with *resume*.

While a pause stands:

- trainings by the clock go on and register challengers; their *promote* is skipped, and so is that of an approved version;
- the sensors of `<model>.retrain` stay armed and fire nothing; when the pause is over they evaluate the rules again;
- people go on promoting and rolling back, with `<model>.promote`.

Who paused, why and until when stands in the ledger, on every page of ours, in the log of each task that it holds, and in
`evergreen status`. A new pause takes the place of the one that stands.

| when this fails | it means | do this |
|---|---|---|
| pause | our database did not answer | it is retried; `evergreen pause --hours H --reason R` does the same |
"""


def pause_dag() -> DAG:
    """One form for the whole platform."""
    least, most = LENGTHS
    params = {
        "action": Param(PAUSE, type="string", enum=[PAUSE, RESUME], title="Action", description="Resume ends the pause that stands."),
        "hours": Param(
            4, type="number", exclusiveMinimum=0, maximum=LONGEST_HOURS, title="Hours", description="How long to pause, from now on."
        ),
        "reason": Param(
            type="string", minLength=least, maxLength=most, title="Reason", description="Why. It goes into the ledger with your name."
        ),
    }
    with DAG(
        "evergreen.pause",
        description="Hold all automatic promotion and retraining for some hours, or resume.",
        doc_md=DOC,
        schedule=None,
        is_paused_upon_creation=False,  # a switch must act when it is used
        tags=["evergreen", "pause"],
        params=params,
        default_args={**DEFAULT_ARGS, "owner": "evergreen"},
        max_active_runs=1,
    ) as dag:
        PauseOperator(task_id="pause")
    return dag
