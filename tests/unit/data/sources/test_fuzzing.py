"""Whatever a file holds, a reader gives rows or an error of ours; and what was written comes back as it was.

EVERGREEN_FUZZED_FILES says how many files each test tries: the nightly job, many more.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import gzip
import io
import json
import os
import zipfile
from typing import Any, cast, get_args

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.sources import DelimitedText, FileFormat
from include.evergreen.data.partitions.files import arrow_schema
from include.evergreen.data.sources import formats, make_source
from include.evergreen.data.sources.formats import Piece, blocks
from include.evergreen.data.sources.formats import csv as csv_format
from include.evergreen.foundation.digest import table_digest
from include.evergreen.foundation.errors import DataError
from tests.unit.data.sources.test_files import DATASET

DAY = "2013-02-09"
LIMIT = 10 * 1024**2  # of what a partition may have when unpacked
MAIN = DatasetConfig.model_validate({**DATASET, "columns": [{**each, "nullable": True} for each in DATASET["columns"]]})
SCHEMA = arrow_schema(MAIN)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
awkward = st.sampled_from(
    ['"', '""', ",", "\n", "\r\n", "\r", "a,b", 'say "no"', " x ", "NA", "null", "é", "𝄞", "\ufeff", "1", "-", "'", "\t"]
)
moments = st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "shop": text | awkward,
            "count": st.none() | st.integers(-(2**63), 2**63 - 1),
            "amount": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "opened": st.none() | moments,
            "open": st.none() | st.booleans(),
        }
    ),
    max_size=6,
)
block_sizes = st.sampled_from([1, 2, 3, 5, 8, 13, 40, 8 * 1024**2])
FILES = int(os.environ.get("EVERGREEN_FUZZED_FILES", "60"))
slow_to_start = settings(max_examples=FILES, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def test_all_formats_that_may_be_declared_are_fuzzed() -> None:
    assert set(formats.FORMATS) == set(WRITERS) == set(get_args(FileFormat.model_fields["format"].annotation))


def written_as_csv(table: pa.Table) -> bytes:
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(table.column_names)
    for row in table.to_pylist():
        cells = [repr(value) if isinstance(value, float) else value for value in row.values()]
        writer.writerow(["" if cell is None else cell.isoformat() if isinstance(cell, dt.datetime) else cell for cell in cells])
    return content.getvalue().encode()


def written_as_jsonl(table: pa.Table) -> bytes:
    lines = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    return "".join(json.dumps(line, default=lambda moment: moment.isoformat()) + "\n" for line in lines).encode()


def written_as_parquet(table: pa.Table) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content, row_group_size=3)
    return content.getvalue()


WRITERS = {"csv": written_as_csv, "jsonl": written_as_jsonl, "parquet": written_as_parquet}
SAMPLE = pa.Table.from_pylist(
    [
        {"shop": 'a "b",\n', "count": 1, "amount": 0.5, "opened": dt.datetime(2013, 2, 9, tzinfo=dt.UTC), "open": True},
        {"shop": "é", "count": -(2**63), "amount": -1e300, "opened": dt.datetime(1, 1, 2, tzinfo=dt.UTC), "open": False},
        {"shop": "c", "count": None, "amount": None, "opened": None, "open": None},
    ] * 3,
    SCHEMA,
)  # fmt: skip


@pytest.mark.parametrize("form", formats.FORMATS)
@slow_to_start
@given(rows=rows, block=block_sizes)
def test_a_table_comes_back_identical(form: str, rows: list[dict[str, Any]], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block)
    table = pa.Table.from_pylist(rows, SCHEMA)
    if form == "jsonl":  # a column that no line has is missing
        rows.append({"shop": "x", "count": 1, "amount": 1.0, "opened": dt.datetime(2013, 1, 1, tzinfo=dt.UTC), "open": True})
        table = pa.Table.from_pylist(rows, SCHEMA)
    found = _rows(form, WRITERS[form](table), missing=("", "NA", "null") if form == "csv" else ())
    expected = _without_empty_text(table) if form == "csv" else table
    assert found.schema.equals(SCHEMA)
    assert table_digest(found) == table_digest(expected), (found.to_pylist(), expected.to_pylist())


@slow_to_start
@given(rows=rows, block=block_sizes)
def test_arrow_and_our_own_lexer_take_the_same_text_for_the_same_cells(
    rows: list[dict[str, Any]], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written_as_csv(pa.Table.from_pylist(rows, SCHEMA))
    _assert_lexed_alike(content, block, monkeypatch)


@slow_to_start
@given(
    lines=st.lists(st.lists(st.text('ab" ', max_size=5), min_size=2, max_size=2), max_size=6),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    block=block_sizes,
)
@example(lines=[['""a', ""]], ends="\n", block=1)
def test_arrow_and_our_own_lexer_take_stray_quotes_alike(
    lines: list[list[str]], ends: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = ends.join(["shop,x", *(",".join(line) for line in lines)]).encode()
    _assert_lexed_alike(content, block, monkeypatch)


@pytest.mark.parametrize("form", formats.FORMATS)
@settings(max_examples=FILES, deadline=None)
@given(content=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_rows_or_an_error_of_ours(form: str, content: bytes) -> None:
    _rows_or_our_error(form, content)
    if form == "csv":
        _rows_or_our_error(form, b"shop,count,amount,opened,open\n" + content)


@pytest.mark.parametrize("packing", ["none", "gzip", "zip"])
@pytest.mark.parametrize("form", formats.FORMATS)
@settings(max_examples=FILES, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_rows_or_an_error_of_ours(form: str, packing: str, data: st.DataObject) -> None:
    content = bytearray(_packed(WRITERS[form](SAMPLE), packing))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        change = data.draw(st.sampled_from(["flip", "cut", "insert", "repeat", "remove"]))
        if change == "flip" and content:
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif change == "cut":
            del content[at:]
        elif change == "insert":
            content[at:at] = data.draw(st.binary(max_size=9))
        elif change == "repeat":
            content[at:at] = content[at : at + 30]
        else:
            del content[at : at + data.draw(st.integers(1, 9))]
    _rows_or_our_error(form, bytes(content), packing)


def test_a_parquet_file_with_one_flipped_bit_is_whole_or_an_error_of_ours() -> None:
    """Never the end of the process, as from pyarrow's own view of a damaged footer, and never fewer rows without a word."""
    whole = written_as_parquet(SAMPLE)
    for position in range(0, len(whole), 11):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        with contextlib.suppress(DataError):
            assert _rows("parquet", bytes(content)).num_rows == SAMPLE.num_rows


