from __future__ import annotations

import datetime as dt
import gzip
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError

from include.evergreen import PROJECT_ROOT
from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.sources import FilesSource
from include.evergreen.data.partitions.files import arrow_schema
from include.evergreen.data.sources import Delivery, make_source
from include.evergreen.data.sources.formats import blocks, csv
from include.evergreen.foundation.errors import ConfigError, DataError
from tests.unit.flights import run_python

DAY = "2013-02-09"
HEADER = "shop,count,amount,opened,open\n"
NORTH = "north,3,1.5,2013-02-09T08:00:00Z,true\n"
SOUND = HEADER + NORTH + "south,-4,-2e3,2013-02-09 10:00:00+02:00,0\n"
DATASET: dict[str, Any] = {
    "name": "sales",
    "description": "Sales of a day.",
    "owner": "shop",
    "source": {"type": "files", "path": "${LANDING}/{partition}.csv"},
    "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
    "knowledge": {"hours_after_partition": 24},
    "columns": [
        {"name": "shop", "type": "string", "nullable": True, "description": "Which shop"},
        {"name": "count", "type": "integer", "description": "Sales"},
        {"name": "amount", "type": "number", "description": "Amount"},
        {"name": "opened", "type": "timestamp", "description": "When it opened"},
        {"name": "open", "type": "boolean", "description": "Whether it is open"},
    ],
}


@pytest.fixture(autouse=True)
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    monkeypatch.setenv("LANDING", str(folder))
    return folder


def test_every_declared_column_comes_in_its_type_and_order(landing: Path) -> None:
    (landing / "2013-02-09.csv").write_text(SOUND)
    table = _read()
    assert table.schema.equals(arrow_schema(_dataset()))
    assert {name: str(kind) for name, kind in table.to_pandas().dtypes.items()} == {
        "shop": "string", "count": "Int64", "amount": "float64", "opened": "datetime64[us, UTC]", "open": "boolean",
    }  # fmt: skip
    assert table.to_pylist()[1] == {
        "shop": "south", "count": -4, "amount": -2000.0, "opened": dt.datetime(2013, 2, 9, 8, tzinfo=dt.UTC), "open": False,
    }  # fmt: skip


def test_columns_are_found_by_name_and_others_are_left_and_named(landing: Path) -> None:
    (landing / "2013-02-09.csv").write_text("extra,open,opened,amount,count,shop,\nx,1,2013-02-09T00:00Z,1,2,north,y\n")
    delivery = _delivery()
    assert pa.Table.from_batches(delivery.batches).select(["shop", "count"]).to_pylist() == [{"shop": "north", "count": 2}]
    assert delivery.undeclared == ["extra", ""]
    assert delivery.places == [str(landing / "2013-02-09.csv")]


def test_missing_cells_stay_missing_and_other_words_stay_words(landing: Path) -> None:
    (landing / "2013-02-09.csv").write_text(HEADER + 'NA,, NA ,NA,\nnull,"NA",1,,1\n NaN ,1,1,,1\n')
    table = _read()
    assert table.slice(0, 1).to_pylist() == [dict.fromkeys(table.column_names)]
    assert table["shop"].to_pylist()[1:] == ["null", " NaN "]
    assert table["count"].to_pylist() == [None, None, 1]


