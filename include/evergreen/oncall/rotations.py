"""Who is on call: the turns of a rotation, by the clock on the wall of its zone, and those who stand in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from include.evergreen.config.oncall import OncallConfig, Rotation


@dataclass(frozen=True)
class Turn:
    """Who is on call, and from when until when (UTC). ``stands_in_for`` is whose turn it would be; empty: their own."""

    person: str
    since: dt.datetime
    until: dt.datetime
    stands_in_for: str = ""


def turn_at(rotation: Rotation, at: dt.datetime) -> Turn:
    """Tell who is on call in a rotation. Somebody always is: before its start the turns go on backwards.

    :param rotation: as it is declared
    :param at: the time, aware
    :returns: who is on call then; ``until`` is the next time at which somebody else may be
    """
    zone = ZoneInfo(rotation.zone)
    handover = dt.time.fromisoformat(rotation.handover)

    def begins(number: int) -> dt.datetime:
        day = rotation.start + dt.timedelta(days=number * rotation.length_days)
        return dt.datetime.combine(day, handover, tzinfo=zone).astimezone(dt.UTC)

    number = (at.astimezone(zone).date() - rotation.start).days // rotation.length_days
    while begins(number) > at:
        number -= 1
    while begins(number + 1) <= at:
        number += 1
    person = rotation.people[number % len(rotation.people)]
    since, until = begins(number), begins(number + 1)
    for override in rotation.overrides:
        start, end = (dt.datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(dt.UTC) for text in (override.start, override.until))
        if start <= at < end:
            return Turn(override.person, start, end, stands_in_for=person)
        if at < start < end:
            until = min(until, start)
        elif start < end <= at:
            since = max(since, end)
    return Turn(person, since, until)


def on_call(config: OncallConfig, at: dt.datetime) -> dict[str, Turn]:
    """Tell who is on call in every rotation.

    :param config: what is declared
    :param at: the time, aware
    :returns: the turn of each rotation, by its name, in the order of the file
    """
    return {rotation.name: turn_at(rotation, at) for rotation in config.rotations}
