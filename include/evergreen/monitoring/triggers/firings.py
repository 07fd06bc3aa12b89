"""Firings (trigger events): recorded once, with their evidence, and no more often than the cool-down allows.

A firing is answered when the gate has decided on its training's candidate. A training that ends without that has failed: newer
evidence may then fire at once, and the same evidence asks for its training again, after an hour, two, four, and at last once a day.
"""

from __future__ import annotations

import datetime as dt
import itertools
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import ModelConfig
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.reasons import checked_reason
from include.evergreen.monitoring.observations import list_observations, newest_observed
from include.evergreen.monitoring.triggers.bounds import live_bounds
from include.evergreen.monitoring.triggers.quiet import LOOKED_AT, Quiet, quiet_after
from include.evergreen.monitoring.triggers.rules import RuleEvidence, delay_of, evaluate, judged_on, lacking_labels, newest_count
from include.evergreen.state import ledger
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import decisions, firings
from include.evergreen.state.pauses import active_pause, refuse_changed_pauses

log = logging.getLogger(__name__)
FIRST_WAIT = dt.timedelta(hours=1)  # after a training that failed, until it is asked for again; doubled with each attempt
LONGEST_WAIT = dt.timedelta(days=1)
BY_HAND = "fired by hand"  # in the place of a rule
DECISIONS_LOOKED_AT = 200  # the newest: those on the candidates of the newest firings are among them


@dataclass(frozen=True)
class Firing:
    """A rule that tripped. ``as_of`` is the day on which the newest of its evidence could be there, and that of the training it fires."""

    id: int
    model: str
    rule: str
    as_of: Partition
    version: int
    evidence: dict[str, Any]
    recorded_at: dt.datetime
    training_run_id: str | None
    attempts: int
    answered_at: dt.datetime | None
    failed_at: dt.datetime | None

    @property
    def message(self) -> str:
        """The rule and the figures that breached it, as recorded."""
        return str(self.evidence["message"])

    @property
    def partition(self) -> Partition:
        """The newest partition of its evidence."""
        return Partition(self.evidence["observations"][-1]["partition"])

    @property
    def is_awaited(self) -> bool:
        """Whether a training was asked for, of which it is not known yet whether it answers the firing."""
        return self.training_run_id is not None and self.answered_at is None and self.failed_at is None

    @property
    def due_at(self) -> dt.datetime | None:
        """From when its training is to be asked for; None when it is awaited or answered."""
        if self.training_run_id is None:
            return self.recorded_at
        if self.answered_at or self.failed_at is None:
            return None
        return self.failed_at + min(FIRST_WAIT * (1 << min(self.attempts - 1, 10)), LONGEST_WAIT)

    def is_due(self, now: dt.datetime) -> bool:
        """Whether its training is to be asked for; at once where the clock was set back since, so that nothing waits for it to catch up.

        :param now: by the wall clock
        :returns: whether it is, for the first time or again
        """
        if self.training_run_id is None:
            return True
        return self.due_at is not None and self.failed_at is not None and not self.failed_at <= now < self.due_at

    @property
    def training(self) -> str:
        """What became of its training, as a sentence without its full stop."""
        if self.training_run_id is None:
            return "its training was not triggered yet"
        if self.answered_at:
            return f"its training {self.training_run_id} was decided at {_minute(self.answered_at)}"
        if self.failed_at and self.due_at:
            failed, again = _minute(self.failed_at), _minute(self.due_at)
            return f"its training {self.training_run_id} failed at {failed} and is triggered again from {again}"
        return f"its training {self.training_run_id} was triggered and is not decided yet"


def tripped(model: ModelConfig) -> RuleEvidence | None:
    """The first rule of a model that trips now and is not cooling down; reads alone, and cheaply.

    :param model: the model as it is declared now
    :returns: the rule, in the order of the declaration, with the observations that met it; None when none trips
    """
    for rule in model.retrain.rules:
        bounds = live_bounds(model.name, rule)
        if evidence := evaluate(rule, judged_on(model, rule), model.calendar, bounds, delay_of(model, rule.metric)):
            with reading() as connection:
                if _is_quiet(connection, model, evidence.as_of):
                    continue
            return None if lacking_labels(model, newest_count(model)) else evidence
    return None


def fire_if_tripped(model: ModelConfig) -> Firing | None:
    """Record the firing of the rule that trips now, in one transaction with its ledger entry.

    Two processes that ask at once record one firing: the cool-down is checked again under the write lock.

    :param model: the model as it is declared now
    :returns: the firing, whose training is not asked for yet; None when no rule trips, or a pause is active
    """
    evidence = None if active_pause() else tripped(model)
    if evidence is None:
        return None
    with writing() as connection:
        refuse_changed_pauses(connection)
        if _is_quiet(connection, model, evidence.as_of):
            return None
        body = {**asdict(evidence), "as_of": evidence.as_of, "message": evidence.message}
        values = {"model": model.name, "rule": evidence.rule, "as_of": evidence.as_of, "version": evidence.version}
        row = firings.insert().values(**values, evidence=body, recorded_at=clock.now()).returning(firings.c.id)
        ledger.bind(connection, firings, {"id": connection.execute(row).scalar_one()}, kind="firing")
    fired = newest_firing(model.name)
    assert fired is not None
    log.warning("%s fires: %s", model.name, fired.message)
    return fired


