"""``maintain``: the nightly maintenance, without Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.state import storage
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import day, everything, include_with
from tests.unit.operations.maintenance.homes import correct, days_pass, ingest, ingest_missing, keep_for, stored


@pytest.fixture
def aged(cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with something for each step: an expired version, old raw rows, an orphan."""
    include = include_with(tmp_path, monkeypatch)
    for name in Catalog().dataset_names():
        keep_for(include, name, "{superseded_days: 10, raw_days: 10}")
    ingest_missing(day(21))
    ingest("weather", day(24))
    correct("weather", day(24), "temp", 39.5)
    storage.write_bytes("datasets/weather/2013-01-24/0000.parquet", b"an orphan")
    days_pass(11)
    return include


def test_it_prints_what_went_and_why_and_the_bytes_and_then_there_is_nothing_more(ask: Ask, aged: Path) -> None:
    answer = ask("maintain", "--sample", "500", "-v")
    assert answer.code == 0
    assert "Retention: removed 66 files, " in answer.out
    assert " (65 of raw, 1 of datasets)" in answer.out
    assert "and 46 more; -v lists them all" in answer.out
    assert "of 1 superseded versions, whose records stay" in answer.out
    assert "bytes): weather 2013-01-24 version 1 was superseded more than 10 days ago" in answer.err
    assert "Orphans: removed 1 files, 9 bytes" in answer.out
    assert "datasets/weather/2013-01-24/0000.parquet (9 bytes): no record names it" in answer.out
    assert "Records without files: none" in answer.out
    assert "none damaged" in answer.out
    again = ask("maintain", "--sample", "0")
    assert "Retention: removed 0 files, 0 bytes" in again.out
    assert "Orphans: removed 0 files, 0 bytes" in again.out
    assert "Verified: 0 of " in again.out


def test_a_dry_run_changes_nothing(ask: Ask, aged: Path) -> None:
    before = everything()
    answer = ask("maintain", "--dry-run")
    assert answer.code == 0
    assert "Retention: would remove " in answer.out
    assert "Orphans: would remove 1 files" in answer.out
    assert everything() == before


def test_the_grace_period_is_counted_in_hours(ask: Ask, aged: Path) -> None:
    assert "Orphans: removed 0 files" in ask("maintain", "--grace-hours", "300").out
    storage.write_bytes("datasets/weather/2013-01-24/1111.parquet", b"young")
    assert "1111.parquet" in ask("maintain", "--grace-hours", "0", "-v").err
    wrong = ask("maintain", "--grace-hours", "-1")
    assert wrong.code == 2
    assert "Give a number of hours from 0" in wrong.err


def test_lost_and_damaged_files_are_named_and_end_it_with_one(ask: Ask, aged: Path) -> None:
    lost, damaged = stored("datasets/weather/2013-01-05")[0], stored("datasets/weather/2013-01-07")[0]
    storage.remove(lost)
    storage.write_frame(damaged, storage.read_frame(damaged).iloc[1:])
    answer = ask("maintain", "--sample", "500")
    assert answer.code == 1
    assert f"weather 2013-01-05: version 1 (current), its 72 accepted rows: {lost} is gone; ingest weather 2013-01-05 again" in answer.out
    assert f"weather 2013-01-07: version 1, its accepted rows: {damaged} has 71 rows" in answer.out


def test_a_wrong_declaration_is_said_and_ends_it_with_one(ask: Ask, aged: Path) -> None:
    keep_for(aged, "outcomes", "{superseded_days: soon}")
    answer = ask("maintain")
    assert answer.code == 1
    assert "Not done: outcomes: retention was not applied: " in answer.out
    assert "Retention: removed " in answer.out
