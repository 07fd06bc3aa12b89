"""Small files and short answers that would fill the memory: refused, or read in pieces, before they do."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.data.partitions import files
from include.evergreen.data.sources import formats, make_source
from include.evergreen.data.sources import sql as sql_source
from include.evergreen.data.sources.formats import Piece, jsonl, parquet
from include.evergreen.foundation.errors import DataError
from tests.servers import PostgreSQL

MB = 1024**2
ROWS, TEXT_BYTES = 5000, 4 * MB  # 20 GB, once each row has its copy
DAY = "2013-02-09"


def dataset(*columns: str, **source: Any) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {
            "name": "sales",
            "description": "Sales of a day.",
            "owner": "shop",
            "source": {"type": "files", "path": "${LANDING}/{partition}.x", **source},
            "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
            "knowledge": {"hours_after_partition": 24},
            "columns": [{"name": name, "type": "string", "nullable": True, "description": name} for name in columns],
        }
    )


def one_text(rows: int, size: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * size]))


def parquet_file(text: pa.Array | pa.ChunkedArray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    table = pa.table({"shop": pa.array(["a"] * len(text)), "note": text})
    pq.write_table(table, buffer, compression="zstd", **options)
    return buffer.getvalue()


EXPLODING = {
    "a dictionary": lambda: parquet_file(one_text(ROWS, TEXT_BYTES), store_schema=False),
    "a dictionary by its type": lambda: parquet_file(one_text(ROWS, TEXT_BYTES)),
    "a dictionary in several groups": lambda: parquet_file(one_text(ROWS, TEXT_BYTES), row_group_size=1000),
}


def read(content: bytes, max_bytes: int) -> list[pa.RecordBatch]:
    return list(formats.read("parquet", io.BytesIO(content), Piece(dataset("shop", "note"), "a file", max_bytes=max_bytes)))


@pytest.mark.parametrize("form", EXPLODING)
def test_a_parquet_file_that_grows_beyond_the_limit_is_refused_before_it_does(form: str) -> None:
    content = EXPLODING[form]()
    assert len(content) < 20_000
    before = psutil.Process().memory_info().rss
    with pytest.raises(DataError) as raised:
        read(content, max_bytes=1024 * MB)
    assert psutil.Process().memory_info().rss - before < 200 * MB
    message = str(raised.value)
    assert "sales: a file is at least" in message and str(ROWS * TEXT_BYTES) in message
    assert "the texts of 'note'" in message and str(1024 * MB) in message and "Raise max_bytes if it is" in message


@pytest.mark.parametrize("encoding", [None, "DELTA_BYTE_ARRAY", "PLAIN"])
def test_one_that_is_allowed_to_be_large_comes_in_batches_of_bounded_size(monkeypatch: pytest.MonkeyPatch, encoding: str | None) -> None:
    monkeypatch.setattr(parquet, "MOST_BATCH_BYTES", 4 * MB)
    monkeypatch.setattr(parquet, "BATCH_BYTES", 4 * MB)
    options = {"use_dictionary": False, "column_encoding": {"note": encoding}} if encoding else {}
    text = one_text(200, MB // 2)
    batches = read(parquet_file(text if encoding is None else text.dictionary_decode(), **options), max_bytes=200 * MB)
    assert max(batch.nbytes for batch in batches) <= 4 * MB + 1000
    assert sum(batch.num_rows for batch in batches) == 200


def test_a_column_of_the_wrong_type_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["x", "y"]))
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("it was decoded"))
    with pytest.raises(DataError, match=r"a file: note is of the type list<element: string>, which cannot be read as string"):
        read(parquet_file(lists, store_schema=False), max_bytes=MB)


def test_an_ordinary_file_is_read_in_large_batches() -> None:
    texts = pa.array([f"number {n}" for n in range(200_000)])
    assert [batch.num_rows for batch in read(parquet_file(texts), max_bytes=100 * MB)] == [131_072, 68_928]


def test_lines_of_json_that_leave_all_keys_out_come_in_batches_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two characters and a line end for a row of as many cells as there are columns."""
    monkeypatch.setenv("LANDING", str(tmp_path))
    monkeypatch.setattr(jsonl, "MOST_CELLS", 1000)
    rows = ['{"a": "1"}', "{}", ""] * 400
    (tmp_path / f"{DAY}.x").write_bytes(gzip.compress("\n".join(rows).encode()))
    columns = [chr(97 + number) for number in range(10)]
    declared = dataset(*columns, format="jsonl", compression="gzip")
    with pytest.raises(DataError, match="lacks the columns"):
        list(make_source(declared).open(DAY).batches)
    (tmp_path / f"{DAY}.x").write_bytes(gzip.compress("\n".join([*rows, str(dict.fromkeys(columns, "1")).replace("'", '"')]).encode()))
    sizes = [batch.num_rows for batch in make_source(declared).open(DAY).batches]
    assert sizes == [100] * 8 + [1]


def test_rows_of_a_database_are_asked_for_by_the_batch_as_large_as_they_are(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgresql.url())
    monkeypatch.setattr(sql_source, "BATCH_BYTES", 4 * MB)
    query = "SELECT 'a' AS shop, repeat('x', {size}) AS note FROM generate_series(1, {rows}) WHERE :partition IS NOT NULL"

    def sizes(size: int, rows: int) -> list[int]:
        text = query.format(size=size, rows=rows)
        declared = dataset("shop", "note").model_dump() | {"source": {"type": "sql", "connection": "warehouse", "query": text}}
        return [batch.num_rows for batch in make_source(DatasetConfig.model_validate(declared)).open(DAY).batches]

    assert sizes(MB, 40) == [16, *[3] * 8]
    assert sizes(1, 30_000) == [16, 256, 4096, 20_000, 5632]


def test_our_own_files_have_groups_that_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.setattr(files, "GROUP_BYTES", 4 * MB)
    rows = pa.record_batch({"note": pa.array(["x" * MB] * 2)})
    with files.RowWriter(rows.schema) as writer:
        for _ in range(5):
            writer.write(rows)
        read_again = list(files.read_batches(writer.finish()))
    assert [batch.num_rows for batch in read_again] == [4, 4, 2]