def _rows(form: str, content: bytes, *, missing: tuple[str, ...] = ("",)) -> pa.Table:
    piece = Piece(MAIN, "a file", DelimitedText(), missing, max_bytes=LIMIT)
    return pa.Table.from_batches(formats.read(form, io.BytesIO(content), piece), SCHEMA)


def _rows_or_our_error(form: str, content: bytes, packing: str = "none") -> None:
    fsspec.filesystem("memory").pipe("/fuzzed/2013-02-09", content)
    source = {"type": "files", "path": "memory://fuzzed/{partition}", "format": form, "compression": packing, "max_bytes": LIMIT}
    dataset = DatasetConfig.model_validate({**MAIN.model_dump(), "source": source})
    try:
        for batch in make_source(dataset).open(DAY).batches:
            batch.validate(full=True)
            assert batch.schema.equals(SCHEMA)
    except DataError as error:
        assert "fuzzed/2013-02-09" in str(error)


def _assert_lexed_alike(content: bytes, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of Arrow, all of the lexer, and both as it comes, in blocks of any size: the same cells or the same refusal."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block)
    dataset = DatasetConfig.model_validate({**DATASET, "columns": [DATASET["columns"][0]]})
    outcomes = []
    by_arrow = csv_format._by_arrow
    for way in (by_arrow, lambda *_: None):
        with monkeypatch.context() as patch:
            patch.setattr(csv_format, "_by_arrow", way)
            try:
                batches = formats.read("csv", io.BytesIO(content), Piece(dataset, "a file", DelimitedText(), ("", "NA", "a")))
                outcomes.append(pa.Table.from_batches(batches, arrow_schema(dataset)).to_pylist())
            except DataError as error:
                outcomes.append([str(error)])
    assert outcomes[0] == outcomes[1]
    if b'""a' in content or b'""NA' in content:
        return  # a word for no value after an empty pair of quotes: the lexer decides, and takes it for bare
    options = {
        "column_types": {"shop": pa.string()},
        "null_values": ["", "NA", "a"],
        "strings_can_be_null": True,
        "quoted_strings_can_be_null": False,
    }
    whole = pyarrow.csv.ReadOptions(block_size=len(content) + 1)
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    try:
        bare = pyarrow.csv.read_csv(io.BytesIO(content), whole, parsing, pyarrow.csv.ConvertOptions(**options))
    except pa.ArrowInvalid:
        return  # a line with more cells than the header, say
    if not isinstance(outcomes[0][0] if outcomes[0] else {}, str):  # Arrow takes a quote that never closes
        assert outcomes[0] == [{"shop": value or None} for value in bare["shop"].to_pylist()]


def _packed(content: bytes, packing: str) -> bytes:
    if packing == "gzip":
        return gzip.compress(content)
    if packing == "zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("a", content[: len(content) // 2])
            packed.writestr("b", content)
        return archive.getvalue()
    return content


def _without_empty_text(table: pa.Table) -> pa.Table:
    """CSV does not tell an empty text from none."""
    shops = [value or None for value in cast("list[str]", table["shop"].to_pylist())]
    return table.set_column(0, SCHEMA.field("shop"), pa.array(shops, pa.string()))
