"""Somebody is on call at every moment, and turns end when the clock on the wall says so, in summer as in winter."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from include.evergreen.config.oncall import Hours, Override, Rotation
from include.evergreen.oncall.hours import is_within, next_allowed
from include.evergreen.oncall.rotations import turn_at

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC")
moments = st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2028, 1, 1), timezones=st.just(dt.UTC))
clocks = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))


@st.composite
def rotations(draw: st.DrawFn) -> Rotation:
    people = draw(st.lists(st.sampled_from(["ana", "ben", "cem", "dia"]), min_size=1, max_size=4, unique=True))
    local = draw(st.lists(st.datetimes(dt.datetime(2025, 1, 1), dt.datetime(2027, 1, 1)), max_size=6, unique=True))
    ends = sorted({moment.strftime("%Y-%m-%dT%H:%M") for moment in local})
    overrides = [{"person": "eve", "from": start, "until": until} for start, until in zip(ends[::2], ends[1::2], strict=False)]
    return Rotation.model_validate({
        "name": "ml", "people": people, "start": draw(st.dates(dt.date(2023, 1, 1), dt.date(2027, 1, 1))),
        "length_days": draw(st.integers(1, 30)), "handover": draw(clocks), "zone": draw(st.sampled_from(ZONES)), "overrides": overrides,
    })  # fmt: skip


@given(rotations(), moments)
@settings(max_examples=60, deadline=None)
def test_turns_follow_each_other_without_a_gap_and_within_one_the_same_person_is_on_call(rotation: Rotation, at: dt.datetime) -> None:
    turn = turn_at(rotation, at)
    assert turn.since <= at < turn.until
    for moment in (turn.since, turn.until - dt.timedelta(microseconds=1)):
        same = turn_at(rotation, moment)  # but for whose turn it would be, where somebody stands in for several
        assert (same.person, same.since, same.until) == (turn.person, turn.since, turn.until)
    assert turn_at(rotation, turn.until).since == turn.until


@given(rotations(), moments)
@settings(max_examples=60, deadline=None)
def test_a_turn_ends_at_the_handover_of_the_wall_s_clock_or_with_somebody_who_stands_in(rotation: Rotation, at: dt.datetime) -> None:
    turn = turn_at(rotation, at)
    zone = ZoneInfo(rotation.zone)
    edges = {
        dt.datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(dt.UTC)
        for override in rotation.overrides
        for text in (override.start, override.until)
    }
    local = turn.until.astimezone(zone)
    handover = dt.datetime.combine(local.date(), dt.time.fromisoformat(rotation.handover), tzinfo=zone)
    assert turn.until in edges or handover.astimezone(dt.UTC) == turn.until
    assert (turn.person == "eve") == bool(turn.stands_in_for)
    assert turn.person == "eve" or turn.person in rotation.people


def test_a_week_with_a_change_to_summer_time_is_an_hour_shorter() -> None:
    rotation = Rotation.model_validate({"name": "ml", "people": ["ana", "ben"], "start": dt.date(2026, 3, 23), "zone": "Europe/Berlin"})
    turn = turn_at(rotation, dt.datetime(2026, 3, 29, 12, tzinfo=dt.UTC))
    assert (turn.person, turn.since, turn.until) == (
        "ana", dt.datetime(2026, 3, 23, 8, tzinfo=dt.UTC), dt.datetime(2026, 3, 30, 7, tzinfo=dt.UTC),
    )  # fmt: skip
    assert turn_at(rotation, turn.until).person == "ben"


def test_who_stands_in_does_so_until_the_end_of_it_and_then_it_is_the_turn_of_whose_it_is() -> None:
    override = Override.model_validate({"person": "eve", "from": "2026-12-24T12:00", "until": "2026-12-27T09:00"})
    rotation = Rotation.model_validate(
        {"name": "ml", "people": ["ana", "ben"], "start": dt.date(2026, 12, 21), "zone": "Europe/Berlin", "overrides": [override]}
    )
    turn = turn_at(rotation, dt.datetime(2026, 12, 25, tzinfo=dt.UTC))
    assert (turn.person, turn.stands_in_for, turn.until) == ("eve", "ana", dt.datetime(2026, 12, 27, 8, tzinfo=dt.UTC))
    before, after = (turn_at(rotation, dt.datetime(2026, 12, day, tzinfo=dt.UTC)) for day in (23, 28))
    assert (before.person, before.until) == ("ana", dt.datetime(2026, 12, 24, 11, tzinfo=dt.UTC))
    assert (after.person, after.since) == ("ana", turn.until)


@given(clocks, clocks, st.sampled_from(ZONES), st.sets(st.sampled_from(["mon", "wed", "sun"]), min_size=1), moments)
@settings(max_examples=60, deadline=None)
def test_what_waits_for_hours_is_told_at_their_beginning_and_what_waits_out_quiet_ones_at_their_end(
    start: str, until: str, zone: str, days: set[str], at: dt.datetime
) -> None:
    if start == until:
        return
    hours = Hours.model_validate({"from": start, "until": until, "zone": zone, "days": sorted(days)})
    told, loud = next_allowed(at, hours, None), next_allowed(at, None, hours)
    assert told >= at
    assert is_within(hours, told)
    assert loud >= at
    assert not is_within(hours, loud)
    assert (told == at) == is_within(hours, at)
    assert (loud == at) == (not is_within(hours, at))
    if told > at:
        assert not is_within(hours, told - dt.timedelta(microseconds=1))
