from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.evergreen.config.datasets import Column, DatasetConfig
from include.evergreen.data.partitions.files import RowWriter, arrow_schema
from include.evergreen.data.partitions.verification import file_digest, stored_rows
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.foundation.settings import Settings
from include.evergreen.state import storage

ROWS = 9_000
TYPES = ("integer", "number", "string", "boolean", "timestamp")
PATH = "datasets/everything/2013-01-05/x.parquet"


@pytest.fixture
def dataset(catalog: object) -> DatasetConfig:
    """One column of each declared type, nullable, beside a key."""
    shipped = catalog.dataset("weather")  # type: ignore[attr-defined]
    columns = [Column(name="row", type="integer", nullable=False, description="The key.")]
    columns += [Column(name=kind, type=kind, nullable=True, description="Of a type.") for kind in TYPES]
    return shipped.model_copy(update={"name": "everything", "columns": tuple(columns), "keys": ("row",)})


@pytest.fixture
def rows(dataset: DatasetConfig) -> pa.Table:
    numbers = np.arange(ROWS)
    start = np.datetime64("2013-01-01T00:00:00.000001", "us")
    frame = pd.DataFrame(
        {
            "row": pd.array(numbers, dtype="Int64"),
            "integer": pd.array(numbers * 3 - 7, dtype="Int64"),
            "number": numbers / 7,
            "string": pd.array([f"näme {number}" for number in numbers], dtype="string"),
            "boolean": pd.array(numbers % 3 == 0, dtype="boolean"),
            "timestamp": pd.to_datetime(start + numbers * np.timedelta64(1, "s"), utc=True).astype("datetime64[us, UTC]"),
        }
    )
    frame.loc[5, list(TYPES)] = None
    return pa.Table.from_pandas(frame, arrow_schema(dataset), preserve_index=False)


def write(table: pa.Table, schema: pa.Schema) -> str:
    with RowWriter(schema) as writer:
        writer.write(table)
        writer.keep(PATH)
        return writer.digest()


def flipped(table: pa.Table, column: str, row: int) -> pa.Table:
    """The table with the lowest bit of one value turned over."""
    position = table.schema.get_field_index(column)
    values = table.column(column).combine_chunks()
    value = values[row]
    if column == "boolean":
        new = not value.as_py()
    elif column == "string":
        text = value.as_py()
        new = text[:-1] + chr(ord(text[-1]) ^ 1)
    elif column == "number":
        new = float((np.float64(value.as_py()).view(np.int64) ^ 1).view(np.float64))
    elif column == "timestamp":
        new = value.as_py() + dt.timedelta(microseconds=1)
    else:
        new = value.as_py() ^ 1
    parts = [values.slice(0, row), pa.array([new], values.type), values.slice(row + 1)]
    return table.set_column(position, table.schema.field(position), pa.chunked_array(parts))


