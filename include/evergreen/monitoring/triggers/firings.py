"""Firings (trigger events): recorded once, with their evidence, and no more often than the cool-down allows."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import ModelConfig
from include.evergreen.foundation import clock
from include.evergreen.monitoring.observations import newest_live
from include.evergreen.monitoring.triggers.rules import RuleEvidence, evaluate
from include.evergreen.state import ledger
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import firings
from include.evergreen.state.pauses import active_pause

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Firing:
    """A rule that tripped. ``as_of`` is the newest partition of its evidence, and the as_of of the training that it fires."""

    id: int
    model: str
    rule: str
    as_of: dt.date
    version: int
    evidence: dict[str, Any]
    recorded_at: dt.datetime
    training_run_id: str | None

    @property
    def message(self) -> str:
        """The rule and the figures that breached it, as recorded."""
        return str(self.evidence["message"])


def tripped(model: ModelConfig) -> RuleEvidence | None:
    """The first rule of ``model`` that trips now and is not cooling down; reads alone, and cheaply."""
    for rule in model.retrain.rules:
        if evidence := evaluate(rule, newest_live(model.name, rule.metric, rule.n)):
            with reading() as connection:
                if not _cooling_down(connection, model, evidence.as_of):
                    return evidence
    return None


def fire_if_tripped(model: ModelConfig) -> Firing | None:
    """Record the firing of the rule that trips now, in one transaction with its ledger entry; None when none trips or a pause is active.

    Two processes that ask at once record one firing: the cool-down is checked again under the write lock.
    """
    evidence = None if active_pause() else tripped(model)
    if evidence is None:
        return None
    with writing() as connection:
        if _cooling_down(connection, model, evidence.as_of):
            return None
        body = {**asdict(evidence), "as_of": evidence.as_of.isoformat(), "message": evidence.message}
        values = {"model": model.name, "rule": evidence.rule, "as_of": evidence.as_of, "version": evidence.version}
        connection.execute(firings.insert().values(**values, evidence=body, recorded_at=clock.now()))
        ledger.append(connection, kind="firing", model=model.name, body=body)
    fired = newest_firing(model.name)
    assert fired is not None
    log.warning("%s fires: %s", model.name, fired.message)
    return fired


def unanswered_firing(model: str) -> Firing | None:
    """The newest firing whose training nobody has asked for yet: a process died between the two."""
    return newest_firing(model, firings.c.training_run_id.is_(None))


def answer_firing(firing_id: int, training_run_id: str) -> None:
    """Note which training run answers the firing."""
    with writing() as connection:
        connection.execute(firings.update().where(firings.c.id == firing_id).values(training_run_id=training_run_id))


def newest_firing(model: str, *conditions: sa.ColumnElement[bool]) -> Firing | None:
    """The firing of a model that was recorded last, among those that meet ``conditions``; None when there is none."""
    query = firings.select().where(firings.c.model == model, *conditions).order_by(firings.c.id.desc()).limit(1)
    with reading() as connection:
        row = connection.execute(query).first()
    return Firing(**row._mapping) if row else None


def list_firings(model: str) -> list[Firing]:
    """All firings of a model, in the order in which they were recorded."""
    with reading() as connection:
        rows = connection.execute(firings.select().where(firings.c.model == model).order_by(firings.c.id)).all()
    return [Firing(**row._mapping) for row in rows]


def _cooling_down(connection: sa.Connection, model: ModelConfig, as_of: dt.date) -> bool:
    """Whether any firing of the model lies within the cool-down before or on ``as_of``, in partition time, or after it."""
    last = connection.execute(sa.select(sa.func.max(firings.c.as_of)).where(firings.c.model == model.name)).scalar()
    return last is not None and as_of <= last + dt.timedelta(days=model.retrain.cooldown_days)
