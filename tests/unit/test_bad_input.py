"""Every kind of bad input: the right error, all of it named, and nothing changed by it."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import io
import json
import os
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import PartitionVersion, current_partition, read_partition
from include.evergreen.foundation.errors import ConfigError, DataError, EvergreenError, TransientError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.settings import Settings
from include.evergreen.state import storage
from include.evergreen.state.database.tables import partition_versions
from tests.unit.flights import rows_of
from tests.unit.warm import run_code, start_code

DAY = "2013-02-09"
HEADER = "shop,count,amount,opened,open,guest\n"
ROWS = [f"s{number},{number},{number}.5,2013-02-09T08:00:00Z,true,Jane\n" for number in range(4)]
SOUND = HEADER + "".join(ROWS)
SMALL = 2 * 1024**2  # bytes of a disk that fills, and of a partition that is too large
COLUMNS = [
    {"name": "shop", "type": "string", "description": "Which shop"},
    {"name": "count", "type": "integer", "nullable": True, "description": "Sales"},
    {"name": "amount", "type": "number", "nullable": True, "description": "Amount"},
    {"name": "opened", "type": "timestamp", "nullable": True, "description": "When it opened"},
    {"name": "open", "type": "boolean", "nullable": True, "description": "Whether it is open"},
    {"name": "guest", "type": "string", "nullable": True, "description": "Who came", "personal": True},
]
DATASET: dict[str, Any] = {
    "name": "sales",
    "description": "Sales of a day.",
    "owner": "shop",
    "source": {"type": "files", "path": "${LANDING}/{partition}.csv"},
    "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
    "knowledge": {"hours_after_partition": 24},
    "columns": COLUMNS,
    "keys": ["shop"],
}
INTEGERS, NUMBERS, BOOLEANS = "a whole number such as 42", "a decimal number such as -1.5", "true, false, 1 or 0"
MOMENTS = "ISO 8601 with a zone, such as 2013-02-09T08:00:00Z"


@pytest.fixture(autouse=True)
def landing(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = home / "landing"
    folder.mkdir()
    monkeypatch.setenv("LANDING", str(folder))
    return folder


@pytest.fixture
def published(landing: Path) -> PartitionVersion:
    """The version that stands before the bad input comes."""
    (landing / "2013-02-09.csv").write_text(SOUND)
    return ingestion.ingest(_dataset(), DAY, "live")[0]


# --- what is written wrongly in CSV ---------------------------------------------------------------------------------


def second(**cells: str) -> str:
    """The sound file with other cells in its second row, on line 3."""
    names = HEADER.strip().split(",")
    row = dict(zip(names, ROWS[1].strip().split(","), strict=True)) | cells
    return HEADER + ROWS[0] + ",".join(row[name] for name in names) + "\n" + "".join(ROWS[2:])


CELLS = {  # a cell: its column, its text, and what is said of it
    "garbage in an integer": ("count", "three", ["'three'", "no whole number", INTEGERS]),
    "a fraction in an integer": ("count", "3.5", ["'3.5'", "it has a fraction", INTEGERS]),
    "an integer past 64 bits": ("count", "9223372036854775808", ["'9223372036854775808'", "past 64 bits", INTEGERS]),
    "an integer past 64 bits downwards": ("count", "-9223372036854775809", ["past 64 bits", INTEGERS]),
    "a hexadecimal integer": ("count", "0x1F", ["'0x1F'", INTEGERS]),
    "an integer with separators": ("count", "1_000", ["'1_000'", INTEGERS]),
    "digits of another script": ("count", "٣", ["'٣'", INTEGERS]),
    "a cell of a million characters in an integer": ("count", "x" * 10**6, [f"'{'x' * 80}' and 999920 characters more", INTEGERS]),
    "garbage in a number": ("amount", "12 apples", ["'12 apples'", "it is no number", NUMBERS]),
    "a comma in a number": ("amount", '"1,5"', ["'1,5'", "it is no number", NUMBERS]),
    "NaN": ("amount", "NaN", ["'NaN'", "add it to the source's missing_values", NUMBERS]),
    "an infinity": ("amount", "-inf", ["'-inf'", "no finite number", NUMBERS]),
    "a number past what a float holds": ("amount", "1e999", ["'1e999'", "past what a 64-bit float holds", NUMBERS]),
    "a word in a boolean": ("open", "maybe", ["'maybe'", "neither true nor false", BOOLEANS]),
    "a date that there is not": ("opened", "2013-02-30T08:00:00Z", ["'2013-02-30T08:00:00Z'", "no such moment", MOMENTS]),
    "a date in another order": ("opened", "09/02/2013 08:00", ["'09/02/2013 08:00'", "not written as ISO 8601", MOMENTS]),
    "a moment without zone": ("opened", "2013-02-09T08:00:00", ["names no zone", "declare it as the column's timezone", MOMENTS]),
    "a moment finer than a microsecond": ("opened", "2013-02-09T08:00:00.0000001Z", ["finer than a microsecond", MOMENTS]),
    "a moment before the calendar": ("opened", "0001-01-01T00:00:00+14:00", ["its year is not among 1 to 9999", MOMENTS]),
    "a moment after the calendar": ("opened", "12013-02-09T08:00:00Z", ["'12013-02-09T08:00:00Z'", MOMENTS]),
    "seconds since 1970": ("opened", "1360396800", ["'1360396800'", MOMENTS]),
}


@pytest.mark.parametrize(("column", "text", "words"), CELLS.values(), ids=CELLS)
def test_a_bad_cell_is_named_by_file_line_column_value_and_what_is_allowed(
    published: PartitionVersion, landing: Path, column: str, text: str, words: list[str]
) -> None:
    (landing / "2013-02-09.csv").write_text(second(**{column: text}))
    _refused(published, DataError, f"{landing}/2013-02-09.csv, line 3: {column} is ", "which is not a valid", *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [("2013-11-03 01:30:00", "show that moment twice"), ("2013-03-10 02:30:00", "leave that moment out")],
    ids=["in the hour that comes twice", "in the hour that never comes"],
)
def test_a_moment_that_the_clocks_do_not_show_once_is_named(published: PartitionVersion, landing: Path, text: str, words: str) -> None:
    columns = [{**each, "timezone": "America/New_York"} if each["name"] == "opened" else each for each in COLUMNS]
    (landing / "2013-02-09.csv").write_text(second(opened=text))
    named = [f"{landing}/2013-02-09.csv, line 3: opened is '{text}'", f"the clocks of America/New_York {words}", MOMENTS]
    _refused(published, DataError, *named, dataset=_dataset(columns=columns))


def test_personal_values_are_in_no_error(published: PartitionVersion, landing: Path) -> None:
    columns = [{**each, "type": "integer"} if each["name"] == "guest" else each for each in COLUMNS]
    (landing / "2013-02-09.csv").write_text(second(guest="Jane Doe"))
    said = _refused(published, DataError, "line 2: guest is a value that is not shown", "(4 such cells", dataset=_dataset(columns=columns))
    assert "Jane" not in said


FILES: dict[str, tuple[bytes, list[str]]] = {  # a whole file, and what is said of it
    "empty": (b"", ["is empty: it has not even a header"]),
    "blank lines alone": (b"\n\r\n\n", ["is empty: it has not even a header"]),
    "another delimiter": (SOUND.replace(",", ";").encode(), ["lacks the column", "looks as if the delimiter were a semicolon", "','"]),
    "tabulators": (SOUND.replace(",", "\t").encode(), ["lacks the column", "looks as if the delimiter were a tabulator"]),
    "latin-1": (second(shop="Zürich").encode("latin-1"), ["line 3, is not written in utf-8 (byte 0xfc)", "csv.encoding: latin-1"]),
    "latin-1 in the header": (SOUND.replace("guest", "gäst").encode("latin-1"), ["line 1, is not written in utf-8 (byte 0xe4)"]),
    "UTF-16": (SOUND.encode("utf-16"), ["is UTF-16 text", "csv.encoding: utf-16"]),
    "UTF-16 without its mark": (SOUND.encode("utf-16-le"), ["line 1, has a NUL character", "UTF-16"]),
    "a NUL character": (second(shop="a\0b").encode(), ["line 3, has a NUL character"]),
    "zeros where a disk was not written": (SOUND.encode() + bytes(4096), ["line 6, has a NUL character", "damaged"]),
    "a missing column": (SOUND.replace("count", "sum").encode(), ["lacks the column 'count'", "it has: shop, sum, amount"]),
    "no header": ("".join(ROWS).encode(), ["lacks the columns 'shop', 'count'", "not shown, as some columns are personal"]),
    "a column twice": (SOUND.replace("guest", "shop").encode(), ["has the column 'shop' 2 times", "each column once"]),
    "a row with more cells": (second(shop="a,b").encode(), ["line 3, has 7 cells, and the header has 6", "Is a cell with a ',' in it"]),
    "cut off within a row": (SOUND.encode()[:-20], ["line 5, has 4 cells, and the header has 6", "cut off"]),
    "a quote that never closes": (second(shop='"s1').encode(), ["line 3, opens a quote that never closes"]),
    "a row that does not end": (HEADER.encode() + b"x" * (70 * 1024**2), ["line 2, has a row that does not end within 64 MB"]),
    "a web page": (b"<!DOCTYPE html>\n<html><body>502</body></html>\n", ["lacks the columns 'shop', 'count'"]),
    "a Parquet file": (b"PAR1 and so on", ["is a Parquet file", "Declare the format"]),
    "a packed file": (gzip.compress(SOUND.encode()), ["is a gzip file", "the compression"]),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_as_csv_is_named_with_what_is_wrong(
    published: PartitionVersion, landing: Path, content: bytes, words: list[str]
) -> None:
    (landing / "2013-02-09.csv").write_bytes(content)
    _refused(published, DataError, f"sales: {landing}/2013-02-09.csv", *words)


WRITTEN_OTHERWISE = {
    "a byte order mark": b"\xef\xbb\xbf" + SOUND.encode(),
    "columns in another order": (",".join(HEADER.strip().split(",")[::-1]) + "\n").encode()
    + "".join(",".join(row.strip().split(",")[::-1]) + "\n" for row in ROWS).encode(),
    "rows in another order": (HEADER + "".join(ROWS[::-1])).encode(),
    "columns that are not declared": "".join(f"{line},more\n" for line in SOUND.splitlines()).encode(),
    "line ends of Windows": SOUND.replace("\n", "\r\n").encode(),
    "blanks, signs and zeros": SOUND.replace(",3,", ",+3 ,").replace("2.5", " 2.50").replace(":00Z", ":00.0000000Z").encode(),
}


@pytest.mark.parametrize("content", WRITTEN_OTHERWISE.values(), ids=WRITTEN_OTHERWISE)
def test_the_same_rows_written_otherwise_are_no_new_version(published: PartitionVersion, landing: Path, content: bytes) -> None:
    (landing / "2013-02-09.csv").write_bytes(content)
    assert ingestion.ingest(_dataset(), DAY, "live") == (published, False)


def test_a_quoted_cell_of_a_million_characters_is_kept_whole(published: PartitionVersion, landing: Path) -> None:
    (landing / "2013-02-09.csv").write_text(second(guest='"' + "long\n, " * 150_000 + '"'))
    version, is_new = ingestion.ingest(_dataset(), DAY, "live")
    assert is_new
    assert read_partition(version)["guest"].str.len().max() == 1_050_000


@pytest.mark.parametrize(
    ("encoding", "content", "words"),
    [
        ("ascii", second(shop="Zürich").encode(), "line 3, is not written in ascii (byte 0xc3)"),
        ("cp1252", second(shop="\x81").encode("latin-1"), "line 3, is not written in cp1252 (byte 0x81)"),
        ("utf-16", SOUND.encode("utf-16")[:-1], "line 5, is not written in utf-16"),
        ("utf-16", SOUND.encode(), "is not written in utf-16"),
    ],
)
def test_text_that_is_not_in_its_declared_encoding_is_named_by_line(
    published: PartitionVersion, landing: Path, encoding: str, content: bytes, words: str
) -> None:
    (landing / "2013-02-09.csv").write_bytes(content)
    dataset = _dataset({"csv": {"encoding": encoding}})
    _refused(published, DataError, f"{landing}/2013-02-09.csv", words, "csv.encoding: utf-8", dataset=dataset)


def test_several_files_together_are_no_larger_than_allowed(published: PartitionVersion, landing: Path) -> None:
    (landing / "2013-02-09.csv").unlink()
    long = pa.array([os.urandom(10_000).hex() for _ in range(4)])
    for form, content in {"csv": SOUND.encode(), "parquet": parquet(guest=long)}.items():
        for number in range(6):
            (landing / f"2013-02-09-{number}.{form}").write_bytes(content)
        source = {"path": f"${{LANDING}}/{{partition}}-*.{form}", "format": form, "max_bytes": int(3.5 * len(content))}
        _refused(published, DataError, f"{landing}/2013-02-09-", "max_bytes", dataset=_dataset(source))


def test_a_key_that_stands_twice_stops_the_partition(published: PartitionVersion, landing: Path) -> None:
    (landing / "2013-02-09.csv").write_text(SOUND + ROWS[0])
    _refused(published, DataError, "sales 2013-02-09 is stopped: 2 of 5 rows fail", "shop", raw_is_kept=True)


# --- packed files ---------------------------------------------------------------------------------------------------


def zipped(*members: tuple[str, bytes], encrypted: bool = False) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    packed = bytearray(content.getvalue())
    if encrypted:  # the flag in both headers; what follows it would be the cipher
        packed[6] |= 1
        packed[packed.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def without_name(packed: bytes) -> bytes:
    """In the archive's list, the last member's name of five letters is its comment."""
    changed = bytearray(packed)
    entry = changed.rfind(b"PK\x01\x02")
    changed[entry + 28], changed[entry + 32] = 0, 5
    return bytes(changed)


def wrong_sum(packed: bytes) -> bytes:
    return packed[:-8] + struct.pack("<I", 7) + packed[-4:]


GZIPPED, ZIPPED = gzip.compress(SOUND.encode() * 300), zipped(("a.csv", SOUND.encode()), ("b.csv", SOUND.encode()))
PACKED: dict[str, tuple[str, bytes, list[str]]] = {
    "a truncated gzip": ("gz", GZIPPED[:-30], ["cut off or damaged"]),
    "a gzip without its end": ("gz", gzip.compress(SOUND.encode())[:-4], ["cut off or damaged"]),
    "a gzip with a wrong sum": ("gz", wrong_sum(gzip.compress(SOUND.encode())), ["damaged: CRC check failed"]),
    "no gzip": ("gz", SOUND.encode(), ["damaged: Not a gzipped file"]),
    "an empty gzip": ("gz", gzip.compress(b""), ["is empty: it has not even a header"]),
    "a gzip bomb": ("gz", gzip.compress(HEADER.encode() + ROWS[0].encode() * 60_000), [f"than the {SMALL} bytes", "max_bytes"]),
    "a truncated zip": ("zip", ZIPPED[:-30], ["is a zip archive that is cut off or damaged"]),
    "no zip": ("zip", SOUND.encode(), ["is a zip archive that is cut off or damaged"]),
    "a member without a name": ("zip", without_name(ZIPPED), ["damaged: a member has no name"]),
    "a zip without files": ("zip", zipped(), ["is a zip archive without files"]),
    "a zip with a password": ("zip", zipped(("a.csv", SOUND.encode()), encrypted=True), ["encrypted member 'a.csv'", "password"]),
    "a zip that climbs": ("zip", zipped(("../../a.csv", SOUND.encode())), ["'../../a.csv', whose path leads out"]),
    "a zip that climbs as in Windows": ("zip", zipped(("..\\a.csv", SOUND.encode())), ["whose path leads out"]),
    "a zip from the root": ("zip", zipped(("/etc/a.csv", SOUND.encode())), ["'/etc/a.csv', whose path leads out"]),
    "a bad member of a zip": ("zip", zipped(("a.csv", second(count="x").encode())), ["zip/a.csv, line 3: count is 'x'", INTEGERS]),
    "a zip bomb": ("zip", zipped(("a.csv", bytes(5 * 1024**2).replace(b"\0", b"\n"))), [f"than the {SMALL} bytes", "max_bytes"]),
    "a zip bomb of many files": ("zip", zipped(*((f"{n}.csv", HEADER.encode() + b"\n" * 10**5) for n in range(30))), ["max_bytes"]),
}  # fmt: skip


@pytest.mark.parametrize(("packing", "content", "words"), PACKED.values(), ids=PACKED)
def test_a_bad_packed_file_is_named_with_what_is_wrong(
    published: PartitionVersion, landing: Path, packing: str, content: bytes, words: list[str]
) -> None:
    file = landing / f"2013-02-09.csv.{packing}"
    file.write_bytes(content)
    source = {"path": f"${{LANDING}}/{{partition}}.csv.{packing}", "max_bytes": SMALL}
    _refused(published, DataError, str(file), *words, dataset=_dataset(source))


# --- Parquet and JSON Lines -----------------------------------------------------------------------------------------


def parquet(**columns: pa.Array) -> bytes:
    """The sound rows with other columns."""
    sound = {
        "shop": pa.array([f"s{number}" for number in range(4)]),
        "count": pa.array(range(4)),
        "amount": pa.array([0.5, 1.5, 2.5, 3.5]),
        "opened": pa.array([dt.datetime(2013, 2, 9, 8, tzinfo=dt.UTC)] * 4),
        "open": pa.array([True] * 4),
        "guest": pa.array(["Jane"] * 4),
    }
    content = io.BytesIO()
    pq.write_table(pa.table({name: column for name, column in {**sound, **columns}.items() if column is not None}), content)
    return content.getvalue()


def test_the_same_rows_as_parquet_or_json_lines_are_no_new_version(published: PartitionVersion, landing: Path) -> None:
    (landing / "2013-02-09.parquet").write_bytes(parquet(count=pa.array([0, 1, 2, 3], pa.int8())))
    (landing / "2013-02-09.jsonl").write_text(LINES)
    for form in ("parquet", "jsonl"):
        dataset = _dataset({"path": f"${{LANDING}}/{{partition}}.{form}", "format": form})
        assert ingestion.ingest(dataset, DAY, "live") == (published, False)


PARQUETS: dict[str, tuple[bytes, list[str]]] = {
    "cut off": (parquet()[:-100], ["is no Parquet file, or is cut off or damaged"]),
    "no Parquet": (SOUND.encode(), ["is no Parquet file"]),
    "empty": (b"", ["is no Parquet file"]),
    "damaged in the middle": (parquet()[:30] + b"\xff" * 300 + parquet()[330:], ["is no Parquet file, or is cut off or damaged"]),
    "without a column": (parquet(count=None), ["lacks the column 'count'", "it has: shop, amount"]),
    "fractions for integers": (parquet(count=pa.array([0, 1.5, 2, 3])), ["row 2: count is '1.5'", "it has a fraction", INTEGERS]),
    "integers past 64 bits": (parquet(count=pa.array([0, 2**63, 2, 3], pa.uint64())), ["row 2: count is '9223372036854775808'", INTEGERS]),
    "garbage for integers": (parquet(count=pa.array(["0", "1", "x", "3"])), ["row 3: count is 'x'", INTEGERS]),
    "integers that no float holds": (parquet(amount=pa.array([0, 2**60 + 1, 2, 3])), ["row 2: amount is '1152921504606846977'", NUMBERS]),
    "an infinity": (parquet(amount=pa.array([0, float("inf"), 2, 3])), ["row 2: amount is 'inf'", NUMBERS]),
    "nanoseconds": (parquet(opened=pa.array([0, 1, 2, 3]).cast(pa.timestamp("ns", "UTC"))), ["row 2: opened is '1 ns", MOMENTS]),
    "moments without zone": (parquet(opened=pa.array([dt.datetime(2013, 2, 9)] * 4)), ["row 1: opened is '2013-02-09 00:00", MOMENTS]),
    "a list for a string": (parquet(shop=pa.array([["a"]] * 4)), ["shop is of the type list<", "cannot be read as string"]),
    "bytes that are no text": (parquet(shop=pa.array([b"a", b"\xff", b"c", b"d"])), ["row 2: shop is", "it is not UTF-8"]),
    "larger than allowed": (
        parquet(**{each["name"]: pa.nulls(400_000) for each in COLUMNS} | {"shop": pa.array(map(str, range(400_000)))}),
        ["bytes large when unpacked", f"max_bytes leaves {SMALL}"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), PARQUETS.values(), ids=PARQUETS)
def test_bad_parquet_is_named_by_file_row_column_and_value(
    published: PartitionVersion, landing: Path, content: bytes, words: list[str]
) -> None:
    (landing / "2013-02-09.parquet").write_bytes(content)
    source = {"path": "${LANDING}/{partition}.parquet", "format": "parquet", "max_bytes": SMALL}
    _refused(published, DataError, f"{landing}/2013-02-09.parquet", *words, dataset=_dataset(source))


def line(number: int, **changes: object) -> str:
    row = {"shop": f"s{number}", "count": number, "amount": number + 0.5, "opened": "2013-02-09T08:00:00Z", "open": True, "guest": "Jane"}
    return json.dumps({**row, **changes}) + "\n"


LINES = "".join(map(line, range(4)))
JSONS = {
    "a broken line": (line(0) + '{"shop": "a",\n' + line(2), ["line 2, is not a line of JSON"]),
    "pretty-printed JSON": (json.dumps(json.loads(line(0)), indent=1), ["line 1, is not a line of JSON", "one whole JSON object a line"]),
    "NaN": (line(0) + line(1, amount=float("nan")), ["line 2, is not a line of JSON: NaN is no JSON number"]),
    "a number past what a float holds": (line(0) + line(1).replace("1.5", "1e999"), ["line 2: amount is 'inf'", NUMBERS]),
    "an integer past 64 bits": (line(0) + line(1, count=2**63), ["line 2: count is '9223372036854775808'", "past 64 bits", INTEGERS]),
    "a number of 5000 digits": (line(0) + line(1).replace("1.5", "1" * 5000), ["line 2, is not a line of JSON"]),
    "a list": (line(0) + "[1, 2]\n", ["line 2, is a JSON list, not an object"]),
    "a key twice": (line(0) + '{"shop": "a", "shop": "b"}\n', ["line 2, is not a line of JSON: the key 'shop' is there 2 times"]),
    "an object in a cell": (line(0) + line(1, count={"n": 1}), ["line 2: count is", "it is of the type dict", INTEGERS]),
    "a number for a string": (line(0) + line(1, shop=7), ["line 2: shop is '7'", "it is of the type int", "text"]),
    "half a surrogate pair": (line(0) + line(1, shop="\ud800"), ["line 2: shop is", "surrogate"]),
    "an escaped NUL": (line(0) + line(1, shop="a\0"), ["line 2: shop is", "NUL"]),
    "nested a thousand times": (line(0) + "[" * 100_000, ["line 2, is not a line of JSON: it is nested too deeply"]),
    "a column in no line": (LINES.replace("count", "sum"), ["lacks the column 'count'", "it has: amount, guest, open"]),
    "latin-1": ((line(0) + json.dumps({"shop": "ü"}, ensure_ascii=False)), ["line 2, is not written in utf-8"]),
}


@pytest.mark.parametrize(("content", "words"), JSONS.values(), ids=JSONS)
def test_bad_json_lines_are_named_by_file_line_column_and_value(
    published: PartitionVersion, landing: Path, content: str, words: list[str]
) -> None:
    (landing / "2013-02-09.jsonl").write_bytes(content.encode("latin-1"))
    source = {"path": "${LANDING}/{partition}.jsonl", "format": "jsonl"}
    _refused(published, DataError, f"{landing}/2013-02-09.jsonl", *words, dataset=_dataset(source))


# --- where files lie ------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_named(published: PartitionVersion, landing: Path) -> None:
    (landing / "2013-02-09.csv").unlink()
    _refused(published, DataError, f"sales: the source has no file {landing}/2013-02-09.csv", "Ingest the partition again")


def test_no_file_that_matches_is_named(published: PartitionVersion, landing: Path) -> None:
    dataset = _dataset({"path": "${LANDING}/{partition}/part-*.csv"})
    _refused(published, DataError, f"sales: the source has no file {landing}/2013-02-09/part-*.csv", dataset=dataset)


def test_a_folder_in_place_of_a_file_is_named(published: PartitionVersion, landing: Path) -> None:
    (landing / "2013-02-09.csv").unlink()
    (landing / "2013-02-09.csv").mkdir()
    _refused(published, DataError, f"{landing}/2013-02-09.csv is a folder, not a file")


def test_a_pipe_in_place_of_a_file_does_not_hang(published: PartitionVersion, landing: Path) -> None:
    (landing / "2013-02-09.csv").unlink()
    os.mkfifo(landing / "2013-02-09.csv")
    _refused(published, DataError, f"{landing}/2013-02-09.csv is a device or a pipe, not a file")


def test_a_path_that_climbs_out_of_its_folder_is_refused(published: PartitionVersion) -> None:
    dataset = _dataset({"path": "${LANDING}/{partition}/../../evergreen.db"})
    _refused(published, ConfigError, "the source's path is", "climbs out of the folder before its first placeholder", dataset=dataset)


class Unwell(MemoryFileSystem):
    """A real filesystem for fsspec that misbehaves as the name of its folder says."""

    protocol = "unwell"
    store = {}
    pseudo_dirs = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.removeprefix("unwell:/")))

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        if "climbing" in path:
            return [{"name": f"{path}/2013-02-09/../../etc/passwd", "type": "file", "size": 1}]
        if "unlistable" in path:
            raise PermissionError(13, "Permission denied", path)
        return super().ls(path, detail, **options)

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode == "rb" and "forbidden" in path:
            raise PermissionError(13, "Permission denied", path)
        if mode == "rb" and "silent" in path:
            raise TimeoutError("timed out")
        file = super().open(path, mode, **options)
        return file if mode != "rb" or "half" not in path else DiesHalfway(file.read())


class DiesHalfway(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= len(self.getvalue()) // 2:
            raise OSError(5, "Input/output error")
        return super().read(min(size if size and size > 0 else 100, 100))


@pytest.fixture
def unwell() -> Iterator[None]:
    fsspec.register_implementation("unwell", Unwell, clobber=True)
    yield
    Unwell.store.clear()


@pytest.mark.usefixtures("unwell")
def test_a_name_that_a_server_makes_up_to_climb_out_of_its_folder_is_refused(published: PartitionVersion) -> None:
    words = "the source lists '/climbing/2013-02-09/../../etc/passwd', which leads out of its folder"
    _refused(published, DataError, words, dataset=_dataset({"path": "unwell://climbing/*"}, whole_table=True))


@pytest.mark.usefixtures("unwell")
@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("forbidden", "could not be read: .*Permission denied.*may this process read it"),
        ("silent", "could not be read: timed out.*Then try again"),
        ("half", "could not be read: .*Input/output error.*Then try again"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "csv.gz", "csv.zip", "parquet", "jsonl"])
def test_a_source_that_fails_or_dies_halfway_is_worth_a_retry(published: PartitionVersion, folder: str, words: str, form: str) -> None:
    many = HEADER + "".join(ROWS) * 100
    contents = {
        "csv": many.encode(),
        "csv.gz": gzip.compress(os.urandom(3000).hex().encode()),
        "csv.zip": zipped(("a.csv", os.urandom(3000).hex().encode())),
        "parquet": parquet(guest=pa.array([os.urandom(500).hex() for _ in range(4)])),
        "jsonl": (LINES * 100).encode(),
    }
    fsspec.filesystem("unwell").pipe(f"/{folder}/2013-02-09.{form}", contents[form])
    dataset = _dataset({"path": f"unwell://{folder}/{{partition}}.{form}", "format": form.partition(".")[0]})
    with pytest.raises(TransientError, match=f"^sales: .*{folder}/2013-02-09.{form} {words}"):
        ingestion.ingest(dataset, DAY, "live")
    _refused(published, TransientError, folder, dataset=dataset)


@pytest.mark.usefixtures("unwell")
def test_a_folder_that_may_not_be_listed_is_worth_a_retry(published: PartitionVersion) -> None:
    _refused(
        published, TransientError, "could not be read", "Permission denied", dataset=_dataset({"path": "unwell://unlistable/{partition}-*"})
    )


def test_a_file_that_is_still_being_written_is_worth_a_retry(published: PartitionVersion, landing: Path) -> None:
    (landing / "2013-02-09.csv").write_text(SOUND)
    delivery = ingestion.make_source(_dataset()).open(DAY)
    next(delivery.batches)
    with (landing / "2013-02-09.csv").open("a") as file:
        file.write(ROWS[0].replace("s0", "s9"))
    with pytest.raises(TransientError, match=f"^sales: {landing}/2013-02-09.csv was written to while it was read. Try again"):
        list(delivery.batches)


# --- runs and disks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["2013-02-09'; DROP TABLE partition_versions; --", "../2013-02-09", "2013-02-09/../..", "2013-2-9", "٢٠١٣-٠٢-٠٩"]
)
def test_a_partition_key_that_is_no_date_is_refused_before_anything_is_done(published: PartitionVersion, key: str) -> None:
    with _nothing_changes(published), pytest.raises(ConfigError) as refused:
        ingestion.ingest(_dataset(), DAILY.parse(key), "live")
    assert str(refused.value) == f"partition key {key!r} is not a date. Write it as YYYY-MM-DD, such as 2013-02-09."


def _mounted(folder: Path, size: int) -> bool:
    folder.mkdir(exist_ok=True)
    return (
        os.geteuid() == 0
        and subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False, capture_output=True).returncode
        == 0
    )


def test_a_disk_that_fills_is_worth_a_retry_and_keeps_what_it_had(landing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk of 2 MB where this machine lets us make one, else under a limit on the size of files."""
    disk = tmp_path / "disk"
    mounted = _mounted(disk, SMALL)
    monkeypatch.setenv("EVERGREEN_STORAGE", str(disk))
    (landing / "2013-02-09.csv").write_text(SOUND)
    try:
        published = ingestion.ingest(_dataset(), DAY, "live")[0]
        (landing / "2013-02-09.csv").write_text(HEADER + "".join(f"{os.urandom(30).hex()},1,1,,,\n" for _ in range(100_000)))
        with _nothing_changes(published):
            limit = "" if mounted else f"resource.setrlimit(resource.RLIMIT_FSIZE, ({SMALL}, {SMALL}))\n"
            said = run_code(
                "import datetime as dt, resource\n"
                "from include.evergreen.data import ingestion\n"
                "from include.evergreen.config.datasets import DatasetConfig\n"
                f"dataset = DatasetConfig.model_validate({DATASET})\n"
                f"{limit}"
                "try:\n"
                "    ingestion.ingest(dataset, '2013-02-09', 'live')\n"
                "except Exception as error:\n"
                "    print(type(error).__name__, error)"
            )
            assert said.startswith(f"TransientError {disk}/")
            assert "could not be written: " in said
            assert "No space left on device" in said or not mounted
            assert "Is there room" in said
    finally:
        if mounted:
            subprocess.run(["umount", "-l", disk], check=True)


