from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.evergreen import PROJECT_ROOT
from include.evergreen.data.partitions import files
from include.evergreen.data.partitions.files import RowWriter, read_batches, write_in_order
from include.evergreen.foundation.digest import table_digest
from include.evergreen.state import storage

pytestmark = pytest.mark.usefixtures("_own_home")
KEYS = ["shop", "number"]


def _table(rows: int) -> pa.Table:
    random = np.random.default_rng(rows)
    return pa.table(
        {
            "shop": pa.array(random.choice(["north", "south", "web"], rows)),
            "number": random.permutation(rows),
            "price": pa.array(random.normal(size=rows), mask=random.random(rows) < 0.1),
        }
    )


def _written(table: pa.Table, keys: Sequence[str], batch_rows: int) -> tuple[str, pa.Table]:
    """The digest, and the rows as they lie in the file."""

    def rows(columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        yield from (table.select(list(columns)) if columns is not None else table).to_batches(batch_rows)

    with RowWriter(table.schema) as writer:
        write_in_order(writer, rows, keys)
        digest = writer.digest()
        return digest, pa.Table.from_batches(read_batches(writer.finish()), table.schema)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(0, 700), batch_rows=st.integers(1, 300), in_memory=st.integers(200, 30_000))
def test_rows_that_do_not_fit_into_memory_are_written_as_those_that_do(
    monkeypatch: pytest.MonkeyPatch, rows: int, batch_rows: int, in_memory: int
) -> None:
    table = _table(rows)
    with monkeypatch.context() as patch:
        patch.setattr(files, "SORTED_IN_MEMORY", in_memory)
        digest, written = _written(table, KEYS, batch_rows)
    assert written.equals(table.sort_by([(key, "ascending") for key in KEYS]))
    assert digest == table_digest(table, KEYS) == table_digest(written)


def test_without_keys_rows_stay_as_they_came() -> None:
    table = _table(100)
    digest, written = _written(table, (), 7)
    assert written.equals(table) and digest == table_digest(table)


def test_a_writer_that_is_left_half_way_leaves_nothing(_own_home: Path) -> None:
    with pytest.raises(ZeroDivisionError), RowWriter(_table(1).schema) as writer:
        writer.write(_table(files.GROUP_ROWS + 1))
        raise ZeroDivisionError
    assert storage.unfinished_files() == []


def test_each_bucket_on_disk_is_gone_when_its_rows_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    in_order, left = files.in_order, []

    def sorted_bucket(*given: Any) -> pa.Table:
        left.append(len(storage.unfinished_files()))
        return in_order(*given)

    monkeypatch.setattr(files, "SORTED_IN_MEMORY", 1000)
    monkeypatch.setattr(files, "in_order", sorted_bucket)
    _written(_table(500), KEYS, 50)
    assert len(left) > 5 and left == list(range(left[0], left[0] - len(left), -1))
    assert storage.unfinished_files() == []


def test_a_disk_that_fills_while_rows_are_encoded_is_worth_a_retry_and_leaves_nothing(_own_home: Path) -> None:
    """Rows are encoded by a thread: what the disk says to it must not be lost."""
    code = f"""
import resource, signal
from include.evergreen.state import storage
from include.evergreen.foundation.errors import TransientError
from include.evergreen.data.partitions.files import RowWriter
from tests.unit.data.partitions.test_files import _table
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({1024**2}, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    with RowWriter(_table(1).schema) as writer:
        for _ in range(3):
            writer.write(_table(300_000))
        writer.keep("datasets/full.parquet")
except TransientError as error:
    print(error)
assert storage.unfinished_files() == [] and not storage.exists("datasets/full.parquet")
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "could not be written: " in done.stdout and "Is there room" in done.stdout
