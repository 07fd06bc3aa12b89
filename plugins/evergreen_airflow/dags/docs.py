"""Dag Docs of a model's DAGs: what each does, what a failure means, and what to do about it."""

from __future__ import annotations

from include.evergreen.config import ModelConfig
from include.evergreen.config.gate import (
    AbsoluteCriterion,
    BaselineCriterion,
    BehaviourCriterion,
    CalibrationCriterion,
    ChampionCriterion,
    Criterion,
    SizeCriterion,
    SlicesCriterion,
    SpeedCriterion,
    StabilityCriterion,
)
from include.evergreen.config.models import Input


def train(model: ModelConfig) -> str:
    """Return the documentation of <model>.train.

    :param model: the model as it is declared now
    :returns: Markdown, for ``doc_md``
    """
    schedule = (
        f"on schedule (`{model.train.schedule.cron}`, {model.grain.timezone}), when triggered manually,"
        if model.train.schedule
        else "when triggered manually"
    )
    as_of = "the as_of as partition key, under *Advanced Options*" if model.train.schedule else "*As of*"
    return f"""# {model.name}.train

{model.description} Owner: **{model.owner}**. Runs {schedule} and when the retraining sensor triggers it.

- *snapshot* reads up to {model.train.window} before **as_of**, with what was known then.
- *train* fits `{model.train.estimator_summary}` on all but the newest {model.train.holdout}{_container(model)} and logs it in MLflow.
- *gate* evaluates the candidate on those newest days:

{_criteria(model)}

- *register* registers a blessed candidate as the challenger.
- *promote* {_promotion(model)}, unless the champion has a later as_of or a pause is active (`evergreen.pause`).

{_approval(model)}
Rejection is an expected outcome; downstream tasks are skipped, and the decision is recorded.

**Manual run:** Trigger the DAG with {as_of}. A past as_of gives the model that would have been trained then. It
never replaces a champion trained on newer data.

| failed task | meaning | action |
|---|---|---|
| snapshot | too few days were known as of that date, or `features.py` failed | `evergreen why {model.name} AS_OF` lists what is missing; backfill it |
| train, register | MLflow did not respond, or the estimator's parameters are invalid | the error says which; transient errors are retried |
| gate | a criterion could not be evaluated: the log says which, and why (a changed artifact, no rows, a failing check) | fix the cause, then clear *gate* to evaluate again |
| promote | no blessed decision in our database, or a changed artifact: **possible tampering** | nothing was promoted and the champion keeps serving; see the open alert: `evergreen alerts list` |
"""


def _container(model: ModelConfig) -> str:
    docker = model.train.docker
    if model.train.run_in == "worker" or docker is None:
        return ""
    return (
        f", in a container of `{docker.image}` ({docker.cpus:g} cores, {docker.memory_mb} MB, at most {docker.timeout_minutes:g} minutes),"
    )


def score(model: ModelConfig) -> str:
    """Return the documentation of <model>.score.

    :param model: the model as it is declared now
    :returns: Markdown, for ``doc_md``
    """
    inputs = "\n".join(f"- `{entry.dataset}`{_lag(entry)}" for entry in model.inputs)
    return f"""# {model.name}.score

Scores one partition (day) of `{model.rows}` with the champion, and with the challenger in shadow mode or on its share of a roll-out. Owner: **{model.owner}**.

A run starts when the last of the day's inputs is published, and again when one of them is corrected:

{inputs}

No run starts while an input is missing, when an input is published again unchanged, or when no champion has an as_of up to the day.
`evergreen why {model.name} DAY` says what a day is waiting for, and since when. If you trigger a run for such a
day, it is **skipped** and its log says why. Runs that were missed, for example because an asset event was lost, are started by
`evergreen.audit` at night.

| error | meaning | action |
|---|---|---|
| no partition key | the run was triggered without a day | trigger it again with a partition key, such as 2013-02-09, under *Advanced Options* |
| features | `include/models/{model.name}/features.py` failed for this day | read the error; fix the file, then clear the task |
| artifact | the champion's files were changed after registration | nothing was scored; restore the files, or promote another version |

To score a range of days again, use the form of `evergreen.rescore`.
"""


