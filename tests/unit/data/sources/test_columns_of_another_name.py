"""A column may be declared under another name than the source's: of every kind of source, and in what is said about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
import yaml

from include.evergreen.config import DatasetConfig
from include.evergreen.config.loader import load_dataset
from include.evergreen.data.sources import Delivery, make_source
from include.evergreen.foundation.errors import ConfigError, DataError
from tests.servers import HttpServer

DAY = "2013-02-09"
COLUMNS = [
    {"name": "shop", "from": "place", "type": "string", "description": "Which shop"},
    {"name": "place", "from": "count", "type": "integer", "description": "Sales; under the source's name of another column"},
]
GIVEN = [{"place": "north", "count": 3, "note": "x"}, {"place": 'so"uth', "count": -4, "note": "x"}]
READ = [{"shop": "north", "place": 3}, {"shop": 'so"uth', "place": -4}]
KINDS = ("csv", "csv with a byte order mark", "jsonl", "parquet", "sql", "http")


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A source of each kind that gives `GIVEN`."""
    kind = request.param.split()[0]
    if kind == "sql":
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/warehouse.db"}))
        with sa.create_engine(f"sqlite:///{tmp_path}/warehouse.db").begin() as connection:
            connection.exec_driver_sql("CREATE TABLE sales (place text, count integer, note text)")
            for row in GIVEN:
                connection.execute(sa.text("INSERT INTO sales VALUES (:place, :count, :note)"), row)
        return {"type": "sql", "connection": "warehouse", "query": "SELECT * FROM sales WHERE :partition > ''"}
    if kind == "http":
        server: HttpServer = request.getfixturevalue("http_server")
        server.answers["/sales"] = lambda asked: asked.answer(200, json.dumps(GIVEN).encode())
        return {"type": "http", "url": f"{server.url}/sales", "params": {"day": "{partition}"}}
    file = tmp_path / f"{DAY}.{kind}"
    if kind == "csv":
        mark = "\ufeff" if request.param != kind else ""  # which our own reader takes, not Arrow's
        file.write_text(mark + 'place,count,note\nnorth,3,x\n"so""uth",-4,x\n')
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in GIVEN))
    else:
        pq.write_table(pa.Table.from_pylist(GIVEN), file)
    return {"type": "files", "path": str(tmp_path / "{partition}") + f".{kind}", "format": kind}


def test_rows_come_under_the_declared_names(source: dict[str, Any]) -> None:
    delivery = _open(source)
    assert [row for batch in delivery.batches for row in batch.to_pylist()] == READ
    assert delivery.undeclared == ["note"]


def test_a_column_that_the_source_lacks_is_named_as_it_and_as_dataset_yaml_call_it(source: dict[str, Any]) -> None:
    absent = [COLUMNS[0], {**COLUMNS[1], "from": "amount"}]
    with pytest.raises(DataError if source["type"] != "sql" else ConfigError, match=r"column 'amount' \(declared as 'place'\)"):
        list(_open(source, absent).batches)


def test_a_bad_cell_is_named_by_both_names(source: dict[str, Any]) -> None:
    wrong = [COLUMNS[0], {**COLUMNS[1], "from": "note"}]
    with pytest.raises(DataError, match=r"place \(from note\) is 'x', which is not a valid integer"):
        list(_open(source, wrong).batches)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([COLUMNS[0], {**COLUMNS[1], "from": "place"}], "taken twice from the source: place; each of its columns becomes one of ours"),
        ([{**COLUMNS[0], "from_": "x"}], "unknown key 'from_'; did you mean 'from'? allowed: name, from, type"),
        ([{**COLUMNS[0], "from": ""}], "columns[0].from: must have at least 1 character"),
    ],
)
def test_dataset_yaml_says_what_it_may(tmp_path: Path, columns: list[dict[str, Any]], words: str) -> None:
    file = tmp_path / "sales" / "dataset.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(_declared({"type": "files", "path": "{partition}.csv"}, columns)))
    with pytest.raises(ConfigError) as refused:
        load_dataset(file)
    assert words in str(refused.value)


def _declared(source: dict[str, Any], columns: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "sales",
        "description": "Sales of a day.",
        "owner": "shop",
        "source": source,
        "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
        "knowledge": {"hours_after_partition": 24},
        "columns": columns,
    }


def _open(source: dict[str, Any], columns: list[dict[str, Any]] = COLUMNS) -> Delivery:
    return make_source(DatasetConfig.model_validate(_declared(source, columns))).open(DAY)
