"""What the UI says about each of a model's DAGs: what it does, what a failure means, what to do."""

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


def train(model: ModelConfig) -> str:
    when = f"by the clock (`{model.train.schedule.cron}`, UTC)" if model.train.schedule else "by hand or by a firing alone"
    return f"""# {model.name}.train

{model.description} Owner: **{model.owner}**. Runs {when}, and whenever the retraining sensor fires.

*snapshot* reads up to {model.train.window_days} days before **as_of** as they were known then; *train* fits `{model.train.estimator_words}` on all
but the newest {model.train.holdout_days} days{_container(model)} and logs it in MLflow; *gate* judges it on those days:

{_criteria(model)}

*register* makes a blessed candidate a version and challenger; *promote* makes it champion, unless the champion has a later as_of
or a pause stands (`evergreen.pause`). {_approval(model)}
A rejected candidate is a normal night: what follows the gate is skipped, and the decision is recorded.

**By hand:** Trigger with *As of*, or with a partition key. A past as_of gives the model that would have been trained then,
and never takes the place of a champion that knows more.

| when this fails | it means | do this |
|---|---|---|
| snapshot | too few days were known as of that date, or `features.py` failed | `evergreen why {model.name} AS_OF` lists what is missing; backfill it |
| train, register | MLflow did not answer, or the estimator's parameters are wrong | the error says which; transient ones are retried |
| gate | it could not evaluate the candidate: its log says which criterion, and why (a changed artifact, no rows, a failing check) | mend that, and clear *gate*: it evaluates again |
| promote | no blessed decision in our database, or a changed artifact: **somebody may have tampered** | nothing was promoted, the champion serves on, and an alert is open: `evergreen alerts list` |
"""


def _container(model: ModelConfig) -> str:
    docker = model.train.docker
    if model.train.run_in == "worker" or docker is None:
        return ""
    return (
        f", in a container of `{docker.image}` ({docker.cpus:g} cores, {docker.memory_mb} MB, at most {docker.timeout_minutes:g} minutes),"
    )


def score(model: ModelConfig) -> str:
    inputs = "\n".join(f"- `{each.dataset}`{_lag(each.lag_days)}" for each in model.inputs)
    return f"""# {model.name}.score

Scores one partition (day) of `{model.rows}` with the champion, and with the challenger in its shadow. Owner: **{model.owner}**.

It runs when the last of its inputs is published, for the day that reads it, and once more for each correction of one:

{inputs}

No run is started that has nothing to do: none while an input is missing, none when an input is published again unchanged, and none
without a champion that had not seen the day. `evergreen why {model.name} DAY` says what a day waits for, and since when.
A run that you start by hand for such a day is **skipped**, and its log says why. What an event should have started and did not,
`evergreen.audit` starts in the night.

| when this fails | it means | do this |
|---|---|---|
| no partition key | the run was started by hand without a day | trigger it again with a partition key, such as 2013-02-09 |
| features | `include/models/{model.name}/features.py` failed on this day | the error names it; mend it, then clear the task |
| artifact | the champion's files were changed after registration | nothing was scored; restore the files, or promote another version |

To score a range of days again use the form of `evergreen.rescore`.
"""


def monitor(model: ModelConfig) -> str:
    return f"""# {model.name}.monitor

Observes one scored partition (day): quality, drift of features and predictions against the champion's training rows, and realised
performance once `{model.target.dataset}` of that day is there. Owner: **{model.owner}**.

It runs when the day was scored, and again when its truth arrives; the truth of a day that was not scored starts nothing. Figures become
observations, which the rules of `{model.name}.retrain` read; *Drift report* on the task (its Details tab) opens Evidently's report of the
window, which is drawn when somebody opens it, or at once when a rule trips.

A number counts as drifted from {model.monitor.numeric_threshold:g} standard deviations (Wasserstein), a category from {model.monitor.categorical_threshold:g} (Jensen-Shannon).

| when it is | it means | do this |
|---|---|---|
| skipped | you started it by hand for a day that has no predictions (yet) | see `{model.name}.score` for that day |
| failed | storage or database failed | read the error; a retry replaces what was half done |
"""


def retrain(model: ModelConfig) -> str:
    rules = "\n".join(f"- `{rule.name}`" for rule in model.retrain.rules) or "- none: this model is never fired"
    return f"""# {model.name}.retrain

One run of this DAG stands **armed** at all times (a deferred task costs no worker). When a rule over live observations trips, the
firing is recorded with its evidence, and `{model.name}.train` is started as of the newest day of that evidence.

{rules}

Each means: k of the last n observations breach, the newest among them. After a firing none follows for
{model.retrain.cooldown_days} days of partition time. Observations that came from a backfill fire nothing. Owner: **{model.owner}**.

| when this fails | it means | do this |
|---|---|---|
| armed | our database did not answer | it is retried, and arms again |
| fire | the training could not be started | the firing is kept; clear the task |
| report | the drift report of the firing's window could not be drawn | the training goes on; clear the task |

*report* draws it at once, as evidence, beside *fire*: *Drift report* on the task opens it. It is skipped when the window's data was
corrected before it could.

To hold retraining by firing, of every model and for some hours, use the form of `evergreen.pause`: the sensor stays armed, says
in its log who paused and why, and evaluates the rules again when the pause is over.
"""


