from __future__ import annotations

import gzip
import io
import logging
import traceback
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from include.evergreen.config import DatasetConfig
from include.evergreen.data.sources import Delivery, make_source
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from tests.servers.s3 import KEY, S3, SECRET
from tools.ports import reserved_port

DAY = "2013-02-09"
CSV = b"shop,count\nnorth,3\n"
ROW = {"shop": "north", "count": 3}


@pytest.fixture(autouse=True)
def _connection(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection `aws_default` to a real server of S3, and no credentials of this machine's."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection())
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


def test_an_object_is_a_partition(s3: S3) -> None:
    s3.put("bucket", "sales/2013-02-09.csv", CSV)
    s3.put("bucket", "sales/2013-02-10.csv", b"shop,count\nsouth,4\n")
    delivery = opened()
    assert rows(delivery) == [ROW]
    assert delivery.places == ["s3://bucket/sales/2013-02-09.csv"]


def test_several_objects_are_a_partition_in_the_order_of_their_names(s3: S3) -> None:
    for number in (2, 10, 1):
        s3.put("bucket", f"sales/day=2013-02-09/part-{number:03}.csv", f"shop,count\na,{number}\n".encode())
    s3.put("bucket", "sales/day=2013-02-09/_SUCCESS", b"")
    s3.put("bucket", "sales/day=2013-02-10/part-001.csv", CSV)
    delivery = opened("s3://bucket/sales/day={partition}/part-*.csv")
    assert [row["count"] for row in rows(delivery)] == [1, 2, 10]
    assert len(delivery.places) == 3


def test_formats_and_compressions_are_those_of_files(s3: S3) -> None:
    parquet = io.BytesIO()
    pd.DataFrame([ROW]).to_parquet(parquet)
    s3.put("bucket", "2013-02-09.parquet", parquet.getvalue())
    s3.put("bucket", "2013-02-09.csv.gz", gzip.compress(b"shop;count\nnorth;3\n"))
    s3.put("bucket", "2013-02-09.jsonl", b'{"shop":"north","count":3}')
    assert rows(opened("s3://bucket/{partition}.parquet", format="parquet")) == [ROW]
    assert rows(opened("s3://bucket/{partition}.csv.gz", csv={"delimiter": ";"})) == [ROW]
    assert rows(opened("s3://bucket/{partition}.jsonl", format="jsonl")) == [ROW]


def test_a_bad_cell_is_named_by_object_line_column_and_value(s3: S3) -> None:
    s3.put("bucket", "sales/2013-02-09.csv", CSV + b"south,three\n")
    with pytest.raises(DataError, match="s3://bucket/sales/2013-02-09.csv, line 3: count is 'three', which is not a valid integer"):
        rows(opened())


def test_an_object_that_is_not_there_is_the_datas_fault(s3: S3) -> None:
    s3.put("bucket", "other", b"")
    with pytest.raises(DataError, match="the source has no file s3://bucket/sales/2013-02-09.csv. Has the system that delivers it"):
        rows(opened())
    with pytest.raises(DataError, match=r"no file s3://bucket/sales/2013-02-09/\*.csv"):
        rows(opened("s3://bucket/sales/{partition}/*.csv"))


@pytest.mark.parametrize("url", ["s3://no-such-bucket/sales/{partition}.csv", "s3://no-such-bucket/sales/{partition}/*.csv"])
def test_a_bucket_that_is_not_there_is_the_authors_fault(s3: S3, url: str) -> None:
    with pytest.raises(ConfigError, match="sales: there is no bucket s3://no-such-bucket for connection 'aws_default'"):
        rows(opened(url))


@pytest.mark.parametrize("url", ["s3://bucket/sales/{partition}.csv", "s3://bucket/sales/*{partition}.csv"])
def test_a_store_that_denies_access_names_the_connection_and_no_secret(s3: S3, url: str) -> None:
    s3.put("bucket", "sales/2013-02-09.csv", CSV)
    s3.shut_out()
    with pytest.raises(
        ConfigError, match="sales: connection 'aws_default' may not read s3://bucket/sales.*Look at its credentials"
    ) as refused:
        rows(opened(url))
    told = "".join(traceback.format_exception(refused.value))
    assert SECRET not in told and KEY not in str(refused.value)


def test_a_machine_without_credentials_of_its_own_is_told_to_name_a_connection(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    s3.put("bucket", "sales/2013-02-09.csv", CSV)
    s3.shut_out()
    with pytest.raises(ConfigError, match="this machine \\(no connection is named\\) may not read"):
        rows(opened(connection=None))


def test_a_store_that_is_not_there_is_worth_a_retry(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    with reserved_port() as port:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection(f"http://127.0.0.1:{port}"))
        with pytest.raises(TransientError, match="s3://bucket/sales/2013-02-09.csv was not given to connection 'aws_default'"):
            rows(opened())


def test_an_object_that_changes_while_it_is_read_is_worth_a_retry(s3: S3) -> None:
    """Half of one version and half of another would be rows that never were."""
    line = b"north,3\n"
    s3.put("bucket", "sales/2013-02-09.csv", b"shop,count\n" + line * 4_000_000)
    batches = opened().batches
    next(batches)
    s3.put("bucket", "sales/2013-02-09.csv", b"shop,count\n" + b"south,4\n" * 4_000_000)
    with pytest.raises(TransientError, match="s3://bucket/sales/2013-02-09.csv could not be read"):
        list(batches)


def test_a_new_object_is_seen_though_the_folder_was_listed_before(s3: S3) -> None:
    s3.put("bucket", "sales/2013-02-09-a.csv", CSV)
    assert len(rows(opened("s3://bucket/sales/{partition}-*.csv"))) == 1
    s3.put("bucket", "sales/2013-02-09-b.csv", CSV)
    assert len(rows(opened("s3://bucket/sales/{partition}-*.csv"))) == 2


@pytest.mark.parametrize("url", ["/landing/{partition}.csv", "file:///etc/{partition}", "https://example.org/{partition}", "s3:///x"])
def test_urls_of_no_object_store_are_refused_with_the_yaml(s3: S3, url: str) -> None:
    with pytest.raises(ValidationError, match="names no object store|is in no object store"):
        opened(url)


def test_a_connection_that_is_not_set_is_named_with_the_variable_that_sets_it(s3: S3) -> None:
    with pytest.raises(ConfigError, match="connection 'nobody' is not set.*AIRFLOW_CONN_NOBODY"):
        rows(opened(connection="nobody"))


def opened(url: str = "s3://bucket/sales/{partition}.csv", connection: str | None = "aws_default", **source: Any) -> Delivery:
    dataset = DatasetConfig.model_validate(
        {
            "name": "sales",
            "description": "Sales of a day.",
            "owner": "shop",
            "source": {"type": "object_storage", "url": url, "connection": connection, **source},
            "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
            "knowledge": {"hours_after_partition": 24},
            "columns": [
                {"name": "shop", "type": "string", "description": "Which shop"},
                {"name": "count", "type": "integer", "description": "Sales"},
            ],
        }
    )
    return make_source(dataset).open(DAY)


def rows(delivery: Delivery) -> list[dict[str, Any]]:
    return [row for batch in delivery.batches for row in batch.to_pylist()]
