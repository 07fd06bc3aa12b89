"""The kinds of alerts: what each means to a model and its users. Each has a runbook, ``docs/runbooks/<kind>.md``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AlertKind:
    """``title`` says in a few words what is wrong, ``meaning`` in a sentence what follows from it for the model and its users."""

    name: str
    title: str
    meaning: str


_ALL = (
    AlertKind("task", "A task failed", "What the task makes for its partition is missing, and so is all that waits for it."),
    AlertKind("died", "A task died", "Its process ended without a word: killed, out of memory, or lost with its worker."),
    AlertKind("stuck", "A task is stuck", "It runs far longer than it ever did. What waits for it is late."),
    AlertKind("retries", "Tasks fail more often", "A retry still makes it good: it comes later. When none does any more, it is missing."),
    AlertKind("run", "A run failed", "A DAG's run ended as failed though none of its tasks did, so nothing follows from it."),
    AlertKind("late", "A run is late", "It was due, and Airflow has not made it. What it makes is missing."),
    AlertKind("backfill", "A backfill failed", "Some days of a backfill are not made. What serves now is not touched by it."),
    AlertKind("validation", "A partition was stopped", "The data of a day did not pass its expectations and was not published."),
    AlertKind("freshness", "Data is late", "A partition is past its deadline. Models that read it score later, or not at all."),
    AlertKind("age", "A champion is old", "The serving version is older than its limit: it does not know what has happened since."),
    AlertKind("trigger", "Retraining fired", "Drift or performance passed a threshold. The training that answers it is on its way."),
    AlertKind("rules", "Retraining rules fail", "Nobody retrains the model by itself, whatever drift and performance say."),
    AlertKind("rejections", "Candidates are rejected", "No new version passes the gate, so the serving one grows old."),
    AlertKind("score", "Scoring fails", "The model's newest partitions have no predictions."),
    AlertKind("monitor", "Monitoring fails", "Nobody sees whether the model still does what it did."),
    AlertKind("challenger", "A challenger fails", "Its predictions are missing. The champion serves as before."),
    AlertKind("rollout", "A roll-out did not go well", "A new version was rolled back, or cannot be judged. The champion serves on."),
    AlertKind("comparison", "The champion cannot be computed", "The gate judges candidates without comparing them with the champion."),
    AlertKind("artifact", "A model's files are damaged", "The version does not serve: an earlier one does, or none."),
    AlertKind("alias", "MLflow shows another champion", "Somebody moved the alias by hand. What serves is what our records say."),
    AlertKind("bypass", "A decision was bypassed", "Somebody marked a task as done that had decided nothing. Nothing was promoted."),
    AlertKind("ledger", "Records were changed", "Rows and ledger do not agree: what the records say may be no longer what happened."),
    AlertKind("airflow", "Airflow is unwell", "A part of Airflow does not answer: nothing new starts, or nothing is noticed."),
    AlertKind("parsing", "A DAG does not parse", "Airflow keeps running its last version, or none."),
    AlertKind("disk", "A disk fills", "When it is full, nothing is written: tasks fail, and then the databases."),
    AlertKind("notification", "A message was not delivered", "Those who are on call may not know of other alerts."),
    AlertKind("configuration", "oncall.yaml is wrong", "The last good one stays in use."),
    AlertKind("drill", "A drill", "Nothing is wrong: somebody tests that messages arrive."),
)  # fmt: skip
KINDS = {kind.name: kind for kind in _ALL}
