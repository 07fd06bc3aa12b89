"""The core's sources through Airflow's own connections, hooks and object storage, to real servers."""

import json
import traceback
from types import SimpleNamespace

import pytest

from evergreen_airflow.connections import AirflowConnections, use_airflow_connections
from evergreen_airflow.operators.ingestion import FetchPartitionOperator
from include.evergreen.config import DatasetConfig
from include.evergreen.data.sources import connections, make_source
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.state import storage
from tools.postgresql import PASSWORD

DAY = "2013-02-09"
YAML = """\
name: sales
description: Sales of a day.
owner: shop
source: {type: sql, connection: warehouse, query: "SELECT shop, count FROM sales WHERE day = :partition"}
schedule: {cron: "0 0 * * *", start: 2013-01-01}
knowledge: {hours_after_partition: 24}
columns:
  - {name: shop, type: string, description: Which shop}
  - {name: count, type: integer, description: Sales}
"""


@pytest.fixture(autouse=True)
def _through_airflow():
    before = connections.connections()
    use_airflow_connections()
    yield
    connections.use_connections(before)


@pytest.fixture
def warehouse(postgresql, monkeypatch):
    postgresql.new_database("warehouse")
    postgresql.execute("CREATE TABLE sales (shop text, count bigint, day date)", "warehouse")
    postgresql.execute("INSERT INTO sales VALUES ('north', 3, '2013-02-09'), ('south', 4, '2013-02-10')", "warehouse")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgresql.url("warehouse"))
    return postgresql


def test_a_query_runs_through_the_hook_of_the_connections_provider(warehouse):
    assert rows({"type": "sql", "connection": "warehouse", "query": "SELECT shop, count FROM sales WHERE day = :partition"}) == [
        {"shop": "north", "count": 3}
    ]


def test_a_query_through_a_hook_can_only_read_and_its_errors_hold_no_password(warehouse):
    for query in ("SELECT shop, count FROM sails WHERE day = :partition", f"SELECT '{PASSWORD}'::int AS n WHERE :partition IS NOT NULL"):
        with pytest.raises(Exception, match="sales: the query on connection 'warehouse'") as refused:
            rows({"type": "sql", "connection": "warehouse", "query": query})
        assert PASSWORD not in "".join(traceback.format_exception(refused.value))


def test_objects_come_through_object_storage_path_and_its_connection(s3, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection())
    s3.put("bucket", "2013-02-09-a.csv", b"shop,count\nnorth,3\n")
    source = {"type": "object_storage", "url": "s3://bucket/{partition}-*.csv", "connection": "aws_default"}
    assert rows(source) == [{"shop": "north", "count": 3}]
    s3.put("bucket", "2013-02-09-b.csv", b"shop,count\nsouth,4\n")
    assert len(rows(source)) == 2


def test_a_store_that_denies_access_names_the_connection(s3, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DENIED", s3.connection())
    s3.put("bucket", "2013-02-09.csv", b"shop,count\nnorth,3\n")
    s3.shut_out()
    with pytest.raises(ConfigError, match="connection 'aws_denied' may not read"):
        rows({"type": "object_storage", "url": "s3://bucket/{partition}.csv", "connection": "aws_denied"})


def test_an_http_connection_of_airflow_gives_address_and_credentials(http_server, monkeypatch):
    given = {"conn_type": "http", "host": http_server.url, "login": "evergreen", "password": PASSWORD, "extra": {"x-team": "fruit"}}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_API", json.dumps(given))
    http_server.answers["/sales"] = lambda request: request.answer(200, b'[{"shop":"north","count":3}]')
    assert rows({"type": "http", "url": "/sales", "params": {"day": "{partition}"}, "connection": "shop_api"}) == [
        {"shop": "north", "count": 3}
    ]
    headers = http_server.requests[0].headers
    assert headers["authorization"].startswith("Basic ") and headers["x-team"] == "fruit"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (None, "connection 'warehouse' is not set in Airflow. Add it"),
        ({"conn_type": "http", "host": "x"}, "connection 'warehouse' is of type 'http', which is no SQL database"),
        ({"conn_type": "teapot", "host": "x"}, "is of type 'teapot', for which no provider is installed"),
        ({"conn_type": "postgres", "extra": {"sqlalchemy_scheme": "a:b"}, "password": PASSWORD}, "gives no SQLAlchemy engine"),
    ],
)
def test_connections_of_no_use_are_named_with_what_to_do(monkeypatch, given, complaint):
    if given:
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(given))
    with pytest.raises((ConfigError, TransientError), match=complaint) as refused:
        AirflowConnections().engine("warehouse")
    assert isinstance(refused.value, ConfigError)
    assert PASSWORD not in "".join(traceback.format_exception(refused.value))


def test_the_operator_fetches_through_airflows_connections_and_returns_a_small_dict(warehouse, home, tmp_path, monkeypatch):
    connections.use_connections(connections.EnvironmentConnections())
    folder = tmp_path / "include" / "datasets" / "sales"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(YAML)
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "include"))
    run = SimpleNamespace(dag_id="sales.ingest", partition_key="2013-02-09", run_type="manual")
    fetched = FetchPartitionOperator(task_id="fetch", dataset="sales").execute({"dag_run": run, "params": {}})
    assert isinstance(connections.connections(), AirflowConnections)
    assert (fetched["partition"], fetched["rows"]) == ("2013-02-09", 1)
    assert storage.read_frame(fetched["path"])["shop"].tolist() == ["north"]


def test_a_partition_key_with_sql_in_it_reaches_no_database(warehouse, home):
    run = SimpleNamespace(dag_id="sales.ingest", partition_key="2013-02-09'; DROP TABLE sales; --", run_type="manual")
    with pytest.raises(ConfigError, match="is not a date"):
        FetchPartitionOperator(task_id="fetch", dataset="weather").execute({"dag_run": run, "params": {}})
    assert warehouse.execute("SELECT count(*) FROM sales", "warehouse") == [(2,)]


def rows(source):
    dataset = DatasetConfig.model_validate(
        {
            "name": "sales",
            "description": "Sales of a day.",
            "owner": "shop",
            "source": source,
            "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
            "knowledge": {"hours_after_partition": 24},
            "columns": [
                {"name": "shop", "type": "string", "description": "Which shop"},
                {"name": "count", "type": "integer", "description": "Sales"},
            ],
        }
    )
    return [row for batch in make_source(dataset).open(DAY).batches for row in batch.to_pylist()]