def fire_by_hand(model: ModelConfig, *, actor: str, reason: str) -> Firing:
    """Record a firing that a person asks for, with its ledger entry, as of the newest observed partition. The cool-down begins with it.

    The cool-down of an earlier firing does not hold it back; a pause, and a training that is under way, do.

    :param model: the model as it is declared now
    :param actor: who asks for it
    :param reason: why, for the ledger
    :returns: the firing, whose training the model's armed sensor asks for
    :raises ConfigError: when the reason is too short or too long, a pause is active, nothing was observed, or that day has its training
    """
    reason = checked_reason(model.name, reason)
    if pause := active_pause():
        raise ConfigError(f"{model.name} does not fire: {pause.message}. End the pause first (`evergreen resume`).")
    observed = newest_observed(model.name, 1)
    if not observed:
        raise ConfigError(
            f"Nothing was observed of {model.name}, so there is nothing to fire as of. Trigger {model.name}.train, or run it."
        )
    day = observed[0]
    version = list_observations(model.name, first=day, last=day)[0].version
    figure = {"partition": day, "value": 0.0, "rows": 0, "breaches": True}
    evidence = {
        "rule": BY_HAND, "metric": "", "bound": 0.0, "observations": [figure], "as_of": day, "version": version,
        "actor": actor, "reason": reason, "message": f"{BY_HAND}, by {actor}: {reason}",
    }  # fmt: skip
    with writing() as connection:
        refuse_changed_pauses(connection)
        own = firings.select().where(firings.c.model == model.name).order_by(firings.c.id.desc()).limit(1)
        newest = connection.execute(own).first()
        if newest is not None and newest.answered_at is None:
            raise ConfigError(f"{model.name} has fired as of {newest.as_of} already, and {as_record(Firing, newest).training}.")
        this = {"model": model.name, "rule": BY_HAND, "as_of": day}
        if connection.execute(sa.select(firings.c.id).filter_by(**this)).first():
            raise ConfigError(f"{model.name} was fired by hand as of {day} already; trained again it would be the same candidate.")
        row = firings.insert().values(**this, version=version, evidence=evidence, recorded_at=clock.now()).returning(firings.c.id)
        ledger.bind(connection, firings, {"id": connection.execute(row).scalar_one()}, kind="firing")
    fired = newest_firing(model.name)
    assert fired is not None
    log.warning("%s fires: %s", model.name, fired.message)
    return fired


def due_firing(model: str) -> Firing | None:
    """The newest firing, if its training is to be asked for now: for the first time, or again after it failed.

    :param model: its name, as in ``include/models``
    :returns: the firing; None when there is none, or it is awaited or answered, or its wait is not over
    """
    newest = newest_firing(model)
    return newest if newest and newest.is_due(clock.now()) else None


def models_to_look_at() -> set[str]:
    """The models whose newest firing has its training to be asked for now, or awaits what becomes of it, in one query for all.

    :returns: their names
    """
    newer = firings.alias("newer")
    is_newest = ~sa.exists().where(newer.c.model == firings.c.model, newer.c.id > firings.c.id)
    with reading() as connection:
        rows = connection.execute(firings.select().where(firings.c.answered_at.is_(None), is_newest)).all()
    unanswered = [as_record(Firing, row) for row in rows]
    return {firing.model for firing in unanswered if firing.is_awaited or firing.is_due(clock.now())}


def awaited_firing(model: str) -> Firing | None:
    """The newest firing, if its training was asked for and has neither answered nor failed, as far as is recorded.

    :param model: its name, as in ``include/models``
    :returns: the firing; None when there is none, or nothing is awaited of it
    """
    newest = newest_firing(model)
    return newest if newest and newest.is_awaited else None


def failed_firing(model: str) -> Firing | None:
    """The newest firing, if its training has failed, as far as is recorded.

    :param model: its name, as in ``include/models``
    :returns: the firing; None when there is none, or its training has not failed
    """
    newest = newest_firing(model)
    return newest if newest and newest.failed_at and newest.answered_at is None else None


def ask_training(firing_id: int) -> str | None:
    """Record that the firing's training is asked for, before it is triggered; safe to repeat.

    :param firing_id: its id, which must be recorded
    :returns: the run id of the training to trigger, which is the same until it has failed; None if the firing is answered
    :raises DataError: the ledger says otherwise of the firing
    """
    with writing() as connection:
        if problem := ledger.why_unbound(connection, firings, id=firing_id):
            raise DataError(f"{problem}, so no training is asked for by it. `evergreen verify-ledger` says what else was changed.")
        row = connection.execute(firings.select().where(firings.c.id == firing_id)).one()
        firing = as_record(Firing, row)
        if firing.answered_at:
            return None
        if firing.is_awaited:
            return firing.training_run_id
        attempt = firing.attempts + 1
        run_id = f"firing__{firing.id}__{firing.as_of}{f'__{attempt}' if attempt > 1 else ''}"
        asked = {"training_run_id": run_id, "attempts": attempt, "failed_at": None}
        connection.execute(firings.update().where(firings.c.id == firing_id).values(**asked))
    return run_id