def monitor(model: ModelConfig) -> str:
    """Return the documentation of <model>.monitor.

    :param model: the model as it is declared now
    :returns: Markdown, for ``doc_md``
    """
    return f"""# {model.name}.monitor

Monitors one scored partition (day): data quality, drift of features and predictions against the champion's training data, estimated
performance at once{"" if model.monitor.estimate else " (switched off in model.yaml)"}, and realised performance once its labels in
`{model.target.dataset}`{_wait(model)}. Owner: **{model.owner}**.

A run starts when the day is scored, and again when its labels are complete. Labels of a day that was not scored start no run. Metrics are
stored as observations, which the rules of `{model.name}.retrain` evaluate. *Drift report* on the task's Details tab opens Evidently's
report of the window. It is rendered when it is first opened, or as soon as a rule trips.

A feature counts as drifted when its p-value, corrected for all columns, is at most .05, and it moved far enough to matter: a numeric feature by a Wasserstein distance of {model.monitor.numeric_threshold:g} standard deviations, a categorical one by a Jensen-Shannon distance of {model.monitor.categorical_threshold:g}.

| state | meaning | action |
|---|---|---|
| skipped | the run was triggered manually for a day without predictions | see `{model.name}.score` for that day |
| failed | the storage or the database failed | read the error; a retry replaces partial results |
"""


def retrain(model: ModelConfig) -> str:
    """Return the documentation of <model>.retrain.

    :param model: the model as it is declared now
    :returns: Markdown, for ``doc_md``
    """
    rules = "\n".join(f"- `{rule.name}`" for rule in model.retrain.rules) or "- none: this model is never retrained automatically"
    return f"""# {model.name}.retrain

One run of this DAG always **waits for a trigger**, in a deferred task that uses no worker. When a rule trips on live observations, a
trigger event is recorded with its evidence, and `{model.name}.train` starts as of the newest day of that evidence. Rules:

{rules}

A rule trips when k of the last n observations breach its threshold, the newest among them. After a trigger event there is a cool-down of
{model.retrain.cooldown}, in partition time. Observations from a backfill trigger nothing. Owner: **{model.owner}**.

An event is answered when the gate of its training has decided, whatever it decided. A training that ends without a decision has failed:
newer observations may then trigger another at once, and the same event triggers its training again, after an hour, two, four, and at
last once a day. `evergreen status --json` says where it stands (`last_firing`).

| failed task | meaning | action |
|---|---|---|
| wait_for_trigger | our database did not respond | it is retried, and waits again |
| trigger_training | the training could not be started | the trigger event is kept, and triggers again after an hour; clear the task to do so now |
| report | the drift report of the evidence could not be rendered | the training continues; clear the task |

*report* renders the drift report as evidence, in parallel to *trigger_training*. Open it with *Drift report* on the task's Details tab. The
task is skipped if the window's data was corrected first.

Marking *wait_for_trigger* as success triggers nothing: the other tasks are skipped, and the next run waits.

To pause automatic retraining of all models for some hours, use the form of `evergreen.pause`. The sensor keeps waiting, logs who
paused and why, and evaluates the rules again when the pause ends.
"""


def approve(model: ModelConfig) -> str:
    """Return the documentation of <model>.approve.

    :param model: the model as it is declared now
    :returns: Markdown, for ``doc_md``
    """
    return f"""# {model.name}.approve

Each run requests approval of one version of {model.name} for production. Owner: **{model.owner}**. {_approval(model)}

*ask* waits, without using a worker, until a person opens it under *Required Actions* (on Airflow's home page, the DAG or the task),
reviews the evidence and chooses **Approve** or **Reject**. Without an answer within **{model.approval.hours:g} hours** the version is rejected. The answer, with
the person's name and reason, is recorded in our database and the ledger before *promote* acts on it.

| task and state | meaning | action |
|---|---|---|
| *ask* is waiting | nobody has answered yet; the champion keeps serving, and training and retraining continue | answer it |
| *promote* is skipped | the version was rejected, a pause is active, the champion was trained on newer data, or a person replaced this version: its log says which | none; clear *ask* to request approval again |
| *promote* failed | no approval in our database, regardless of the state of *ask*: **the task may have been marked manually** | nothing was promoted, and an alert is open; find out who marked it, then clear *ask* |

Marking *ask* as success approves nothing. *Versions*, on the task's Details tab, lists all versions with their approvers and reasons.
"""


def promote(model: ModelConfig) -> str:
    """Return the documentation of <model>.promote.

    :param model: the model as it is declared now
    :returns: Markdown, for ``doc_md``
    """
    return f"""# {model.name}.promote

A form to promote a registered version of {model.name} to champion, to roll back to an earlier champion, or to abort a roll-out. Owner: **{model.owner}**.
It takes seconds and also works while a pause is active.

- **promote** accepts only a version with a blessed decision and unchanged files. Set *Force* to replace a champion with a later as_of.
- **roll back** restores the previous champion, or the *Version* that you enter. A version that was rolled back is not promoted
  automatically again; a person must promote it.
- **abort roll-out** lets the champion serve all rows again. The version that was rolled out is not promoted automatically again.

Your name and reason are recorded in the ledger.

| error | meaning | action |
|---|---|---|
| the run was cleared | it would act again, under the name of who triggered it | nothing was done; trigger the form again |
| the version is missing or not registered | the form was filled in incorrectly | the error lists the registered versions |
| no blessed decision, or a changed artifact | the version is not what the gate blessed | nothing was changed; choose another version, and find out who changed this one |

The same without Airflow: `evergreen rollback {model.name} --reason R`. The decisions on each version:
`evergreen decisions {model.name}`.
"""