def approve(model: ModelConfig) -> str:
    return f"""# {model.name}.approve

One run asks a person whether one version of {model.name} may serve. Owner: **{model.owner}**. {_approval(model)}

*ask* waits, without a worker, until somebody opens it (*Required Actions*, on Airflow's home page, the DAG and the task), reads the
evidence and chooses **Approve** or **Refuse**. After **{model.approval.hours:g} hours** without an answer it counts as refused. The name of
whoever answered and the reason are written into our database and the ledger; only then *promote* acts on them.

| when this is | it means | do this |
|---|---|---|
| *ask* is waiting | nobody answered yet; the champion serves on, and trainings and retraining go on too | answer it |
| *promote* is skipped | refused, or a pause stands, or the champion knows more by now: its log says which | nothing; or clear *ask* to ask anew |
| *promote* failed | no approval in our database, whatever the state of *ask*: **somebody may have marked it** | nothing was promoted, and an alert is open: find out who marked it, clear *ask* |

Marking *ask* as success approves nothing. All versions, with who approved which and why: *Versions*, on the task's Details tab.
"""


def promote(model: ModelConfig) -> str:
    return f"""# {model.name}.promote

A form: make a registered version of {model.name} champion, or roll back to an earlier one, with your reason. Owner: **{model.owner}**.
It takes seconds, and works while a pause stands.

- **promote**: only a version with a blessed decision and unchanged files. With *Force* it may take the place of a champion that
  has a later as_of.
- **roll back**: the champion before this one serves again, or the *Version* that you name. What is rolled back does not come back
  by itself: a person must promote it.

Your name and reason go into the ledger.

| when this fails | it means | do this |
|---|---|---|
| a version is missing, or was never registered | the form was filled in wrongly | the error lists the versions that there are |
| no blessed decision, or a changed artifact | that version is not what the gate blessed | nothing was changed; choose another version, find out who changed it |

The same without Airflow: `evergreen rollback {model.name} --reason R`. What was decided on which version:
`evergreen decisions {model.name}`.
"""


def _approval(model: ModelConfig) -> str:
    """When a person must agree, in one sentence."""
    if model.approval.mode == "auto":
        return "No person need approve it (`approval.mode: auto`)."
    occasions = {
        "first_model": "it is the first model",
        "slice_worse": "a slice is worse than the champion's",
        "major_version": "its version is a major one",
    }
    when = "each time" if model.approval.mode == "human" else f"when {' or '.join(occasions[each] for each in model.approval.when)}"
    return f"A person must approve it {when}: *ask* starts `{model.name}.approve`, which waits for the answer."


def _criteria(model: ModelConfig) -> str:
    mode = {
        "enabled": "",
        "dry_run": "**The gate's mode is dry_run: all of this is evaluated and recorded, and every candidate is blessed.**\n\n",
        "disabled": "**The gate is disabled: every candidate is blessed unseen, and none of this is evaluated.**\n\n",
    }[model.gate.mode]
    asked = [*map(_words, model.gate.criteria), "a clean process that loads the artifact predicts the same, bit for bit"]
    return mode + "\n".join(f"- {each}" for each in asked)


def _words(criterion: Criterion) -> str:
    """What one criterion asks, in one line."""
    match criterion:
        case AbsoluteCriterion():
            return f"{criterion.metric} {_bound(criterion.at_least, criterion.at_most)}"
        case ChampionCriterion() | BaselineCriterion():
            return _comparison(criterion)
        case SlicesCriterion():
            return _slices(criterion)
        case BehaviourCriterion():
            return "every check of `checks.py` passes"
        case _:
            return _limit(criterion)


def _comparison(criterion: ChampionCriterion | BaselineCriterion) -> str:
    if isinstance(criterion, BaselineCriterion):
        return f"{criterion.metric} surely better than that of a trivial baseline, by {criterion.margin:g}"
    if criterion.must == "better":
        return f"{criterion.metric} surely better than the champion's on the same rows, by {criterion.margin:g}"
    return f"{criterion.metric} surely no worse than the champion's on the same rows, within {criterion.margin:g}"


def _slices(criterion: SlicesCriterion) -> str:
    match criterion.judge:
        case "worst":
            return f"{criterion.metric} of the worst slice by {criterion.by} {_bound(criterion.at_least, criterion.at_most)}"
        case "difference":
            return f"{criterion.metric} of slices by {criterion.by} at most {criterion.max_difference:g} apart"
        case "disparate_impact":
            return "disparate impact by {} within {:g} to {:g}".format(criterion.by, *criterion.ratios)
        case "equal_opportunity":
            return f"equal opportunity by {criterion.by}, within {criterion.max_difference:g}"


def _limit(criterion: CalibrationCriterion | SpeedCriterion | SizeCriterion | StabilityCriterion) -> str:
    match criterion:
        case CalibrationCriterion():
            return f"calibration error at most {criterion.at_most:g}"
        case SpeedCriterion():
            return f"1,000 rows predicted in at most {criterion.at_most:g} ms"
        case SizeCriterion():
            return f"artifact of at most {criterion.at_most:g} MB"
        case StabilityCriterion():
            return f"{criterion.metric} of {criterion.seeds} seeds at most {criterion.max_spread:g} apart"


def _bound(at_least: float | None, at_most: float | None) -> str:
    return f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"


def _lag(days: int) -> str:
    return " of the same day" if days == 0 else f" up to {days} day{'s' * (days > 1)} before"
