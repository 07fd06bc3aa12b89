"""The same on a storage that is no folder: no modes, no renames, listings of its own."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import fsspec
import pytest

from include.evergreen.config import Catalog
from include.evergreen.foundation.clock import now
from include.evergreen.operations.maintenance import Limits, records_without_files, remove_orphans, verify_sample
from include.evergreen.state import storage
from tests.unit.lifecycle import day
from tests.unit.operations.maintenance.homes import correct, ingest


@pytest.fixture
def bucket(landed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fsspec.AbstractFileSystem:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # of scratch files: another test's are no orphans here
    monkeypatch.setenv("EVERGREEN_STORAGE", "memory://bucket/evergreen")
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    return filesystem


def test_orphans_go_from_a_bucket_and_what_is_recorded_stays(bucket: fsspec.AbstractFileSystem) -> None:
    first = ingest("weather", day(5))
    second = correct("weather", day(5), "temp", 39.5)
    storage.write_bytes("datasets/weather/2013-01-05/0000.parquet", b"an orphan")
    bucket.pipe_file("/bucket/another_teams/file", b"")
    assert remove_orphans(Catalog(), Limits()) == []  # young
    assert [each.path for each in remove_orphans(Catalog(), Limits(grace_hours=0))] == ["datasets/weather/2013-01-05/0000.parquet"]
    assert {first.path, second.path} == {file.path for file in storage.files("datasets")}
    assert bucket.exists("/bucket/another_teams/file")
    assert records_without_files() == []
    assert verify_sample(10, night="x").damage == []
    storage.remove(second.path)
    assert [each.path for each in records_without_files()] == [second.path]


def test_a_file_is_found_with_its_size_and_when_it_was_written(bucket: fsspec.AbstractFileSystem) -> None:
    storage.write_bytes("raw/x/y.parquet", b"12345")
    file = storage.find("raw/x/y.parquet")
    assert file
    assert (file.path, file.size) == ("raw/x/y.parquet", 5)
    assert abs(file.modified - now()) < dt.timedelta(minutes=1)
    assert list(storage.files("raw")) == [file]
    assert storage.find("raw/x") is None
    assert storage.find("raw/x/z.parquet") is None


def test_a_store_that_does_not_say_when_a_file_was_written_never_makes_it_old() -> None:
    assert now() - storage._written({"size": 5}) < dt.timedelta(minutes=1)
