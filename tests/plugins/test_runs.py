from types import SimpleNamespace

import pytest

from evergreen_airflow.runs import ingestion_origin, resolve_as_of, resolve_partition
from include.evergreen.foundation.errors import ConfigError


def context(partition_key=None, run_type="manual", **params):
    from airflow.sdk.api.datamodels._generated import DagRunType

    run = SimpleNamespace(dag_id="weather.ingest", partition_key=partition_key, run_type=DagRunType(run_type), triggering_user_name=None)
    return {"dag_run": run, "params": params}


def test_the_parameter_comes_before_the_partition_key():
    assert str(resolve_partition(context("2013-02-09", partition="2013-02-10"))) == "2013-02-10"
    assert str(resolve_as_of(context("2013-02-09", as_of="2013-02-11"))) == "2013-02-11"


def test_the_partition_key_serves_when_no_parameter_is_given():
    assert str(resolve_partition(context("2013-02-09", partition=None))) == "2013-02-09"


def test_a_run_without_either_is_refused_and_says_what_to_do():
    with pytest.raises(ConfigError, match="neither a partition key nor the parameter 'partition'"):
        resolve_partition(context())


@pytest.mark.parametrize("key", ["junk", "2013-1-9", "2013-02-30", "2013-02-09T00:00:00", " 2013-02-09"])
def test_a_mangled_key_is_refused(key):
    with pytest.raises(ConfigError, match="is not a date"):
        resolve_partition(context(key))


@pytest.mark.parametrize(("run_type", "origin"), [("backfill", "backfill"), ("manual", "live"), ("scheduled", "live")])
def test_ingestion_tells_live_from_backfill_by_its_own_run_type(run_type, origin):
    assert ingestion_origin(context(run_type=run_type)) == origin
