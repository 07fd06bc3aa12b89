from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.data.ingestion import ingest
from include.evergreen.data.partitions import current_partition
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.settings import Settings
from include.evergreen.operations.diagnose import why
from tests.unit.cli.conftest import Ask
from tests.unit.flights import change_landing
from tests.unit.lifecycle import AS_OF, MODEL

NEXT = DAILY.shift(AS_OF, 1)


def test_why_tells_what_the_core_found(ask: Ask, cycled: None) -> None:
    answer = ask("why", MODEL, "2013-01-20")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == why(Catalog(), Catalog().model(MODEL), AS_OF)


def test_what_was_missed_is_listed_and_made_up_for(ask: Ask, cycled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("missed").out == "Nothing was missed.\n"
    for dataset, day in (("schedules", NEXT), ("weather", AS_OF), ("outcomes", AS_OF)):
        ingest(Catalog().dataset(dataset), day, "live")
    assert ask("missed").out == "Nothing was missed.\n"  # an event may be on its way
    later = clock.now() + dt.timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    listed = ask("missed")
    assert listed.code == 0
    score, monitoring, count = listed.out.splitlines()
    assert score.startswith(
        "flight_delay 2013-01-21: score has not read schedules/2013-01-21, weather/2013-01-20, outcomes/2013-01-20 (since "
    )
    assert monitoring.startswith("flight_delay 2013-01-20: monitor has not read outcomes/2013-01-20 (since ")
    assert count == "2 found."
    made_up = ask("missed", "--make-up").out.splitlines()
    assert made_up[1] == "  done: 120 rows scored by version 1" and made_up[3].startswith("  done: ")
    assert ask("missed").out == "Nothing was missed.\n"


def test_what_was_missed_and_cannot_be_made_up_for_shows_in_the_exit_code(ask: Ask, cycled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for dataset, day in (("schedules", NEXT), ("weather", AS_OF), ("outcomes", AS_OF)):
        ingest(Catalog().dataset(dataset), day, "live")
    lost = current_partition("schedules", NEXT)
    assert lost is not None
    Path(Settings.from_environment().storage, lost.path).unlink()
    later = clock.now() + dt.timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    answer = ask("missed", "--make-up", "--since", "2013-01-01")
    assert answer.code == 3
    assert "  failed: " in answer.out


def test_rescoring_tells_each_outcome_and_the_totals(ask: Ask, cycled: None) -> None:
    answer = ask("rescore", MODEL, "--from", "2013-01-19", "--to", "2013-01-21")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith("2013-01-19 score: skipped: no champion")
    assert lines[2].startswith("2013-01-20 score: unchanged: ")
    assert lines[4] == "2013-01-21 score: waiting: waiting for schedules/2013-01-21, weather/2013-01-20, outcomes/2013-01-20"
    assert lines[-1] == "flight_delay: score: 1 skipped, 1 unchanged, 1 waiting; monitor: 2 waiting, 1 unchanged."
    assert answer.err.splitlines()[-1].startswith("rescore: 3 of 3 (")


def test_one_stage_can_be_repeated_alone(ask: Ask, cycled: None) -> None:
    out = ask("rescore", MODEL, "--from", "2013-01-20", "--to", "2013-01-20", "--stage", "monitor").out
    assert [line.split(":")[0] for line in out.splitlines()] == ["2013-01-20 monitor", "flight_delay"]


def test_a_day_whose_data_is_at_fault_shows_in_the_exit_code(ask: Ask, cycled: None) -> None:
    change_landing("schedules", AS_OF, lambda rows: rows.assign(distance="600"))
    schedules = Catalog().dataset("schedules")
    ingest(schedules, AS_OF, "live")
    lost = current_partition("schedules", AS_OF)
    assert lost is not None
    Path(Settings.from_environment().storage, lost.path).unlink()
    answer = ask("rescore", MODEL, "--from", "2013-01-20", "--to", "2013-01-20", "--stage", "score")
    assert answer.code == 3
    assert "2013-01-20 score: failed: " in answer.out


def test_a_range_of_years_is_refused(ask: Ask, cycled: None) -> None:
    answer = ask("rescore", MODEL, "--from", "2013-01-01", "--to", "2031-01-01")
    assert (answer.code, answer.out) == (2, "")
    assert "at most 366 at a time" in answer.err
