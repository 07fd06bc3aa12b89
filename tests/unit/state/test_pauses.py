from __future__ import annotations

import datetime as dt
import json

import pytest

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.state import ledger, pauses
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.state.database.tables import pauses as pause_rows
from tests.unit.flights import rows_of

pytestmark = pytest.mark.usefixtures("home")
WHY = "the airline's feed is under suspicion"


def test_without_a_pause_nothing_stands() -> None:
    assert pauses.active_pause() is None
    assert pauses.lift(actor="ada", reason="to be sure") is None
    assert rows_of(entries) == []


def test_a_pause_stands_with_who_why_and_until_when_and_is_in_the_ledger() -> None:
    made = pauses.pause(hours=4, actor="ada", reason=WHY)
    assert pauses.active_pause() == made
    assert made.message == f"ada paused automatic promotion and retraining until {made.until:%Y-%m-%d %H:%M} UTC: {WHY}"
    assert made.until - made.recorded_at == pytest.approx(dt.timedelta(hours=4), abs=dt.timedelta(seconds=5))
    (entry,) = rows_of(entries)
    assert (entry.kind, json.loads(str(entry.body))["actor"]) == ("pause", "ada")
    assert ledger.verify() == []


def test_a_pause_ends_by_the_wall_clock_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    until = pauses.pause(hours=1, actor="ada", reason=WHY).until
    monkeypatch.setattr(clock, "now", lambda: until - dt.timedelta(seconds=1))
    assert pauses.active_pause() is not None
    monkeypatch.setattr(clock, "now", lambda: until)
    assert pauses.active_pause() is None


def test_lifting_ends_it_and_says_who_did_and_why() -> None:
    pauses.pause(hours=4, actor="ada", reason=WHY)
    lifted = pauses.lift(actor="grace", reason="the feed is mended")
    assert lifted is not None
    assert pauses.active_pause() is None
    assert [entry.kind for entry in rows_of(entries)] == ["pause", "resume"]
    body = json.loads(str(rows_of(entries)[-1].body))
    assert {name: body[name] for name in ("actor", "reason", "lifted_by", "lifted_because")} == {
        "actor": "ada", "reason": WHY, "lifted_by": "grace", "lifted_because": "the feed is mended",
    }  # fmt: skip
    assert rows_of(pause_rows)[0].lifted_by == "grace"


def test_a_new_pause_takes_the_place_of_the_one_that_stands_also_when_it_is_shorter() -> None:
    pauses.pause(hours=40, actor="ada", reason=WHY)
    newer = pauses.pause(hours=1, actor="grace", reason="an hour will do")
    assert pauses.active_pause() == newer
    pauses.lift(actor="grace", reason="it is over")
    assert pauses.active_pause() is None, "the older one must not come back"


def test_the_same_pause_asked_for_again_by_a_retry_is_one_pause_and_one_entry() -> None:
    since = clock.now()
    first = pauses.pause(hours=4, actor="ada", reason=WHY, since=since)
    assert pauses.pause(hours=4, actor="ada", reason=WHY, since=since) == first
    assert len(rows_of(pause_rows)) == len(rows_of(entries)) == 1


@pytest.mark.parametrize(("hours", "reason"), [(0, WHY), (-1, WHY), (24 * 91, WHY), (float("nan"), WHY), (4, "why"), (4, "x" * 501)])
def test_a_pause_without_an_end_or_a_reason_is_refused_and_nothing_is_recorded(hours: float, reason: str) -> None:
    with pytest.raises(ConfigError, match="give"):
        pauses.pause(hours=hours, actor="ada", reason=reason)
    assert rows_of(pause_rows) == rows_of(entries) == []


def test_a_retry_after_the_pause_would_have_ended_makes_none() -> None:
    with pytest.raises(ConfigError, match="which is over"):
        pauses.pause(hours=1, actor="ada", reason=WHY, since=clock.now() - dt.timedelta(hours=2))
