from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from include.evergreen.config.models import DatasetConfig
from include.evergreen.errors import ConfigError, DataError, TransientError
from include.evergreen.sources import source_of

DAY = dt.date(2013, 2, 9)
HEADER = "shop,count,amount,opened,open\n"
SOUND = HEADER + "north,3,1.5,2013-02-09T08:00:00Z,true\nsouth,-4,-2e3,2013-02-09 10:00:00+02:00,0\n"
DATASET = {
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


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LANDING", str(tmp_path))
    return tmp_path / "2013-02-09.csv"


def test_every_declared_column_comes_in_its_type_and_order(file: Path) -> None:
    frame = _read(file, SOUND)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "shop": "string", "count": "Int64", "amount": "float64", "opened": "datetime64[us, UTC]", "open": "boolean",
    }  # fmt: skip
    assert frame.iloc[1].to_dict() == {
        "shop": "south", "count": -4, "amount": -2000.0, "opened": pd.Timestamp("2013-02-09T08:00:00Z"), "open": False,
    }  # fmt: skip


def test_columns_are_found_by_name_and_others_are_left(file: Path) -> None:
    frame = _read(file, "extra,open,opened,amount,count,shop\nx,1,2013-02-09,1,2,north\n")
    assert frame[["shop", "count"]].iloc[0].tolist() == ["north", 2]


def test_missing_cells_stay_missing_and_other_words_stay_words(file: Path) -> None:
    frame = _read(file, HEADER + "NA,,NA,NA,\nnull,1,1,2013-02-09,1\nNaN,1,1,2013-02-09,1\n")
    assert frame.iloc[0].isna().all()
    assert frame["shop"].tolist()[1:] == ["null", "NaN"]


def test_integers_are_exact_beyond_what_a_float_holds(file: Path) -> None:
    assert _read(file, HEADER + "a,123456789012345678,1,2013-02-09,1\n")["count"][0] == 123456789012345678


@pytest.mark.parametrize(
    ("row", "column", "value", "kind"),
    [
        ("a,three,1,2013-02-09,1", "count", "three", "integer"),
        ("a,3.5,1,2013-02-09,1", "count", "3.5", "integer"),
        ("a,3,1 048,2013-02-09,1", "amount", "1 048", "number"),
        ("a,3,inf,2013-02-09,1", "amount", "inf", "number"),
        ("a,3,1e999,2013-02-09,1", "amount", "1e999", "number"),
        ("a,3,1,2013-02-30,1", "opened", "2013-02-30", "timestamp"),
        ("a,3,1,2013-02-09,maybe", "open", "maybe", "boolean"),
    ],
)
def test_garbage_is_named_by_file_line_column_and_value(file: Path, row: str, column: str, value: str, kind: str) -> None:
    text = f"{SOUND}\n{row}\n{row}\n"  # an empty line counts as a line
    with pytest.raises(DataError) as refused:
        _read(file, text)
    assert str(refused.value) == (
        f"{file}, line 5: {column} is {value!r}, which is not a valid {kind} (2 such cells in the file). Mend the file at its source."
    )


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(DataError, match=f"^sales: the source has no file {file}. Has the system that delivers it"):
        _source_read()


def test_missing_columns_are_named_beside_those_that_there_are(file: Path) -> None:
    with pytest.raises(DataError, match=f"^sales: {file} lacks the columns 'amount', 'open'; it has: shop, count, open"):
        _read(file, "shop,count,opened\na,1,2013-02-09\n")


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_file_is_not_an_empty_day(file: Path, text: str) -> None:
    with pytest.raises(DataError, match=f"sales: {file} "):
        _read(file, text)


def test_a_header_alone_is_a_day_without_rows(file: Path) -> None:
    frame = _read(file, HEADER)
    assert len(frame) == 0
    assert frame.dtypes.equals(_read(file, SOUND).dtypes)


def test_rows_with_more_cells_than_the_header_are_refused(file: Path) -> None:
    longer = "a,3,1,2013-02-09,1,surplus\n"
    for text in (HEADER + longer, SOUND + longer):
        with pytest.raises(DataError, match=f"sales: {file} cannot be read as CSV"):
            _read(file, text)


def test_text_in_another_encoding_is_refused(file: Path) -> None:
    file.write_bytes((HEADER + "Zürich,3,1,2013-02-09,1\n").encode("latin-1"))
    with pytest.raises(DataError, match="cannot be read as CSV"):
        _source_read()


def test_a_disk_that_fails_is_worth_a_retry(file: Path) -> None:
    file.mkdir()
    with pytest.raises(TransientError, match=f"sales: {file} could not be read"):
        _source_read()


def test_a_variable_that_is_not_set_is_the_settings_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANDING", raising=False)
    with pytest.raises(ConfigError, match=r"sales: source.path: .*environment variable LANDING is not set"):
        _source_read()


def _read(file: Path, text: str) -> pd.DataFrame:
    file.write_text(text)
    return _source_read()


def _source_read() -> pd.DataFrame:
    return source_of(DatasetConfig.model_validate(DATASET)).read(DAY)
