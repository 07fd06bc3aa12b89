from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.state import storage
from tests.unit.warm import run_code

FRAME = pd.DataFrame({"name": pd.array(["a", None], dtype="string"), "value": [1.5, None], "count": [1, 2]})
PATH = "folder/file.parquet"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("EVERGREEN_STORAGE", str(tmp_path / "storage"))
    return tmp_path / "storage"


def test_a_frame_comes_back_as_it_was_written(root: Path) -> None:
    storage.write_frame(PATH, FRAME)
    pd.testing.assert_frame_equal(storage.read_frame(PATH), FRAME)


def test_some_columns_alone_can_be_read(root: Path) -> None:
    storage.write_frame(PATH, FRAME)
    assert list(storage.read_frame(PATH, ["count", "name"]).columns) == ["count", "name"]


def test_the_index_is_not_kept(root: Path) -> None:
    storage.write_frame(PATH, FRAME.set_axis([7, 8]))
    assert list(storage.read_frame(PATH).index) == [0, 1]


def test_paths_stay_true_when_the_storage_moves(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_frame(PATH, FRAME)
    moved = root.rename(root.with_name("moved"))
    monkeypatch.setenv("EVERGREEN_STORAGE", str(moved))
    assert len(storage.read_frame(PATH)) == 2


def test_the_storage_may_be_any_url_that_fsspec_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_STORAGE", "memory://evergreen-test")
    storage.write_frame(PATH, FRAME)
    pd.testing.assert_frame_equal(storage.read_frame(PATH), FRAME)
    with pytest.raises(DataError):
        storage.read_bytes("nothing")


def test_a_file_that_is_damaged_anywhere_is_told_as_damaged_and_not_as_worth_a_retry(root: Path) -> None:
    storage.write_frame(PATH, FRAME)
    sound = storage.read_bytes(PATH)
    told = 0
    for position in range(len(sound)):
        storage.write_bytes(PATH, sound[:position] + bytes([sound[position] ^ 0xFF]) + sound[position + 1 :])
        try:
            storage.read_table(PATH)
        except DataError as error:
            assert "is damaged" in str(error)
            told += 1
        except MemoryError as error:
            assert "malloc of size" in str(error)
    assert told > 100, "what is left is values, which a digest tells"


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), TimeoutError(), ConnectionResetError("by the server")])
def test_what_the_disk_or_the_server_raises_while_a_file_is_read_is_worth_a_retry(
    error: OSError, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_frame(PATH, FRAME)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pyarrow.parquet.ParquetFile.read", fail)
    with pytest.raises(TransientError, match="could not be read"):
        storage.read_table(PATH)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes("a", b"old")
    monkeypatch.setattr("os.replace", _disk_full)
    with pytest.raises(TransientError, match="could not be written: .*No space left"):
        storage.write_bytes("a", b"new")
    assert {each.name: each.read_bytes() for each in root.rglob("*") if each.is_file()} == {"a": b"old"}


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_file(root: Path) -> None:
    storage.write_bytes("a", b"old")
    run_code(
        "import os; from include.evergreen.state import storage\nos.fsync = lambda number: os._exit(9)\nstorage.write_bytes('a', b'new')",
        exit_code=9,
    )
    assert storage.read_bytes("a") == b"old"


def test_a_folder_that_cannot_be_made_is_worth_a_retry_and_is_named(root: Path) -> None:
    root.write_text("a file stands where the storage should be")
    with pytest.raises(TransientError, match=f"{root}/.* could not be written.*may this process write there"):
        storage.write_bytes("a/b", b"new")
    with pytest.raises(TransientError, match=f"{root}/a/b could not be read"):
        storage.read_bytes("a/b")


def test_a_file_that_is_gone_is_named_with_what_to_do(root: Path) -> None:
    with pytest.raises(DataError, match=f"{root}/{PATH} is recorded .* but is not in the storage. Ingest or score"):
        storage.read_frame(PATH)


def test_a_file_can_be_looked_for(root: Path) -> None:
    assert not storage.exists("a")
    storage.write_bytes("a", b"")
    assert storage.exists("a")


def test_a_storage_that_nothing_can_open_is_the_settings_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_STORAGE", "s4://bucket")
    with pytest.raises(ConfigError, match="EVERGREEN_STORAGE is 's4://bucket'"):
        storage.write_bytes("a", b"")


def _disk_full(*_: object) -> None:
    raise OSError(28, "No space left on device")