def test_two_runs_that_write_one_partition_at_once_leave_one_whole_version(published: PartitionVersion, landing: Path) -> None:
    (landing / "2013-02-09.csv").write_text(HEADER + "".join(f"{os.urandom(8).hex()},{n},1,,,\n" for n in range(50_000)))
    go = landing / "go"
    code = (
        "import datetime as dt, pathlib, time\n"
        "from include.evergreen.data import ingestion\n"
        "from include.evergreen.config.datasets import DatasetConfig\n"
        f"dataset = DatasetConfig.model_validate({DATASET})\n"
        "print('ready', flush=True)\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.001)\n"
        "version, is_new = ingestion.ingest(dataset, '2013-02-09', 'live')\n"
        "print(version.version, version.digest, is_new)"
    )
    runs = [start_code(code) for _ in range(2)]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    go.touch()
    results = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], results
    current = current_partition("sales", DAY)
    assert current is not None
    assert sorted(output for output, _ in results) == [f"2 {current.digest} {is_new}\n" for is_new in (False, True)]
    assert len(rows_of(partition_versions)) == 2
    assert (current.version, current.rows, len(read_partition(current))) == (2, 50_000, 50_000)
    assert storage.unfinished_files() == []


# --- helpers --------------------------------------------------------------------------------------------------------