@pytest.mark.parametrize("reader", ["arrow", "lexer"])
def test_a_quoted_word_is_text_even_where_the_bare_one_means_no_value(landing: Path, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if reader == "lexer":
        monkeypatch.setattr(csv, "_by_arrow", lambda *_: None)
    shops = ['"NA"', "NA", '"a ""NA"", b"', '"x\n""NA"",y"', '"NA, or not"', '""', "", '"NULL"', "NULL", '"NA"']
    (landing / "2013-02-09.csv").write_text(HEADER + "".join(NORTH.replace("north", shop) for shop in shops))
    expected = ["NA", None, 'a "NA", b', 'x\n"NA",y', "NA, or not", None, None, "NULL", None, "NA"]
    assert _read(missing_values=["", "NA", "NULL"])["shop"].to_pylist() == expected
    (landing / "2013-02-09.csv").write_text(HEADER + 'north,"NA","NULL","",NA\n')
    row = dict(_read(missing_values=["", "NA", "NULL"]).to_pylist()[0])
    assert row == {"shop": "north", "count": None, "amount": None, "opened": None, "open": None}, "no text of these types is lost"


def test_a_header_that_ends_in_a_delimiter_is_told_in_words(landing: Path) -> None:
    (landing / "2013-02-09.csv").write_text(HEADER.replace("\n", ",\n") + NORTH)
    with pytest.raises(DataError, match=r"has 5 cells, and the header has 6 \(.*, a column without a name\). Does the header end in a ','"):
        _read()


@pytest.mark.parametrize(
    "text",
    [
        SOUND.replace("\n", "\r\n"),
        SOUND.replace("\n", "\r"),
        SOUND.rstrip("\n"),
        "\n\n" + SOUND.replace("\n", "\n\n"),
        "\ufeff" + SOUND,
        SOUND.replace("north,3", '"north","3"').replace("shop", '"shop"'),
    ],
    ids=["windows", "old mac", "no last line end", "blank lines", "byte order mark", "quoted"],
)  # fmt: skip
def test_ways_of_writing_the_same_csv_read_the_same(landing: Path, text: str) -> None:
    file = landing / "2013-02-09.csv"
    file.write_text(SOUND)
    plain = _read()
    file.write_bytes(text.encode())
    assert _read().equals(plain)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig"])
def test_other_encodings_are_read_where_they_are_declared(landing: Path, encoding: str) -> None:
    (landing / "2013-02-09.csv").write_bytes(SOUND.replace("north", "Zürich").encode(encoding))
    assert _read(csv={"encoding": encoding})["shop"].to_pylist() == ["Zürich", "south"]


@pytest.mark.parametrize(
    "cell", ["a,b", "two\nlines", "two\r\nlines", 'a "word"', '"', '""', ",\n\r,", "\n", "6\" pipe, 5' wall", "x" * 1_000_000]
)
def test_quoted_cells_hold_anything(landing: Path, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    (landing / "2013-02-09.csv").write_bytes((HEADER + NORTH.replace("north", quoted) * 3 + NORTH).encode())
    assert _read()["shop"].to_pylist() == [cell] * 3 + ["north"]
    monkeypatch.setattr(blocks, "BLOCK_BYTES", max(7, len(cell) // 3))  # wherever blocks end
    assert _read()["shop"].to_pylist() == [cell] * 3 + ["north"]


@pytest.mark.parametrize(("cell", "read"), [('6" pipe', '6" pipe'), ('"6" pipe', "6 pipe"), ('a""b', 'a""b')])
def test_quotes_that_stand_within_a_cell_stand_for_themselves(landing: Path, cell: str, read: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (landing / "2013-02-09.csv").write_text(HEADER + NORTH.replace("north", cell) + NORTH)
    assert _read()["shop"].to_pylist() == [read, "north"]
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 11)
    assert _read()["shop"].to_pylist() == [read, "north"]


@pytest.mark.parametrize("border", [1, 2])
def test_a_windows_line_end_in_a_quoted_cell_stays_whole_wherever_arrows_shares_of_a_block_end(landing: Path, border: int) -> None:
    opening = border * csv.ARROW_BLOCK - 1 - len('"two')  # the carriage return is the last byte of a share
    rows = opening // len(NORTH) - 1
    filling = "x" * (opening - rows * len(NORTH) - len(NORTH) + len("north"))
    text = NORTH * rows + NORTH.replace("north", filling) + NORTH.replace("north", '"two\r\nlines"') + NORTH
    assert text.index("\r\n") == border * csv.ARROW_BLOCK - 1
    (landing / "2013-02-09.csv").write_bytes((HEADER + text).encode())
    assert _read()["shop"].to_pylist()[-2:] == ["two\r\nlines", "north"]


def test_a_header_alone_is_a_day_without_rows(landing: Path) -> None:
    (landing / "2013-02-09.csv").write_text(HEADER)
    assert _rows(_delivery()) == 0


def test_lines_are_counted_over_blank_lines_quoted_ones_and_blocks(landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = landing / "2013-02-09.csv"
    file.write_text(f"{SOUND}\n" + NORTH.replace("north", '"two\nlines"') * 2 + NORTH.replace("3", "three") * 2)
    words = (
        rf"^{file}, line 9: count is 'three', which is not a valid integer: it is no whole number "
        rf"\(2 such cells among the \d rows that were read together\)\. Allowed: a whole number such as 42"
    )
    with pytest.raises(DataError, match=words):
        _read()
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 120)
    with pytest.raises(DataError, match=rf"^{file}, line 9: count is 'three'"):
        _read()


# --- where files lie --------------------------------------------------------------------------------------------------


def test_several_files_are_read_in_the_order_of_their_names(landing: Path) -> None:
    for name, shop in {"2013-02-09-b": "b", "2013-02-09-a": "a", "2013-02-10-a": "other", ".2013-02-09-c": "hidden"}.items():
        (landing / f"{name}.csv").write_text(HEADER + NORTH.replace("north", shop))
    delivery = _delivery(path="${LANDING}/{partition}-*.csv")
    assert delivery.places == [str(landing / "2013-02-09-a.csv"), str(landing / "2013-02-09-b.csv")]
    assert pa.Table.from_batches(delivery.batches)["shop"].to_pylist() == ["a", "b"]


def test_stars_stand_for_folders_too_and_nothing_else_is_a_placeholder(landing: Path) -> None:
    for name in ("n[1]/2013-02-09/part.csv", "s/2013-02-09/part.csv", "s/2013-02-10/part.csv", "s/2013-02-09/deeper/part.csv"):
        (landing / name).parent.mkdir(parents=True, exist_ok=True)
        (landing / name).write_text(HEADER + NORTH)
    assert len(_delivery(path="${LANDING}/*/{partition}/*.csv").places) == 2
    assert len(_delivery(path="${LANDING}/*/{partition}/part.csv").places) == 2
    assert len(_delivery(path="${LANDING}/n[1]/{partition}/*t.csv").places) == 1


def test_an_error_names_the_one_of_several_files_that_is_bad(landing: Path) -> None:
    (landing / "2013-02-09-a.csv").write_text(SOUND)
    (landing / "2013-02-09-b.csv").write_text(SOUND.replace("-4", "four"))
    with pytest.raises(DataError, match=f"^{landing}/2013-02-09-b.csv, line 3: count is 'four'"):
        _read(path="${LANDING}/{partition}-*.csv")


def test_files_are_read_wherever_fsspec_reaches(landing: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/shop/2013-02-09-1.csv": SOUND.encode(), "/shop/2013-02-09-2.csv.gz": gzip.compress(SOUND.encode())})
    try:
        assert _read(path="memory://shop/{partition}-*").num_rows == 4
        assert _read(path="memory://shop/{partition}-1.csv").num_rows == 2
    finally:
        memory.rm("/shop", recursive=True)


def test_a_folder_may_be_reached_by_a_link(landing: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "2013-02-09.csv").write_text(SOUND)
    (landing / "link").symlink_to(elsewhere)
    (landing / "2013-02-09.csv").symlink_to(elsewhere / "2013-02-09.csv")
    assert _read(path="${LANDING}/link/{partition}.csv").num_rows == 2
    assert _read().num_rows == 2


@pytest.mark.parametrize(
    "path", ["${LANDING}/{partition}/../../secret.csv", "${LANDING}/*/../{partition}.csv", "${LANDING}/a{partition}/.."]
)
def test_a_path_that_climbs_out_of_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="^sales: the source's path is .* climbs out of the folder before its first placeholder; allowed"):
        _delivery(path=path)


def test_an_unknown_protocol_is_the_configurations_fault() -> None:
    with pytest.raises(ConfigError, match="sales: source.path is 'nowhere://{partition}', which fsspec cannot open"):
        _delivery(path="nowhere://{partition}")


def test_a_variable_that_is_not_set_is_the_settings_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANDING")
    with pytest.raises(ConfigError, match=r"sales: source.path: .*environment variable LANDING is not set"):
        _delivery()


# --- packed files and other formats ---------------------------------------------------------------------------------


def test_gzip_and_zip_are_unpacked_by_their_names_or_as_declared(landing: Path) -> None:
    (landing / "2013-02-09.csv.gz").write_bytes(gzip.compress(SOUND.encode()[:20]) + gzip.compress(SOUND.encode()[20:]))
    assert _read(path="${LANDING}/{partition}.csv.gz").num_rows == 2
    (landing / "2013-02-09.csv").write_bytes(gzip.compress(SOUND.encode()))
    assert _read(compression="gzip").num_rows == 2
    (landing / "2013-02-09.GZ").write_text(SOUND)
    assert _read(path="${LANDING}/{partition}.GZ", compression="none").num_rows == 2


def test_all_members_of_a_zip_are_read_by_name_but_for_what_zip_programs_add(landing: Path) -> None:
    with zipfile.ZipFile(landing / "2013-02-09.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("parts")
        archive.writestr("parts/b.csv", HEADER + NORTH.replace("north", "b"))
        archive.writestr("parts/a.csv", "extra," + HEADER + "1," + NORTH.replace("north", "a"))
        archive.writestr("__MACOSX/parts/._a.csv", b"\0\5\26\7")
        archive.writestr("parts/.DS_Store", b"\0\0\0\1")
    delivery = _delivery(path="${LANDING}/{partition}.zip")
    assert pa.Table.from_batches(delivery.batches)["shop"].to_pylist() == ["a", "b"]
    assert delivery.undeclared == ["extra"]


@pytest.mark.parametrize("packing", ["", ".gz", ".zip"])
def test_parquet_is_read_plain_and_packed(landing: Path, packing: str) -> None:
    (landing / "2013-02-09.csv").write_text(SOUND)
    table = _read(path="${LANDING}/{partition}.csv")
    other = table.set_column(1, "count", table["count"].cast(pa.int16())).append_column("extra", pa.array([[1], [2]]))
    pq.write_table(other.select(["open", "extra", "opened", "amount", "count", "shop"]), landing / "x.parquet")
    content = (landing / "x.parquet").read_bytes()
    file = landing / f"2013-02-09.parquet{packing}"
    if packing == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x.parquet", content)
    else:
        file.write_bytes(gzip.compress(content) if packing else content)
    delivery = _delivery(path=f"${{LANDING}}/{{partition}}.parquet{packing}", format="parquet")
    assert pa.Table.from_batches(delivery.batches).equals(table)
    assert delivery.undeclared == ["extra"]


@pytest.mark.parametrize(
    ("column", "written", "read"),
    [
        ("amount", "9007199254740994.0", 2.0**53 + 2),
        ("amount", "9.007199254740993e15", 2.0**53),
        ("amount", "0.1234567890123456789", 0.12345678901234568),
        ("amount", "9007199254740993.0", None),
        ("count", "9007199254740993.0", 2**53 + 1),
        ("count", "9.007199254740993e15", None),
    ],
)
def test_a_number_of_json_is_not_rounded_in_silence(landing: Path, column: str, written: str, read: float | None) -> None:
    record = {"shop": "x", "count": 1, "amount": 1.5, "opened": "2013-02-09T00:00Z", "open": True, column: "LARGE"}
    (landing / "2013-02-09.jsonl").write_text(json.dumps(record).replace('"LARGE"', written) + "\n")
    if read is not None:
        assert _read(path="${LANDING}/{partition}.jsonl", format="jsonl")[column].to_pylist() == [read]
        return
    with pytest.raises(DataError, match=rf"line 1: {column} is '[0-9.]+', .*(does not fit a 64-bit float|past what a float holds) exactly"):
        _read(path="${LANDING}/{partition}.jsonl", format="jsonl")


def test_json_lines_are_read_with_keys_in_any_order_and_keys_left_out(landing: Path) -> None:
    (landing / "2013-02-09.jsonl").write_text(
        '{"open": true, "opened": "2013-02-09T08:00:00Z", "amount": 1, "count": 3.0, "shop": "n\\u00e9"}\n'
        "\n"
        '{"count": "4", "amount": "2.5", "opened": "2013-02-09T08:00:00Z", "open": 0, "extra": {"deep": []}}\r\n'
    )
    delivery = _delivery(path="${LANDING}/{partition}.jsonl", format="jsonl")
    rows = pa.Table.from_batches(delivery.batches).to_pylist()
    assert [[*list(row.values())[:3], row["open"]] for row in rows] == [["né", 3, 1.0, True], [None, 4, 2.5, False]]
    assert delivery.undeclared == ["extra"]


def test_a_partition_without_lines_of_json_is_a_day_without_rows(landing: Path) -> None:
    (landing / "2013-02-09.jsonl").write_text("")
    assert _rows(_delivery(path="${LANDING}/{partition}.jsonl", format="jsonl")) == 0


# --- what may be declared -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        ({"delimiter": '"'}, "cannot separate cells"),
        ({"delimiter": "\n"}, "cannot separate cells"),
        ({"delimiter": "→"}, "cannot separate cells"),
        ({"encoding": "klingon"}, "Python knows no encoding 'klingon'"),
        ({"encoding": "rot13"}, "Python knows no encoding 'rot13'"),
    ],
)
def test_csv_that_cannot_be_is_refused_when_it_is_declared(csv: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        _dataset(csv=csv)


def test_the_guides_declaration_of_files_can_be_declared_and_lists_every_key() -> None:
    guide = (PROJECT_ROOT / "docs" / "guides" / "sources.md").read_text()
    declared = yaml.safe_load(re.search(r"## Files\n```yaml\n(.*?)```", guide, re.DOTALL)[1])["source"]  # type: ignore[index]
    assert declared.keys() == FilesSource.model_fields.keys()
    assert _dataset(**declared).source.path == declared["path"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " "])
def test_another_delimiter_is_taken_as_declared(landing: Path, delimiter: str) -> None:
    (landing / "2013-02-09.csv").write_text(HEADER.replace(",", delimiter) + NORTH.replace(",", delimiter))
    assert _read(csv={"delimiter": delimiter})["shop"].to_pylist() == ["north"]


def test_memory_does_not_grow_with_the_file(landing: Path) -> None:
    peaks = []
    for rows in (600_000, 3_000_000):
        (landing / "2013-02-09.csv").write_text(HEADER + NORTH * rows)  # 25 and 123 MB
        peaks.append(
            int(
                run_python(
                    "import datetime as dt, re\n"
                    "from include.evergreen.config.datasets import DatasetConfig\n"
                    "from include.evergreen.data.sources import make_source\n"
                    f"delivery = make_source(DatasetConfig.model_validate({DATASET})).open('2013-02-09')\n"
                    f"assert sum(batch.num_rows for batch in delivery.batches) == {rows}\n"
                    "print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)"
                )
            )
        )
    assert peaks[1] < peaks[0] + 50, "MB"


def _dataset(**source: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({**DATASET, "source": {**DATASET["source"], **source}})


def _delivery(**source: Any) -> Delivery:
    return make_source(_dataset(**source)).open(DAY)


def _read(**source: Any) -> pa.Table:
    return pa.Table.from_batches(_delivery(**source).batches).combine_chunks()


def _rows(delivery: Delivery) -> int:
    return sum(batch.num_rows for batch in delivery.batches)
