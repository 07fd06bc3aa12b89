"""Our own storage on S3, as a fleet of workers has it; the other tests have it in a folder."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from s3fs import S3FileSystem
from s3fs.core import S3File

from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.data.partitions.files import read_stored_batches
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import writing
from tests.servers.s3 import KEY, REGION, S3, SECRET
from tools.ports import reserved_port


@pytest.fixture
def on_s3(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    S3FileSystem.clear_instance_cache()
    s3.put("bucket", "something-else", b"")
    monkeypatch.setenv("EVERGREEN_STORAGE", "s3://bucket/evergreen")
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return s3


def test_files_are_written_read_listed_and_removed(on_s3: S3) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    storage.write_frame("datasets/sales/a.parquet", frame)
    storage.write_bytes("notes/b.json", b"{}")
    pd.testing.assert_frame_equal(storage.read_frame("datasets/sales/a.parquet", ["a"]), frame[["a"]])
    with storage.local_file("notes/b.json") as copy:
        assert copy.read_bytes() == b"{}"
    assert not copy.exists()
    found = {file.path: file for file in storage.files("")}
    assert sorted(found) == ["datasets/sales/a.parquet", "notes/b.json"]
    assert found["notes/b.json"].size == 2
    assert abs(found["notes/b.json"].modified - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    storage.remove("notes/b.json")
    storage.remove("notes/b.json")
    assert not storage.exists("notes/b.json")
    assert [file.path for file in storage.files("notes")] == []
    assert [path for path in storage.unfinished_files() if f"-{os.getpid()}-" in path.name] == []


def test_a_file_read_in_batches_is_fetched_by_columns_and_leaves_no_copy(on_s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).random((50_000, 8))
    storage.write_frame("predictions/a.parquet", pd.DataFrame(rows, columns=list("abcdefgh")))
    whole = storage.find("predictions/a.parquet")
    assert whole is not None
    fetched: list[int] = []
    fetch = S3File._fetch_range

    def counted(file: S3File, start: int, end: int) -> bytes:
        fetched.append(end - start)
        return bytes(fetch(file, start, end))

    monkeypatch.setattr(S3File, "_fetch_range", counted)
    batches = list(read_stored_batches("predictions/a.parquet", ["c"], most_rows=20_000))
    assert [batch.num_rows for batch in batches] == [20_000, 20_000, 10_000]
    np.testing.assert_array_equal(np.concatenate([batch["c"].to_numpy() for batch in batches]), rows[:, 2])
    assert sum(fetched) < whole.size / 4
    assert [path for path in storage.unfinished_files() if f"-{os.getpid()}-" in path.name] == []
    on_s3.put("bucket", "evergreen/predictions/a.parquet", b"PAR1 no more")
    with pytest.raises(DataError, match="damaged"):
        list(read_stored_batches("predictions/a.parquet", ["c"]))
    with pytest.raises(DataError, match="not in the storage"):
        list(read_stored_batches("predictions/b.parquet"))


def test_what_another_process_writes_is_seen(on_s3: S3) -> None:
    storage.write_bytes("notes/a.json", b"{}")
    assert len(list(storage.files("notes"))) == 1
    assert not storage.exists("notes/b.json")
    on_s3.put("bucket", "evergreen/notes/b.json", b"1")
    assert storage.exists("notes/b.json")
    assert [file.path for file in storage.files("notes")] == ["notes/a.json", "notes/b.json"]
    on_s3.put("bucket", "evergreen/notes/b.json", b"22")
    assert [file.size for file in storage.files("notes")] == [2, 2]
    assert storage.read_bytes("notes/b.json") == b"22"


def test_what_is_not_there_and_who_does_not_answer_are_told_apart(on_s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for reading in (storage.read_bytes, storage.read_frame):
        with pytest.raises(DataError, match="not in the storage"):
            reading("notes/none")
    with pytest.raises(DataError, match="not in the storage"), storage.local_file("notes/none"):
        pass
    on_s3.shut_out()
    with pytest.raises(TransientError, match="could not be"):
        storage.write_bytes("notes/a.json", b"")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    asks = (storage.exists, storage.read_bytes, lambda path: storage.write_bytes(path, b""), lambda path: list(storage.files(path)))
    with reserved_port() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        S3FileSystem.clear_instance_cache()
        for asking in asks:
            with pytest.raises(TransientError):
                asking("notes")  # type: ignore[operator]


def test_a_day_is_ingested_and_read_again(on_s3: S3, landed: Path, catalog: Catalog) -> None:
    dataset, day = catalog.dataset("weather"), "2013-01-02"
    version, is_new = ingestion.ingest(dataset, day, "live")
    assert is_new and len(read_partition(version)) == version.rows > 60
    again, is_new = ingestion.ingest(dataset, day, "live")
    assert (again, is_new) == (version, False) and current_partition("weather", day) == version
    assert not (landed / "storage" / "datasets").exists()


def test_the_ledgers_anchors_lie_there_too(on_s3: S3, home: Path) -> None:
    first, is_new = ledger.anchor()
    assert is_new
    with writing() as connection:
        ledger.append(connection, kind="damage", model="m", body={})
    assert ledger.anchor() == (first, False)
    assert ledger.verified().anchors == [first]
    assert [file.path for file in storage.files("ledger")] == [f"ledger/anchors/{first.date}.json"]
