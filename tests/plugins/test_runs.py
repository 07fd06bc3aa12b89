from types import SimpleNamespace

import pytest

from evergreen_airflow.runs import ingestion_origin, resolve_as_of, resolve_partition
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY
from tools.embedded import ROOT


@pytest.fixture(scope="module")
def dags():
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return bag.dags


def context(partition_key=None, run_type="manual", **params):
    from airflow.sdk.api.datamodels._generated import DagRunType

    run = SimpleNamespace(dag_id="weather.ingest", partition_key=partition_key, run_type=DagRunType(run_type), triggering_user_name=None)
    return {"dag_run": run, "params": params}


@pytest.mark.parametrize(("parameter", "resolve"), [("partition", resolve_partition), ("as_of", resolve_as_of)])
def test_a_run_is_about_one_day_so_the_parameter_and_the_partition_key_must_agree(parameter, resolve):
    assert str(resolve(context("2013-02-09", **{parameter: "2013-02-09"}), DAILY)) == "2013-02-09"
    assert str(resolve(context(**{parameter: "2013-02-10"}), DAILY)) == "2013-02-10"
    with pytest.raises(ConfigError) as refused:
        resolve(context("2013-02-09", **{parameter: "2013-02-10"}), DAILY)
    assert str(refused.value) == (
        f"This run of weather.ingest has the partition key 2013-02-09 and the parameter {parameter!r} 2013-02-10: one run is about "
        f"one day, so nothing was done. Trigger it again with the day as partition key, and without {parameter}."
    )


@pytest.mark.parametrize("day", ["junk", "2013-02-30", 20130209, True])
def test_a_mangled_parameter_is_refused_beside_a_good_key(day):
    with pytest.raises(ConfigError, match="The parameter partition .* is not a date"):
        resolve_partition(context("2013-02-09", partition=day), DAILY)


def test_the_first_task_of_each_dag_refuses_it_before_any_effect(dags, home):
    first = {"weather.ingest": "partition", "air_time.score": "partition", "air_time.monitor": "partition", "air_time.train": "as_of"}
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    for dag_id, parameter in first.items():
        task = dags[dag_id].roots[0]
        with pytest.raises(ConfigError, match="so nothing was done"):
            task.execute(context("2013-02-09", **{parameter: "2013-02-10"}))
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_no_form_offers_what_the_partition_key_says(dags):
    """Nor does a backfill's, which shows the same fields: a day in it would make each run ingest that one."""
    for dag_id, dag in dags.items():
        has_key = "Partition" in type(dag.timetable).__name__
        assert not has_key or not {"partition", "as_of"} & set(dag.params), dag_id


def test_a_training_offers_its_as_of_where_no_schedule_gives_the_run_a_key():
    from evergreen_airflow.dags.model import train_dag
    from include.evergreen.config import Catalog
    from include.evergreen.config.schedule import PartitionSchedule

    model = Catalog().model("air_time")
    schedule = PartitionSchedule(cron="0 5 * * *", start="2013-01-01")
    scheduled = model.model_copy(update={"train": model.train.model_copy(update={"schedule": schedule})})
    unscheduled = model.model_copy(update={"train": model.train.model_copy(update={"schedule": None})})
    assert ("as_of" in train_dag(unscheduled).params, "as_of" in train_dag(scheduled).params) == (True, False)
    assert "*As of*" in train_dag(unscheduled).doc_md
    assert "*As of*" not in train_dag(scheduled).doc_md


def test_the_partition_key_serves_when_no_parameter_is_given():
    assert str(resolve_partition(context("2013-02-09", partition=None), DAILY)) == "2013-02-09"


def test_a_run_without_either_is_refused_and_says_what_to_do():
    with pytest.raises(ConfigError, match="neither a partition key nor the parameter 'partition'"):
        resolve_partition(context(), DAILY)


@pytest.mark.parametrize("key", ["junk", "2013-1-9", "2013-02-30", "2013-02-09T00:00:00", " 2013-02-09"])
def test_a_mangled_key_is_refused(key):
    with pytest.raises(ConfigError, match="is not a date"):
        resolve_partition(context(key), DAILY)


@pytest.mark.parametrize(("run_type", "origin"), [("backfill", "backfill"), ("manual", "live"), ("scheduled", "live")])
def test_ingestion_tells_live_from_backfill_by_its_own_run_type(run_type, origin):
    assert ingestion_origin(context(run_type=run_type)) == origin
