"""The champion history of a model: who serves now and who did, from its promotions and rollbacks.

The line of a model's champions holds the versions that are or were champion, each once, the one that serves last; a rollback goes
back along it, and marks the versions it leaves as rolled back. Each promotion is a place in it, until ``ended_by`` says what took
the place away: so every query here reads the newest places alone, however long the history.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.grain import Partition
from include.evergreen.registry.rollouts import governing_rollout, refusal, refusals, running_rollout
from include.evergreen.registry.versions import ChangedRecordError, RegisteredVersion, bypass_key, raise_bypass, select_versions
from include.evergreen.state import ledger
from include.evergreen.state.alerts import resolve_alert
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import model_versions, promotions

NO_VERSION = 0
CHAMPION = "champion"  # stands for the run key in the alert on who is champion
TAKES_NO_PLACE = 0  # of a rollback, in ``ended_by``
CHAMPIONS_TRIED = 20  # fallbacks for a champion that cannot serve: when so many in a row cannot, a person must look
RIVALS_LOOKED_AT = 100  # versions, the newest first, of which one was not rolled back
Row = sa.Row[Any]


def champion(model: str) -> RegisteredVersion | None:
    """Find the version that serves now.

    :param model: name of the model
    :returns: the version; None when there is none
    """
    with reading() as connection:
        return version_within(connection, model, champion_number(connection, model))


def champion_for(model: str, partition: Partition) -> RegisteredVersion | None:
    """Find the version that may score a partition, by the history alone.

    :param model: name of the model
    :param partition: the day whose rows are scored
    :returns: the first of `champions_for`; None when there is none
    """
    return next(champions_for(model, partition), None)


def champions_for(model: str, partition: Partition) -> Iterator[RegisteredVersion]:
    """List the champions, of now and before, that may score a partition.

    Each is read when it is asked for, since mostly the first is enough; `CHAMPIONS_TRIED` of them at most.

    :param model: name of the model
    :param partition: the day whose rows are scored
    :yields: those with an as_of up to it, which were not trained on it, and were not rolled back; who was promoted last comes first,
        but in a partition that a roll-out governs the champion of then
    """
    with reading() as connection:
        places = list(connection.execute(_line(model).where(promotions.c.as_of <= partition).limit(CHAMPIONS_TRIED)).all())
        rollout = governing_rollout(connection, model, partition)
        if rollout and (served := find_place(connection, model, rollout.champion_version)):
            places = [served, *(place for place in places if place.id != served.id)]
    for place in places:
        with reading() as connection:
            version = version_within(connection, model, place.version)
        if version and version.as_of <= partition:
            yield version


def champion_at(model: str, when: dt.datetime) -> RegisteredVersion | None:
    """Find the version that was champion at a time.

    :param model: name of the model
    :param when: the time (wall clock, with its zone)
    :returns: the version; None when there was none
    """
    with reading() as connection:
        return version_within(connection, model, champion_number(connection, model, until=when))


def challenger(model: str) -> RegisteredVersion | None:
    """Find the version of the roll-out that runs, or else the newest one registered after the champion that was not rolled back.

    A version trained on older data is no challenger, nor is one that a roll-out refused.

    :param model: name of the model
    :returns: the version, whose as_of is no earlier than the champion's; without a champion the newest of all; None when there is none
    """
    own = model_versions.c
    with reading() as connection:
        if rollout := running_rollout(connection, model):
            return version_within(connection, model, rollout.version)
        current = version_within(connection, model, champion_number(connection, model))
        later = (own.version > current.version, own.as_of >= current.as_of) if current else ()
        newest_first = sa.select(own.version).where(own.model == model, *later).order_by(own.version.desc()).limit(RIVALS_LOOKED_AT)
        numbers = connection.execute(newest_first).scalars()
        rival = next((number for number in numbers if not _is_refused(connection, model, number)), NO_VERSION)
        return version_within(connection, model, rival)


def challenger_for(model: str, partition: Partition) -> RegisteredVersion | None:
    """Find the version that may score a partition beside the champion.

    :param model: name of the model
    :param partition: the day whose rows are scored
    :returns: the challenger, or in a partition that a roll-out governs the challenger of then; None when there is none, it was rolled
        back by a person, or it was trained on that day
    """
    with reading() as connection:
        rollout = governing_rollout(connection, model, partition)
        if rollout is None:
            rival = None
        elif withdrawal(connection, model, rollout.version):
            return None
        else:
            rival = version_within(connection, model, rollout.version)
    rival = rival or challenger(model)
    return rival if rival and rival.as_of <= partition else None


def _is_refused(connection: sa.Connection, model: str, version: int) -> bool:
    return withdrawal(connection, model, version) is not None or refusal(connection, model, version) is not None


def champion_number(connection: sa.Connection, model: str, until: dt.datetime | None = None) -> int:
    """Find the number of the version that is champion, or was at a time.

    :param connection: any that reads
    :param model: name of the model
    :param until: the time (wall clock, with its zone); None: now
    :returns: the number; `NO_VERSION` when there is none
    """
    newest = newest_promotion(connection, model, until)
    return newest.version if newest else NO_VERSION


def newest_promotion(connection: sa.Connection, model: str, until: dt.datetime | None = None) -> Row | None:
    """Find the last promotion or rollback of a model.

    :param connection: any that reads
    :param model: name of the model
    :param until: the time (wall clock, with its zone) up to which they count, inclusive; None: all do
    :returns: its row of `promotions`; None when there is none
    """
    query = promotions.select().where(promotions.c.model == model).order_by(promotions.c.id.desc()).limit(1)
    return connection.execute(query if until is None else query.where(promotions.c.promoted_at <= until)).first()


def why_champion_differs(connection: sa.Connection, model: str) -> str:
    """Compare the database with the ledger on who is champion.

    :param connection: any that reads
    :param model: name of the model
    :returns: what the database says otherwise, for a message; empty when they agree
    """
    newest = newest_promotion(connection, model)
    entry = ledger.newest_bound_entry(connection, promotions, model)
    if newest is None:
        return f"entry {entry.sequence} of the ledger made a champion of {model}, and the database has no promotion" if entry else ""
    if message := ledger.why_unbound(connection, promotions, id=newest.id):
        return message
    if entry and entry.sequence != newest.entry:
        return f"the newest promotion of {model} is entry {entry.sequence} in the ledger, and entry {newest.entry} in the database"
    return ""


def refuse_changed_champion(model: str) -> None:
    """Refuse to go on, with one critical alert, when the ledger names another champion than the database; else that alert is over.

    :param model: name of the model
    :raises ChangedRecordError: when they differ
    """
    with reading() as connection:
        message = why_champion_differs(connection, model)
    if message:
        raise_bypass(model, CHAMPION, f"{message}. MLflow's alias was left as it is.")
        raise ChangedRecordError(f"{model}: {message}. Find out who changed the database; restore its promotions from a backup.")
    resolve_alert(bypass_key(model, CHAMPION))


def line(connection: sa.Connection, model: str) -> list[Row]:
    """List the line of a model's champions.

    :param connection: any that reads
    :param model: name of the model
    :returns: for each of them the promotion by which it stands there, the one that serves first; none when there was no champion
    """
    return list(connection.execute(_line(model)).all())


def find_place(connection: sa.Connection, model: str, version: int) -> Row | None:
    """Find the promotion by which a version stands in the line.

    :param connection: any that reads
    :param model: name of the model
    :param version: the number of the version
    :returns: its row of `promotions`; None when it never was champion, or was rolled back
    """
    return connection.execute(_line(model).where(promotions.c.version == version)).first()


def withdrawal(connection: sa.Connection, model: str, version: int) -> Row | None:
    """Find the rollback that withdrew a version: nothing but a person's force brings it back.

    :param connection: any that reads
    :param model: name of the model
    :param version: the number of the version
    :returns: its row of `promotions`; None when it was not rolled back, or was promoted again since
    """
    places = promotions.select().where(promotions.c.model == model, promotions.c.version == version).order_by(promotions.c.id.desc())
    place = next((row for row in connection.execute(places) if row.ended_by != TAKES_NO_PLACE), None)
    if place is None or place.ended_by is None:
        return None
    return connection.execute(promotions.select().where(promotions.c.id == place.ended_by)).first()  # a later promotion would be the place


def take_place(connection: sa.Connection, promotion: int, *, model: str, version: int, after: int | None) -> None:
    """End, for a promotion or rollback that was just recorded, the places that it takes away.

    A promotion moves the version to the end of the line; a rollback goes back to the place of its version.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param promotion: the id of its row
    :param model: name of the model
    :param version: the number of the version that it made champion
    :param after: None for a promotion; for a rollback the id of the promotion by which its version stands, after which all places end
    """
    open_places = (promotions.c.model == model, promotions.c.ended_by.is_(None), promotions.c.id < promotion)
    ended = promotions.c.version == version if after is None else promotions.c.id > after
    connection.execute(promotions.update().where(*open_places, ended).values(ended_by=promotion))
    if after is not None:
        connection.execute(promotions.update().where(promotions.c.id == promotion).values(ended_by=TAKES_NO_PLACE))


def differing_places(connection: sa.Connection) -> Iterator[str]:
    """Compare each promotion's place among the champions with what the promotions and rollbacks since make of it.

    :param connection: any that reads
    :yields: one sentence for each that differs, by model, the oldest first
    """
    models = connection.execute(sa.select(promotions.c.model).distinct().order_by(promotions.c.model)).scalars().all()
    for model in models:
        rows = connection.execute(promotions.select().where(promotions.c.model == model).order_by(promotions.c.id)).all()
        ended = _ended_places(rows)
        for row in rows:
            if row.ended_by != ended[row.id]:
                subject = f"promotions (model {model}, version {row.version})"
                yield f"{subject}: ended_by {row.ended_by}, its place among the champions, was changed"


def _ended_places(rows: Sequence[Row]) -> dict[int, int | None]:
    """By the id of each promotion of one model, the oldest first: what `take_place` made of its ``ended_by``."""
    ended: dict[int, int | None] = {}
    places: dict[int, int] = {}  # by version: the promotion by which it stands in the line
    for row in rows:
        is_rollback = row.kind == "rollback" and row.version in places
        gone = [version for version, place in places.items() if (place > places[row.version] if is_rollback else version == row.version)]
        ended.update((places.pop(version), row.id) for version in gone)
        ended[row.id] = TAKES_NO_PLACE if is_rollback else None
        if not is_rollback:
            places[row.version] = row.id
    return ended


@dataclass(frozen=True)
class History:
    """What all promotions of one model come to: its ``line`` (the champion last), and the versions that rollbacks have ``withdrawn``."""

    line: tuple[int, ...]
    withdrawn: dict[int, Row]

    @property
    def champion(self) -> int:
        """The version that serves; `NO_VERSION` when there is none."""
        return self.line[-1] if self.line else NO_VERSION


def history(connection: sa.Connection, model: str) -> History:
    """Read the whole history of a model, for what shows the whole: it reads every promotion there was.

    :param connection: any that reads
    :param model: name of the model
    :returns: the line and what was withdrawn; both empty when there was no champion
    """
    rows = connection.execute(promotions.select().where(promotions.c.model == model).order_by(promotions.c.id)).all()
    kinds = {row.id: row for row in rows}
    newest = {row.version: row for row in rows if row.ended_by != TAKES_NO_PLACE}
    ended = {version: kinds.get(row.ended_by) for version, row in newest.items() if row.ended_by is not None}
    return History(
        line=tuple(row.version for row in rows if row.ended_by is None),
        withdrawn={version: row for version, row in ended.items() if row is not None},  # a later promotion would be its newest row
    )


def roles(model: str) -> dict[int, str]:
    """Say what each version is that is or was more than registered.

    :param model: name of the model
    :returns: by number: ``champion``, ``challenger``, ``was champion``, or that it or its roll-out was rolled back, by whom or what and why
    """
    with reading() as connection:
        past = history(connection, model)
        refused = refusals(connection, model)
    rival = challenger(model)
    return {
        **({rival.version: "challenger"} if rival else {}),
        **{version: f"{rollout.strategy} {rollout.word}: {rollout.because}" for version, rollout in refused.items()},
        **dict.fromkeys(past.line, "was champion"),
        **{version: f"rolled back by {row.actor}: {row.reason}" for version, row in past.withdrawn.items()},
        **({past.champion: "champion"} if past.champion else {}),
    }


def version_within(connection: sa.Connection, model: str, number: int) -> RegisteredVersion | None:
    """Find the version of a number.

    :param connection: any that reads
    :param model: name of the model
    :param number: the number of the version, or `NO_VERSION`
    :returns: the version; None when there is none of this number
    """
    if number == NO_VERSION:
        return None
    return next(select_versions(connection, model_versions.c.model == model, model_versions.c.version == number), None)


def _line(model: str) -> sa.Select[Any]:
    return promotions.select().where(promotions.c.model == model, promotions.c.ended_by.is_(None)).order_by(promotions.c.id.desc())
