"""Which alert a failed attempt belongs to, how severe that is, and what it says: pure functions of facts."""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence
from dataclasses import dataclass

from include.evergreen.operations.noticing.attempts import Attempt, Word
from include.evergreen.state.alerts import Severity
from include.evergreen.state.task_failures import fingerprint

BY_HAND = "MarkedFailed"  # the class of an attempt that a person marked as failed
LONGEST_KEY = 250
MOST_NAMED = 5
_EVERYWHERE = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, OSError) and value not in {FileNotFoundError, PermissionError}
) | {"TransientError", "OvertakenError", "ChampionChangedError"}
_OUTSIDE = re.compile(r"(Timeout|TimeoutError|ConnectionError|ConnectError|OperationalError)$")  # as libraries call theirs
_ORIGINAL = {"EnvironmentError": "OSError", "IOError": "OSError"}


@dataclass(frozen=True)
class Subject:
    """What a DAG is of. ``stops_live`` says that a failure of it stops live data of a model that serves; ``readers`` name the models
    that read the dataset."""  # fmt: skip

    model: str = ""
    dataset: str = ""
    stage: str = ""
    stops_live: bool = False
    readers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The model's or dataset's; empty for a DAG of somebody else."""
        return self.model or self.dataset


@dataclass(frozen=True)
class Cause:
    """The alert that an attempt belongs to: ``what`` says what happened, without where; ``is_outside``, that something did not answer."""

    key: str
    severity: Severity
    what: str
    error: str = ""
    is_outside: bool = False

    @property
    def kind(self) -> str:
        """The kind of the alert."""
        return self.key.partition("/")[0]


def cause_of(attempt: Attempt, word: Word, subject: Subject) -> Cause:
    """Find the cause of a failed attempt.

    :param attempt: the attempt
    :param word: what it said
    :param subject: what its DAG is of
    :returns: the cause; attempts with one cause share its key, wherever they are
    """
    instance = attempt.instance
    last_word = f"{word.error_class}: {word.line}" if word.error_class and word.line else word.error_class or word.line
    if attempt.backfill:
        return Cause(_cut(f"backfill/{attempt.backfill}"), "warning", f"Days of the backfill {attempt.backfill} failed", last_word)
    severity: Severity = "critical" if subject.stops_live and attempt.state != "retrying" and word.error_class != BY_HAND else "warning"
    if not instance.task_id:
        return Cause(_cut(f"run/{instance.dag_id}"), severity, "A run failed though none of its tasks did, such as by its time-out")
    if not word.error_class:
        return Cause(_cut(f"died/{instance.dag_id}/{instance.task_id}"), severity, _death(attempt, word), word.error)
    if subject.dataset and (instance.task_id, word.error_class) == ("validate", "DataError"):
        return Cause(f"validation/{subject.dataset}", severity, f"The data was stopped: {word.line}", word.error)
    is_outside = is_everywhere(word.error_class)
    where = "" if is_outside else subject.name or instance.dag_id
    return Cause(f"task/{fingerprint(word.error_class, word.error, where)}", severity, last_word, word.error, is_outside)


def is_everywhere(error_class: str) -> bool:
    """Tell whether an error of this class has one cause wherever it is raised: something outside did not answer.

    :param error_class: name of the exception's class
    :returns: whether it is a `TransientError`, of the operating system's, or a connection's or time-out of a library
    """
    return _ORIGINAL.get(error_class, error_class) in _EVERYWHERE or bool(_OUTSIDE.search(error_class))


def describe(what: str, dags: Sequence[str], partitions: Sequence[str], readers: Sequence[str]) -> str:
    """Write an alert's message.

    :param what: what happened
    :param dags: where, as ``<dag>.<task>``
    :param partitions: which days
    :param readers: the models that wait for them
    :returns: one sentence or two
    """
    seen = f" Seen in {some(dags)}" if dags else ""
    days = f", of {some(partitions)}" if partitions else ""
    waiting = f" Waiting for it: {some(readers, 20)}." if readers else ""
    return f"{what.rstrip('. ')[:500]}.{seen}{days}{'.' if seen else ''}{waiting}"


def some(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """List names for people.

    :param names: any number
    :param most: how many are written out
    :returns: the first of them, and how many more there are
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _death(attempt: Attempt, word: Word) -> str:
    if attempt.state == "silent":
        return "The worker of a running task has been silent for a while: it was killed, or its machine is gone"
    says = f" Airflow says: {word.line[:300]}" if word.line else ""
    again = " Airflow tries it again." if attempt.state == "retrying" else ""
    return f"A task's process ended without a word: killed, out of memory, or lost with its worker.{says}{again}"


def _cut(key: str) -> str:
    return key[:LONGEST_KEY]