@pytest.mark.parametrize("row", [0, ROWS // 2, ROWS - 1])
@pytest.mark.parametrize("column", TYPES)
def test_one_changed_bit_of_one_value_of_any_type_is_found(dataset: DatasetConfig, rows: pa.Table, column: str, row: int) -> None:
    digest = write(rows, arrow_schema(dataset))
    assert stored_rows(PATH, digest).state == "whole"
    changed = flipped(rows, column, row)
    assert sum(a != b for a, b in zip(changed.column(column).to_pylist(), rows.column(column).to_pylist(), strict=True)) == 1
    write(changed, arrow_schema(dataset))
    found = stored_rows(PATH, digest)
    assert found.state == "changed"
    assert found.rows == ROWS
    assert f"has {ROWS} rows with digest {found.digest[:12]}; {digest[:12]} was recorded" in found.message


@pytest.mark.parametrize("column", TYPES)
def test_a_value_that_is_missing_now_is_found_and_so_is_one_that_no_longer_is(dataset: DatasetConfig, rows: pa.Table, column: str) -> None:
    digest = write(rows, arrow_schema(dataset))
    position = rows.schema.get_field_index(column)
    values = rows.column(column).combine_chunks()
    for row, value in ((ROWS - 1, None), (5, values[0].as_py())):
        parts = [values.slice(0, row), pa.array([value], values.type), values.slice(row + 1)]
        write(rows.set_column(position, rows.schema.field(position), pa.chunked_array(parts)), arrow_schema(dataset))
        assert stored_rows(PATH, digest).state == "changed"


def test_rows_that_changed_places_are_found_and_so_is_one_row_less_and_one_more(dataset: DatasetConfig, rows: pa.Table) -> None:
    digest = write(rows, arrow_schema(dataset))
    order = list(range(ROWS))
    order[10], order[11] = order[11], order[10]
    for changed in (rows.take(order), rows.slice(0, ROWS - 1), pa.concat_tables([rows, rows.slice(0, 1)])):
        write(changed, arrow_schema(dataset))
        assert stored_rows(PATH, digest).state == "changed"


@pytest.mark.parametrize(
    "encoding",
    [
        {"compression": "zstd"},
        {"compression": "none", "row_group_size": 100},
        {"use_dictionary": False, "row_group_size": 1_000},
        {"use_dictionary": True, "data_page_size": 512},
        {"version": "1.0", "compression": "gzip"},
        {"data_page_version": "2.0", "write_statistics": False},
    ],
)
def test_how_parquet_encodes_the_rows_does_not_matter(dataset: DatasetConfig, rows: pa.Table, encoding: dict[str, object]) -> None:
    digest = write(rows, arrow_schema(dataset))
    file = Path(Settings.from_environment().storage, PATH)
    before = file.read_bytes()
    pq.write_table(pq.read_table(file), file, **encoding)
    assert file.read_bytes() != before
    assert stored_rows(PATH, digest).state == "whole"


def test_a_column_of_another_name_or_type_is_found(dataset: DatasetConfig, rows: pa.Table) -> None:
    digest = write(rows, arrow_schema(dataset))
    file = Path(Settings.from_environment().storage, PATH)
    narrow = rows.schema.set(1, pa.field("integer", pa.int32()))
    renamed = rows.rename_columns(["row", "integer", "number", "string", "boolean", "when"])
    for changed in (rows.cast(narrow), renamed, rows.select(["integer", "row", "number", "string", "boolean", "timestamp"])):
        pq.write_table(changed, file)
        assert stored_rows(PATH, digest).state == "changed"


def test_a_file_that_is_gone_is_missing_and_one_that_is_no_parquet_is_damaged() -> None:
    assert stored_rows(PATH, "0" * 64).state == "missing"
    storage.write_bytes(PATH, b"PAR1 this is none PAR1")
    found = stored_rows(PATH, "0" * 64)
    assert found.state == "changed"
    assert "is damaged and cannot be read" in found.message
    with pytest.raises(DataError, match="is damaged"):
        file_digest(PATH)


def test_any_flipped_bit_of_the_file_itself_gives_a_finding_or_the_same_rows_and_never_another_error(
    dataset: DatasetConfig, rows: pa.Table
) -> None:
    """Bit rot: in pages, in headers, in the footer. What is not found must not have touched a value."""
    digest = write(rows.slice(0, 300), arrow_schema(dataset))
    file = Path(Settings.from_environment().storage, PATH)
    sound = file.read_bytes()
    expected = pq.read_table(file)
    chance = random.Random(7)
    found = 0
    for _ in range(400):
        position = chance.randrange(len(sound))
        damaged = bytearray(sound)
        damaged[position] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        try:
            state = stored_rows(PATH, digest).state
        except TransientError as error:
            assert "memory" in str(error)
            continue
        if state == "whole":
            assert pq.read_table(file).equals(expected)
        found += state == "changed"
    assert found > 200


def test_what_the_disk_says_is_no_damage(dataset: DatasetConfig, rows: pa.Table) -> None:
    """A file that cannot be read now says nothing about its rows."""
    file = Path(Settings.from_environment().storage, PATH)
    file.mkdir(parents=True)
    with pytest.raises(TransientError, match="could not be read"):
        file_digest(PATH)