def answer_firing(model: str, training_run_id: str) -> None:
    """Record that the gate decided on the candidate of a training; nothing changes unless it is the newest attempt of a firing.

    :param model: its name, as in ``include/models``
    :param training_run_id: the run id of the training, as `ask_training` gave it or of any other run
    """
    newest = newest_firing(model)
    if newest is None or newest.training_run_id != training_run_id or newest.answered_at:
        return
    attempt = (firings.c.id == newest.id, firings.c.training_run_id == training_run_id, firings.c.answered_at.is_(None))
    with writing() as connection:
        connection.execute(firings.update().where(*attempt).values(answered_at=clock.now(), failed_at=None))


def fail_firing(firing_id: int, training_run_id: str) -> None:
    """Record that an awaited training has ended without an answer; nothing changes if it is answered, or another attempt is awaited.

    :param firing_id: its id
    :param training_run_id: the run id of the training that has ended, as `ask_training` gave it
    """
    attempt = (firings.c.id == firing_id, firings.c.training_run_id == training_run_id)
    with writing() as connection:
        query = (
            firings.update().where(*attempt, firings.c.answered_at.is_(None), firings.c.failed_at.is_(None)).values(failed_at=clock.now())
        )
        if connection.execute(query).rowcount:
            log.warning("Training %s ended without a decision of the gate. Newer evidence may fire at once.", training_run_id)


def resume_firing(firing_id: int, training_run_id: str) -> None:
    """Record that a training which counts as failed is running, so that it is awaited again and the same evidence starts no other.

    It was cleared, or was not made yet when somebody looked for it. Nothing changes if it is answered, or another attempt was asked for.

    :param firing_id: its id
    :param training_run_id: the run id of the training, as `ask_training` gave it
    """
    attempt = (firings.c.id == firing_id, firings.c.training_run_id == training_run_id)
    with writing() as connection:
        query = firings.update().where(*attempt, firings.c.answered_at.is_(None), firings.c.failed_at.is_not(None)).values(failed_at=None)
        if connection.execute(query).rowcount:
            log.info("Training %s is running; it is awaited again.", training_run_id)


def newest_firing(model: str) -> Firing | None:
    """The firing of a model that was recorded last.

    :param model: its name, as in ``include/models``
    :returns: the firing, whatever became of its training; None when there is none
    """
    query = firings.select().where(firings.c.model == model).order_by(firings.c.id.desc()).limit(1)
    with reading() as connection:
        row = connection.execute(query).first()
    return as_record(Firing, row) if row else None


def list_firings(model: str) -> list[Firing]:
    """All firings of a model.

    :param model: its name, as in ``include/models``
    :returns: in the order in which they were recorded
    """
    with reading() as connection:
        rows = connection.execute(firings.select().where(firings.c.model == model).order_by(firings.c.id)).all()
    return [as_record(Firing, row) for row in rows]


def find_quiet(connection: sa.Connection, model: ModelConfig) -> Quiet | None:
    """Find until when no rule of the model fires anew, because of earlier firings.

    A firing whose training failed does not cool down; it only keeps the same evidence from firing twice.

    :param connection: to read with; the write transaction where a firing depends on it
    :param model: the model as it is declared now; ``retrain`` counts
    :returns: until which as_of, and why; None when the model never fired
    """
    own = firings.select().where(firings.c.model == model.name).order_by(firings.c.as_of.desc(), firings.c.id.desc())
    newest = connection.execute(own.limit(1)).first()
    if newest is None:
        return None
    counted = connection.execute(own.where(firings.c.failed_at.is_(None)).limit(LOOKED_AT)).all()
    fired = [row.as_of for row in counted]
    quiet = quiet_after(model.retrain, fired, model.calendar, rejected=_rejected_in_a_row(connection, model.name, counted))
    if newest.failed_at is not None and (quiet is None or quiet.until < newest.as_of):
        return Quiet(newest.as_of, f"it fired as of {newest.as_of}, and {as_record(Firing, newest).training}")
    return quiet


def _rejected_in_a_row(connection: sa.Connection, model: str, fired: Sequence[sa.Row[Any]]) -> int:
    """How many of the newest firings trained a candidate that was rejected; one that is not answered yet ends the row."""
    columns = (decisions.c.as_of, decisions.c.verdict)
    query = sa.select(*columns).where(decisions.c.model == model).order_by(decisions.c.id.desc()).limit(DECISIONS_LOOKED_AT)
    newest: dict[Partition, str] = {}
    for row in connection.execute(query):
        newest.setdefault(row.as_of, row.verdict)
    was_rejected = (row.answered_at is not None and newest.get(row.as_of) == "rejected" for row in fired)
    return sum(1 for _ in itertools.takewhile(bool, was_rejected))


def _is_quiet(connection: sa.Connection, model: ModelConfig, as_of: Partition) -> bool:
    quiet = find_quiet(connection, model)
    return quiet is not None and as_of <= quiet.until


def _minute(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
