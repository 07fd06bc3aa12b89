"""Side effects from training to promotion, enumerated, so that tests can kill the process at each of them.

Within the lifecycle (train, gate, register, approve, promote, roll back) whatever writes to the database, the storage or MLflow
does so inside `side_effect`. Tests fail for a write that does not: a new one cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Moment = Literal["before", "after"]

EFFECTS: dict[str, str] = {
    "train.claim": "the one MLflow run of the run key is made and claimed",
    "train.choose": "what tuning chose is kept, for every later attempt",
    "train.log": "parameters, metrics, tags and inputs are logged in it",
    "train.artifact": "the model's files are logged in it",
    "train.finish": "the run is ended",
    "train.reference": "the samples of rows for drift and for estimates are written",
    "train.record": "the candidate and its recipe are recorded",
    "train.tidy": "what other attempts left in MLflow is removed",
    "gate.record": "the decision is recorded, with its entry in the ledger",
    "gate.report": "the gate's report is logged in the MLflow run",
    "register.version": "MLflow makes a version of the run",
    "register.record": "the version is recorded, with its entry in the ledger",
    "register.card": "the model card is written",
    "register.alias": "MLflow's alias challenger is set",
    "approve.record": "a person's answer is recorded, with its entry in the ledger",
    "promote.record": "the promotion is recorded, with its entry in the ledger",
    "promote.alias": "MLflow's alias champion is set",
    "rollback.record": "the rollback is recorded, with its entry in the ledger",
    "alert": "an alert is raised or resolved",
}

_current: ContextVar[str | None] = ContextVar("effect", default=None)
_watchers: list[Callable[[str, Moment], object]] = []


@contextmanager
def side_effect(name: str) -> Iterator[None]:
    """Wrap one side effect, which is idempotent: repeated after a crash before, within or after it, it gives the same.

    :param name: one of `EFFECTS`
    :yields: once, for the effect
    :raises KeyError: when the name is not among them
    """
    if name not in EFFECTS:
        raise KeyError(f"{name!r} is not among the effects; add it to EFFECTS, with what it does")
    for watcher in _watchers:
        watcher(name, "before")
    token = _current.set(name)
    try:
        yield
    finally:
        _current.reset(token)
    for watcher in _watchers:
        watcher(name, "after")


def current_effect() -> str | None:
    """Tell which side effect is being done.

    :returns: its name, one of `EFFECTS`; None outside of them
    """
    return _current.get()


@contextmanager
def watched(watcher: Callable[[str, Moment], object]) -> Iterator[None]:
    """Have, in a test, each side effect watched within the context.

    :param watcher: called with the effect's name and the moment, ``before`` or ``after``; it may end the process there
    :yields: once, while it is called
    """
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)
