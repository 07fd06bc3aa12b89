"""Who serves, and who did: what the promotions and roll-backs of a model come to."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.database import reading
from include.evergreen.database.tables import model_versions, promotions
from include.evergreen.registry.versions import RegisteredVersion, select_versions

NO_VERSION = 0


@dataclass(frozen=True)
class History:
    """What the promotions of one model come to.

    ``line`` holds the versions that are or were champion, each once, the one that serves last; a roll-back goes back along it, and
    what it leaves is ``withdrawn``, with the roll-back that did so: nothing but a person's force brings it back.
    """

    line: tuple[int, ...]
    withdrawn: dict[int, sa.Row[Any]]
    rows: tuple[sa.Row[Any], ...]

    @property
    def champion(self) -> int:
        """0: there is none."""
        return self.line[-1] if self.line else NO_VERSION


def champion(model: str) -> RegisteredVersion | None:
    """The version that serves now."""
    with reading() as connection:
        return version_within(connection, model, history(connection, model).champion)


def champion_for(model: str, partition: dt.date) -> RegisteredVersion | None:
    """The version that may score ``partition``: the first of `champions_for`."""
    return next(iter(champions_for(model, partition)), None)


def champions_for(model: str, partition: dt.date) -> list[RegisteredVersion]:
    """The champions, of now and before, that had not seen ``partition`` yet and were not withdrawn; who was promoted last comes first."""
    with reading() as connection:
        line = history(connection, model).line
        wanted = (model_versions.c.model == model, model_versions.c.version.in_(line), model_versions.c.as_of <= partition)
        known = {each.version: each for each in select_versions(connection, *wanted)}
    return [known[number] for number in reversed(line) if number in known]


def champion_at(model: str, when: dt.datetime) -> RegisteredVersion | None:
    """The version that was champion at a moment of the wall clock."""
    with reading() as connection:
        return version_within(connection, model, history(connection, model, until=when).champion)


def challenger(model: str) -> RegisteredVersion | None:
    """The newest version registered after the champion, with no earlier as_of, that was not withdrawn.

    One trained as of the past challenges nobody.
    """
    with reading() as connection:
        past = history(connection, model)
        current = version_within(connection, model, past.champion)
        later = (model_versions.c.version > current.version, model_versions.c.as_of >= current.as_of) if current else ()
        found = list(select_versions(connection, model_versions.c.model == model, *later))
    return next((each for each in reversed(found) if each.version not in past.withdrawn), None)


def challenger_for(model: str, partition: dt.date) -> RegisteredVersion | None:
    """The challenger, to score ``partition`` in the champion's shadow; none when it has seen that day."""
    found = challenger(model)
    return found if found and found.as_of <= partition else None


def roles(model: str) -> dict[int, str]:
    """What each version that is or was more than registered is: champion, challenger, an earlier champion, or withdrawn."""
    with reading() as connection:
        past = history(connection, model)
    rival = challenger(model)
    return {
        **({rival.version: "challenger"} if rival else {}),
        **dict.fromkeys(past.line, "was champion"),
        **{version: f"withdrawn by {row.actor}: {row.reason}" for version, row in past.withdrawn.items()},
        **({past.champion: "champion"} if past.champion else {}),
    }


def history(connection: sa.Connection, model: str, until: dt.datetime | None = None) -> History:
    """All promotions and roll-backs of a model, up to a moment, told as the line of its champions."""
    query = promotions.select().where(promotions.c.model == model).order_by(promotions.c.id)
    rows = connection.execute(query.where(promotions.c.promoted_at <= until) if until else query).all()
    line: list[int] = []
    withdrawn: dict[int, sa.Row[Any]] = {}
    for row in rows:
        if row.kind == "rollback":
            kept = line.index(row.version) + 1 if row.version in line else 0
            withdrawn.update({left: row for left in line[kept:]})
            line = [*line[:kept], *([] if kept else [row.version])]
        else:
            withdrawn.pop(row.version, None)
            line = [*(each for each in line if each != row.version), row.version]
    return History(tuple(line), withdrawn, tuple(rows))


def version_within(connection: sa.Connection, model: str, number: int) -> RegisteredVersion | None:
    """The version of this number, within the caller's transaction; None for `NO_VERSION`."""
    if number == NO_VERSION:
        return None
    return next(select_versions(connection, model_versions.c.model == model, model_versions.c.version == number))