def _promotion(model: ModelConfig) -> str:
    """Say what promotion does with a blessed version."""
    if not model.rollout.steps:
        return "makes it the champion"
    return f"starts its roll-out ({model.rollout.strategy}), which *monitor* decides; the first champion serves at once"


def _wait(model: ModelConfig) -> str:
    """Say until when labels may come."""
    within = model.target.within
    return f" are complete ({within} after its own)" if within else " are available"


def _approval(model: ModelConfig) -> str:
    """Say in one sentence when approval is required."""
    if model.approval.mode == "auto":
        return "Versions need no approval (`approval.mode: auto`)."
    conditions = {
        "first_model": "there is no champion to compare it with",
        "slice_worse": "it is worse than the champion on a slice",
        "major_version": "it is a major version",
        "not_compared": "it could not be compared with the champion",
    }
    required = model.approval.mode == "human"
    versions = "Every version needs" if required else "A version needs"
    condition = "" if required else f" if {' or '.join(conditions[name] for name in model.approval.when)}"
    return f"{versions} a person's approval{condition}: *ask* in `{model.name}.train` starts `{model.name}.approve`, which waits for the answer."


def _criteria(model: ModelConfig) -> str:
    mode = {
        "enabled": "",
        "dry_run": "  **The gate is in dry_run mode: all criteria are evaluated and recorded, but every candidate is blessed.**\n\n",
        "disabled": "  **The gate is disabled: it approves every candidate without evaluation.**\n\n",
    }[model.gate.mode]
    criteria = [*map(_describe, model.gate.criteria), "predictions are identical, bit for bit, in a clean process that loads the artifact"]
    return mode + "\n".join(f"  - {criterion}" for criterion in criteria)


def _describe(criterion: Criterion) -> str:
    """Describe one criterion in one line."""
    match criterion:
        case AbsoluteCriterion():
            return f"{criterion.metric} is {_bound(criterion.at_least, criterion.at_most)}"
        case ChampionCriterion() | BaselineCriterion():
            return _comparison(criterion)
        case SlicesCriterion():
            return _slices(criterion)
        case BehaviourCriterion():
            return "every check in `checks.py` passes"
        case _:
            return _limit(criterion)


def _comparison(criterion: ChampionCriterion | BaselineCriterion) -> str:
    confidence = f"one-sided, {100 * criterion.confidence:g}% confidence"
    by_more = f" by more than {criterion.margin:g}" if criterion.margin else ""
    if isinstance(criterion, BaselineCriterion):
        return f"{criterion.metric} is better than a trivial baseline's{by_more} ({confidence})"
    return f"{criterion.metric} is {criterion.must.replace('_', ' ')} than the champion's on the same rows{by_more} ({confidence})"


def _slices(criterion: SlicesCriterion) -> str:
    match criterion.judge:
        case "worst":
            return f"{criterion.metric} of the worst slice by {criterion.by} is {_bound(criterion.at_least, criterion.at_most)}"
        case "difference":
            return f"{criterion.metric} of slices by {criterion.by} differs by at most {criterion.max_difference:g}"
        case "disparate_impact":
            return "disparate impact by {} is between {:g} and {:g}".format(criterion.by, *criterion.ratios)
        case "equal_opportunity":
            return f"equal opportunity difference by {criterion.by} is at most {criterion.max_difference:g}"


def _limit(criterion: CalibrationCriterion | SpeedCriterion | SizeCriterion | StabilityCriterion) -> str:
    match criterion:
        case CalibrationCriterion():
            return f"calibration error is at most {criterion.at_most:g}"
        case SpeedCriterion():
            return f"prediction of 1,000 rows takes at most {criterion.at_most:g} ms"
        case SizeCriterion():
            return f"the artifact has at most {criterion.at_most:g} MB"
        case StabilityCriterion():
            return f"{criterion.metric} across {criterion.seeds} seeds differs by at most {criterion.max_spread:g}"


def _bound(at_least: float | None, at_most: float | None) -> str:
    return f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"


def _lag(entry: Input) -> str:
    if entry.max_age is not None:
        return f", the newest partition that is known, at most {entry.max_age} old"
    return f" up to {entry.lag} before" if entry.lag else " of the same time"
