"""evergreen.pause"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from evergreen_airflow.operators.pausing import PAUSE, RESUME, PauseOperator
from evergreen_airflow.retries import DEFAULT_ARGS
from include.evergreen.foundation.reasons import LENGTHS

MAX_HOURS = 24 * 90  # equals include.evergreen.state.pauses.LONGEST_HOURS, which a DAG parse should not import
DOC = """# evergreen.pause

**Pauses automatic promotion and retraining of all models**, for example during an incident, a migration, or a holiday. Trigger the
DAG and enter for how many hours and why. The pause ends automatically, or earlier with *resume*.

While a pause is active:

- scheduled trainings continue and register challengers; *promote* is skipped, also for approved versions;
- the sensors of `<model>.retrain` keep waiting and trigger nothing; when the pause ends they evaluate the rules again;
- people can still promote and roll back with `<model>.promote`.

Who paused, why and until when is recorded in the ledger. It is shown on every Evergreen page, in the log of each task that the
pause holds back, and by `evergreen status`. A new pause replaces the active one.

| failed task | meaning | action |
|---|---|---|
| pause | our database did not respond | it is retried; `evergreen pause --hours H --reason R` does the same |
| pause | the run was cleared: it would act again, under the name of who triggered it | nothing was done; trigger the form again |
"""


def pause_dag() -> DAG:
    """Build evergreen.pause: one form for the whole platform.

    :returns: the DAG, which has no schedule and is not paused when it is created
    """
    min_length, max_length = LENGTHS
    params = {
        "action": Param(PAUSE, type="string", enum=[PAUSE, RESUME], title="Action", description="Resume ends the active pause."),
        "hours": Param(
            4, type="number", exclusiveMinimum=0, maximum=MAX_HOURS, title="Hours", description="Length of the pause, from now."
        ),
        "reason": Param(
            type="string", minLength=min_length, maxLength=max_length, title="Reason", description="Recorded in the ledger with your name."
        ),
    }
    with DAG(
        "evergreen.pause",
        description="Pause automatic promotion and retraining of all models for some hours, or resume.",
        doc_md=DOC,
        schedule=None,
        is_paused_upon_creation=False,  # it must work when it is needed
        tags=["evergreen", "pause"],
        params=params,
        default_args={**DEFAULT_ARGS, "owner": "evergreen"},
        max_active_runs=1,
    ) as dag:
        PauseOperator(task_id="pause")
    return dag
