"""What the UI says about each of a model's DAGs: what it does, what a failure means, what to do."""

from __future__ import annotations

from include.evergreen.config import ModelConfig
from include.evergreen.config.gate import AbsoluteCriterion


def train(model: ModelConfig) -> str:
    when = f"by the clock (`{model.train.schedule.cron}`, UTC)" if model.train.schedule else "by hand or by a firing alone"
    return f"""# {model.name}.train

{model.description} Owner: **{model.owner}**. Runs {when}, and whenever the retraining sensor fires.

*snapshot* reads up to {model.train.window_days} days before **as_of** as they were known then; *train* fits `{model.train.estimator}` on all
but the newest {model.train.holdout_days} days and logs it in MLflow; *gate* judges it on those days:

{_criteria(model)}

*register* makes a blessed candidate a version and challenger; *promote* makes it champion, unless the champion has a later as_of.
A rejected candidate is a normal night: register and promote are skipped, and the decision is recorded.

**By hand:** Trigger with *As of*, or with a partition key. A past as_of gives the model that would have been trained then,
and never takes the place of a champion that knows more.

| when this fails | it means | do this |
|---|---|---|
| snapshot | too few days were known as of that date, or `features.py` failed | `python -m include.evergreen why {model.name} AS_OF` lists what is missing; backfill it |
| train, register | MLflow did not answer, or the estimator's parameters are wrong | the error says which; transient ones are retried |
| gate | an artifact was changed after it was trained | train again; find out who changed it |
| promote | no blessed decision in our database, or a changed artifact | nothing was promoted; the champion serves on |
"""


def score(model: ModelConfig) -> str:
    inputs = "\n".join(f"- `{each.dataset}`{_lag(each.lag_days)}" for each in model.inputs)
    return f"""# {model.name}.score

Scores one partition (day) of `{model.rows}` with the champion, and with the challenger in its shadow. Owner: **{model.owner}**.

It runs whenever one of its inputs is published, for the day that reads it:

{inputs}

The first task asks our database whether all inputs are there. If not, it is **skipped** and says what it waits for; the run that
the last input starts does the work. A later correction of one input scores that day again. A day is scored by the champion
that had not seen it: without one it is skipped, too.

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

It runs when the day was scored, and again when its truth arrives. Figures become observations, which the rules of
`{model.name}.retrain` read; *Drift report* on the task (its Details tab) opens Evidently's report of the window.

A number counts as drifted from {model.monitor.numeric_threshold:g} standard deviations (Wasserstein), a category from {model.monitor.categorical_threshold:g} (Jensen-Shannon).

| when it is | it means | do this |
|---|---|---|
| skipped | the day has no predictions (yet) | see `{model.name}.score` for that day |
| failed | storage, database or Evidently failed | read the error; a retry replaces what was half done |
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

**Pause** this DAG to stop retraining by firing.
"""


def promote(model: ModelConfig) -> str:
    return f"""# {model.name}.promote

A form: make a registered version of {model.name} champion, with your reason. Owner: **{model.owner}**.

Only a version with a blessed decision and unchanged files can be promoted. With *Force* it may take the place of a champion
that has a later as_of: this is how to go back. Your name and reason go into the ledger.

`python -m include.evergreen decisions {model.name}` lists what was decided on which version.
"""


def _criteria(model: ModelConfig) -> str:
    lines = []
    for each in model.gate.criteria:
        if isinstance(each, AbsoluteCriterion):
            bound = f"at least {each.at_least:g}" if each.at_least is not None else f"at most {each.at_most:g}"
            lines.append(f"- {each.metric} {bound}")
        else:
            lines.append(f"- {each.metric} no worse than the champion's on the same rows, within {each.margin:g}")
    return "\n".join(lines)


def _lag(days: int) -> str:
    return " of the same day" if days == 0 else f" up to {days} day{'s' * (days > 1)} before"
