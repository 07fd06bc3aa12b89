"""The record of roll-outs: which version takes the champion's place, how far it came, and which partitions it concerns.

A roll-out governs the partitions from its ``first`` to its ``last``, for ever: scored again, they are scored by the same two versions, and
each key by the same one of them. At most one of a model runs at a time, so no two govern the same partition.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from include.evergreen.config.rollout import Strategy
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import Partition
from include.evergreen.state import ledger
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import approvals, model_versions, prediction_sets, rollouts

State = Literal["running", "promoted", "rolled_back", "aborted"]
LONGEST_NOTE = 1000  # characters: what the database's columns hold
UNSHOWN = "MLflow's aliases do not show its end yet"  # the note of one that has just ended

# Built once: each event of a dataset asks for each model that reads it.
_BEGUN: sa.Select[Any] = (
    rollouts.select()
    .where(rollouts.c.model == sa.bindparam("model"), rollouts.c.first <= sa.bindparam("partition", type_=sa.String))
    .order_by(rollouts.c.id.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Rollout:
    """One roll-out of ``version`` beside ``champion_version``.

    ``plan`` holds ``shares`` (of each step), ``partitions`` (that each step takes) and how the gate compares; ``steps`` the ``share`` and
    ``first`` partition of each step that began; ``evidence`` one document for each step that was decided. ``last`` and ``ended_at`` are
    None while it runs.
    """

    id: int
    model: str
    version: int
    champion_version: int
    decision: int
    strategy: Strategy
    plan: dict[str, Any]
    first: Partition
    last: Partition | None
    steps: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    state: State
    actor: str
    reason: str
    because: str
    started_at: dt.datetime
    ended_at: dt.datetime | None
    note: str

    @property
    def is_running(self) -> bool:
        """Whether it is not decided yet."""
        return self.state == "running"

    @property
    def is_last_step(self) -> bool:
        """Whether no step follows the one that it is in."""
        return len(self.steps) == len(self.plan["shares"])

    def share(self, partition: Partition) -> float:
        """Tell which share of the keys the version serves.

        :param partition: one that the roll-out governs
        :returns: from 0, in shadow, to less than 1
        """
        return float(next(step["share"] for step in reversed(self.steps) if step["first"] <= partition))

    def as_json(self) -> dict[str, Any]:
        """Write all that is recorded of it.

        :returns: a JSON document: the fields by name, times as ISO 8601
        """
        return {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in vars(self).items()}

    @property
    def word(self) -> str:
        """Its state, as people write it."""
        return self.state.replace("_", " ")

    @property
    def name(self) -> str:
        """What messages call it, without its state: such as ``canary of version 5 beside champion 4``."""
        return f"{self.strategy} of version {self.version} beside champion {self.champion_version}"


def running_rollout(connection: sa.Connection, model: str) -> Rollout | None:
    """Find the roll-out of a model that is not decided yet.

    :param connection: any that reads
    :param model: name of the model
    :returns: the roll-out; None when there is none
    """
    row = connection.execute(rollouts.select().where(rollouts.c.model == model, rollouts.c.state == "running")).first()
    return as_record(Rollout, row) if row else None


def governing_rollout(connection: sa.Connection, model: str, partition: Partition) -> Rollout | None:
    """Find the roll-out that says by whom a partition is scored.

    :param connection: any that reads
    :param model: name of the model
    :param partition: the day whose rows are scored
    :returns: the roll-out, whatever became of it since; None when there is none
    """
    row = connection.execute(_BEGUN, {"model": model, "partition": partition}).first()
    if row is None or (row.last is not None and row.last < partition):
        return None
    return as_record(Rollout, row)


def list_rollouts(connection: sa.Connection, model: str, versions: Sequence[int]) -> list[Rollout]:
    """List the roll-outs of some versions.

    :param connection: any that reads
    :param model: name of the model
    :param versions: the numbers of the versions
    :returns: the newest first
    """
    own = rollouts.c
    query = rollouts.select().where(own.model == model, own.version.in_(versions)).order_by(own.id.desc())
    return [as_record(Rollout, row) for row in connection.execute(query)]


def newest_rollout(connection: sa.Connection, model: str, version: int | None = None) -> Rollout | None:
    """Find the roll-out of a model, or of one version, that was started last.

    :param connection: any that reads
    :param model: name of the model
    :param version: the number of the version; None: any
    :returns: the roll-out; None when there was none
    """
    own = rollouts.c
    query = rollouts.select().where(own.model == model, *([] if version is None else [own.version == version]))
    row = connection.execute(query.order_by(own.id.desc()).limit(1)).first()
    return as_record(Rollout, row) if row else None


def refusal(connection: sa.Connection, model: str, version: int) -> Rollout | None:
    """Find the roll-out that refused a version: no retry and no cleared task starts another one.

    :param connection: any that reads
    :param model: name of the model
    :param version: the number of the version
    :returns: its newest roll-out, where that was rolled back or aborted, and no person approved the version since; else None
    """
    newest = newest_rollout(connection, model, version)
    if newest is None or newest.state not in ("rolled_back", "aborted"):
        return None
    said = approvals.c
    answers = sa.select(said.verdict, said.recorded_at).where(said.model == model, said.version == version)
    answer = connection.execute(answers.order_by(said.id.desc()).limit(1)).first()
    approved_since = answer and newest.ended_at and answer.verdict == "approved" and answer.recorded_at > newest.ended_at
    return None if approved_since else newest


def refusals(connection: sa.Connection, model: str) -> dict[int, Rollout]:
    """List every version that a roll-out refused, for what shows the whole: it reads every roll-out that there was.

    :param connection: any that reads
    :param model: name of the model
    :returns: as `refusal`, by the number of the version
    """
    numbers = connection.execute(sa.select(rollouts.c.version).where(rollouts.c.model == model).distinct()).scalars().all()
    found = {number: refusal(connection, model, number) for number in numbers}
    return {number: rollout for number, rollout in found.items() if rollout is not None}


def waited_for(connection: sa.Connection, rollout: Rollout, version: int) -> bool:
    """Tell whether a version waited for a roll-out to end.

    :param connection: any that reads
    :param rollout: one that has ended
    :param version: the number of another version
    :returns: whether it was registered after the one that was rolled out, and while that was
    """
    own = model_versions.c
    query = sa.select(own.recorded_at).where(own.model == rollout.model, own.version == version)
    registered = connection.execute(query).scalar()
    return version > rollout.version and registered is not None and rollout.ended_at is not None and registered <= rollout.ended_at


def newest_scored(connection: sa.Connection, model: str) -> Partition | None:
    """Find the newest partition of a model that has predictions.

    :param connection: any that reads
    :param model: name of the model
    :returns: the partition; None when nothing was scored
    """
    own = prediction_sets.c
    return connection.execute(sa.select(own.partition).where(own.model == model).order_by(own.partition.desc()).limit(1)).scalar()


def begin_rollout(connection: sa.Connection, **values: Any) -> Rollout:
    """Record that a roll-out starts, in its first step.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param **values: the columns of `rollouts` but for ``steps`` and what says how it ended
    :returns: the roll-out
    """
    begun = {"steps": [{"share": values["plan"]["shares"][0], "first": values["first"]}], "evidence": [], "state": "running"}
    new = rollouts.insert().values(**values, **begun, because="", note="", started_at=clock.now()).returning(rollouts.c.id)
    return _bound(connection, connection.execute(new).scalar_one(), "rollout")


def grow_rollout(connection: sa.Connection, rollout: Rollout, first: Partition, evidence: dict[str, Any]) -> Rollout:
    """Record that a roll-out takes its next step.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param rollout: the roll-out, which runs
    :param first: the partition from which on the next share is served
    :param evidence: what the step that ends was decided on
    :returns: the roll-out as it is now
    """
    steps = [*rollout.steps, {"share": rollout.plan["shares"][len(rollout.steps)], "first": first}]
    return _change(connection, rollout, "rollout-step", steps=steps, evidence=[*rollout.evidence, evidence], note="")


def end_rollout(
    connection: sa.Connection, rollout: Rollout, state: State, because: str, evidence: dict[str, Any] | None = None
) -> Rollout:  # fmt: skip
    """Record that a roll-out is over. It governs what was scored until now, and nothing later.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param rollout: the roll-out, which runs
    :param state: ``promoted``, ``rolled_back`` or ``aborted``
    :param because: why, in a sentence or more
    :param evidence: what the step was decided on; None when a person, or another promotion, ended it
    :returns: the roll-out as it is now
    """
    told = {"because": because[:LONGEST_NOTE], "last": newest_scored(connection, rollout.model) or "", "ended_at": clock.now()}
    evidences = [*rollout.evidence, *([evidence] if evidence else [])]
    return _change(connection, rollout, "rollout-end", state=state, evidence=evidences, note=UNSHOWN, **told)


def note_rollout(connection: sa.Connection, rollout: Rollout, note: str) -> None:
    """Note what a running roll-out waits for.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param rollout: the roll-out
    :param note: a sentence for people
    """
    connection.execute(rollouts.update().where(rollouts.c.id == rollout.id, rollouts.c.state == "running").values(note=note[:LONGEST_NOTE]))


def unshown_rollout(connection: sa.Connection, model: str) -> Rollout | None:
    """Find the roll-out whose end MLflow's aliases may not show yet, as a crash came in between.

    :param connection: any that reads
    :param model: name of the model
    :returns: the newest one of the model, where that is so; else None
    """
    newest = newest_rollout(connection, model)
    return newest if newest and newest.note == UNSHOWN else None


def note_shown(connection: sa.Connection, rollout: Rollout) -> None:
    """Note that MLflow's aliases show the end of a roll-out.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param rollout: the roll-out, which has ended
    """
    connection.execute(rollouts.update().where(rollouts.c.id == rollout.id, rollouts.c.state != "running").values(note=""))


def why_rollout_unbound(connection: sa.Connection, rollout: Rollout) -> str:
    """Compare the record of a roll-out with the ledger.

    :param connection: any that reads
    :param rollout: the roll-out
    :returns: what is wrong, for a message; empty when they agree
    """
    return ledger.why_unbound(connection, rollouts, id=rollout.id)


def _change(connection: sa.Connection, rollout: Rollout, kind: str, **values: Any) -> Rollout:
    connection.execute(rollouts.update().where(rollouts.c.id == rollout.id).values(**values))
    return _bound(connection, rollout.id, kind)


def _bound(connection: sa.Connection, number: int, kind: str) -> Rollout:
    ledger.bind(connection, rollouts, {"id": number}, kind=kind)
    return as_record(Rollout, connection.execute(rollouts.select().where(rollouts.c.id == number)).one())
