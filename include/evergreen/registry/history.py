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
    """The version of a model that serves now; None when there is none."""
    with reading() as connection:
        return version_within(connection, model, champion_number(connection, model))


def champion_for(model: str, partition: dt.date) -> RegisteredVersion | None:
    """The version that may score ``partition``: the first of `champions_for`."""
    return next(champions_for(model, partition), None)


def champions_for(model: str, partition: dt.date) -> Iterator[RegisteredVersion]:
    """The champions, of now and before, that were not trained on ``partition`` and not rolled back; who was promoted last comes first.

    Each is read when it is asked for, since mostly the first is enough; `CHAMPIONS_TRIED` of them at most.
    """
    with reading() as connection:
        places = connection.execute(_line(model).where(promotions.c.as_of <= partition).limit(CHAMPIONS_TRIED)).all()
    for place in places:
        with reading() as connection:
            version = version_within(connection, model, place.version)
        if version and version.as_of <= partition:
            yield version


def champion_at(model: str, when: dt.datetime) -> RegisteredVersion | None:
    """The version that was champion at a time (wall clock, with its zone); None when there was none."""
    with reading() as connection:
        return version_within(connection, model, champion_number(connection, model, until=when))


def challenger(model: str) -> RegisteredVersion | None:
    """The newest version registered after the champion, with no earlier as_of, that was not rolled back.

    A version trained on older data is no challenger.
    """
    own = model_versions.c
    with reading() as connection:
        current = version_within(connection, model, champion_number(connection, model))
        later = (own.version > current.version, own.as_of >= current.as_of) if current else ()
        newest_first = sa.select(own.version).where(own.model == model, *later).order_by(own.version.desc()).limit(RIVALS_LOOKED_AT)
        numbers = connection.execute(newest_first).scalars()
        rival = next((number for number in numbers if withdrawal(connection, model, number) is None), NO_VERSION)
        return version_within(connection, model, rival)


def challenger_for(model: str, partition: dt.date) -> RegisteredVersion | None:
    """The challenger, to score ``partition`` as the champion's shadow; none when it was trained on that day."""
    rival = challenger(model)
    return rival if rival and rival.as_of <= partition else None


def champion_number(connection: sa.Connection, model: str, until: dt.datetime | None = None) -> int:
    """The version that is champion, or was at a given time; `NO_VERSION` when there is none."""
    newest = newest_promotion(connection, model, until)
    return newest.version if newest else NO_VERSION


def newest_promotion(connection: sa.Connection, model: str, until: dt.datetime | None = None) -> Row | None:
    """The last promotion or rollback of a model, by then."""
    query = promotions.select().where(promotions.c.model == model).order_by(promotions.c.id.desc()).limit(1)
    return connection.execute(query if until is None else query.where(promotions.c.promoted_at <= until)).first()


def why_champion_differs(connection: sa.Connection, model: str) -> str:
    """What the database says otherwise than the ledger of who is champion; empty when they agree."""
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
    """The line of a model's champions, the one that serves first: for each of them the promotion by which it stands there."""
    return list(connection.execute(_line(model)).all())


def find_place(connection: sa.Connection, model: str, version: int) -> Row | None:
    """The promotion by which a version stands in the line, if it does."""
    return connection.execute(_line(model).where(promotions.c.version == version)).first()


def withdrawal(connection: sa.Connection, model: str, version: int) -> Row | None:
    """The rollback that withdrew a version, unless it was promoted again: nothing but a person's force brings it back."""
    places = promotions.select().where(promotions.c.model == model, promotions.c.version == version).order_by(promotions.c.id.desc())
    place = next((row for row in connection.execute(places) if row.ended_by != TAKES_NO_PLACE), None)
    if place is None or place.ended_by is None:
        return None
    ended = connection.execute(promotions.select().where(promotions.c.id == place.ended_by)).first()
    return ended if ended and ended.kind == "rollback" else None


def take_place(connection: sa.Connection, promotion: int, *, model: str, version: int, after: int | None) -> None:
    """End, for a promotion or rollback that was just recorded, the places that it takes away, within the caller's transaction.

    A promotion moves the version to the end of the line; a rollback goes back to the place of its version.

    :param connection: of the transaction in which it was recorded
    :param promotion: the id of its row
    :param model: name of the model
    :param version: the version that it made champion
    :param after: None for a promotion; for a rollback the id of the promotion by which its version stands, after which all places end
    """
    open_places = (promotions.c.model == model, promotions.c.ended_by.is_(None), promotions.c.id < promotion)
    ended = promotions.c.version == version if after is None else promotions.c.id > after
    connection.execute(promotions.update().where(*open_places, ended).values(ended_by=promotion))
    if after is not None:
        connection.execute(promotions.update().where(promotions.c.id == promotion).values(ended_by=TAKES_NO_PLACE))


def differing_places(connection: sa.Connection) -> Iterator[str]:
    """One sentence for each promotion whose place among the champions is not what the promotions and rollbacks since make of it."""
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
    """The whole history of a model, for what shows the whole: it reads every promotion there was."""
    rows = connection.execute(promotions.select().where(promotions.c.model == model).order_by(promotions.c.id)).all()
    kinds = {row.id: row for row in rows}
    newest = {row.version: row for row in rows if row.ended_by != TAKES_NO_PLACE}
    ended = {version: kinds.get(row.ended_by) for version, row in newest.items() if row.ended_by is not None}
    return History(
        line=tuple(row.version for row in rows if row.ended_by is None),
        withdrawn={version: row for version, row in ended.items() if row is not None and row.kind == "rollback"},
    )


def roles(model: str) -> dict[int, str]:
    """What each version that is or was more than registered is: champion, challenger, an earlier champion, or rolled back."""
    with reading() as connection:
        past = history(connection, model)
    rival = challenger(model)
    return {
        **({rival.version: "challenger"} if rival else {}),
        **dict.fromkeys(past.line, "was champion"),
        **{version: f"rolled back by {row.actor}: {row.reason}" for version, row in past.withdrawn.items()},
        **({past.champion: "champion"} if past.champion else {}),
    }


def version_within(connection: sa.Connection, model: str, number: int) -> RegisteredVersion | None:
    """The version of this number, within the caller's transaction; None for `NO_VERSION`."""
    if number == NO_VERSION:
        return None
    return next(select_versions(connection, model_versions.c.model == model, model_versions.c.version == number), None)


def _line(model: str) -> sa.Select[Any]:
    return promotions.select().where(promotions.c.model == model, promotions.c.ended_by.is_(None)).order_by(promotions.c.id.desc())