def _dataset(source: dict[str, Any] | None = None, **changes: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({**DATASET, "source": {**DATASET["source"], **(source or {})}, **changes})


def _refused(
    published: PartitionVersion, kind: type[EvergreenError], *words: str, dataset: DatasetConfig | None = None, raw_is_kept: bool = False
) -> str:
    """Ingesting raises this very error, which says all of this, and changes nothing; returns what it says."""
    with _nothing_changes(published, raw_is_kept=raw_is_kept), pytest.raises(EvergreenError) as refused:
        ingestion.ingest(dataset or _dataset(), DAY, "live")
    said = str(refused.value)
    assert type(refused.value) is kind, said
    for each in words:
        assert each in said
    assert len(said) < 2000
    return said


@contextlib.contextmanager
def _nothing_changes(published: PartitionVersion, *, raw_is_kept: bool = False) -> Iterator[None]:
    """The version stands as it did, to the last byte, and no other file is there; the raw rows of a stopped partition may be."""
    content, before = storage.read_bytes(published.path), _files()
    yield
    assert current_partition("sales", DAY) == published
    assert len(rows_of(partition_versions)) == 1
    assert storage.read_bytes(published.path) == content
    assert [file for file in _files() if file not in before and not (raw_is_kept and file.startswith("raw/"))] == []
    assert storage.unfinished_files() == []
    assert len(read_partition(published)) == 4


def _files() -> list[str]:
    root = Path(Settings.from_environment().storage)
    return sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())
