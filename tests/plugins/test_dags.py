"""Every DAG that we ship: it parses, it serialises, and it says what a person needs to know."""

import datetime as dt
import shutil
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronPartitionTimetable

from evergreen_airflow.dags import dataset_dags, model_dags, platform_dags
from evergreen_airflow.dags.common import partition_schedule
from include.evergreen.config import Catalog
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.foundation.errors import ConfigError
from tools.embedded import ROOT

HEAVY = ("pandas", "numpy", "sklearn", "mlflow", "great_expectations", "evidently", "pyarrow")
STAGES = ("train", "score", "monitor", "retrain", "approve", "promote")


@pytest.fixture(scope="module")
def dags():
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return bag.dags


def expected_ids():
    catalog = Catalog()
    models = {f"{name}.{stage}" for name in catalog.model_names() for stage in STAGES}
    return (
        {f"{name}.ingest" for name in catalog.dataset_names()}
        | models
        | {"evergreen.rescore", "evergreen.maintenance", "evergreen.audit", "evergreen.pause"}
    )


def test_there_is_a_dag_for_each_stage_of_everything_declared(dags):
    assert set(dags) == expected_ids()


@pytest.mark.parametrize("dag_id", sorted(expected_ids()))
def test_each_dag_tells_people_what_it_does_and_has_owner_tags_and_limits(dags, dag_id):
    dag = dags[dag_id]
    assert dag.doc_md.startswith(f"# {dag_id}")
    assert "evergreen" in dag.tags
    assert dag.description
    for task in dag.tasks:
        assert task.owner != "airflow"
        assert task.retries >= 1
        assert task.retry_policy is not None
        assert task.execution_timeout is not None or task.task_id == "wait_for_trigger"
    for param in dag.params.values() if dag.params else []:
        assert param


@pytest.mark.parametrize("dag_id", sorted(expected_ids()))
def test_each_field_of_a_form_has_a_title_and_a_description(dags, dag_id):
    for name in dags[dag_id].params:
        param = dags[dag_id].params.get_param(name)
        assert param.schema.get("title"), name
        assert param.description, name


@pytest.mark.parametrize("dag_id", sorted(expected_ids()))
def test_each_dag_survives_serialisation(dags, dag_id):
    from airflow.serialization.serialized_objects import DagSerialization

    again = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
    assert {task.task_id for task in again.tasks} == {task.task_id for task in dags[dag_id].tasks}


RUNS = [  # a cron expression, a grain and a time zone, and a partition that has a run
    ("10 * * * *", "hour", "UTC", "2013-03-10T0500Z"),
    ("*/30 * * * *", "30min", "UTC", "2013-03-10T0530Z"),
    ("0 2 * * *", "day", "UTC", "2013-03-10"),
    ("0 2 * * *", "day", "America/New_York", "2013-11-03"),
    ("30 23 * * 1-5", "day", "Asia/Kolkata", "2013-03-08"),
    ("0 6 * * 1", "week", "UTC", "2013-03-11"),
    ("0 6 3 * *", "month", "UTC", "2013-03-01"),
    ("0 6 1 1,4,7,10 *", "quarter", "UTC", "2013-04-01"),
    ("0 6 * * 0", "week from Sunday", "America/New_York", "2013-03-10"),
    ("20 */6 * * *", "6 hours", "UTC", "2013-03-10T0600Z"),
    ("20 */6 * * *", "6 hours", "America/New_York", "2013-03-10T0600"),
    ("20 */6 * * *", "6 hours", "America/New_York", "2013-11-03T0600"),
    ("30 6,18 * * *", "0 6,18 * * *", "Europe/Berlin", "2013-03-30T1800"),
    ("15 6,18 * * *", "15 6,18 * * *", "Europe/London", "2013-10-27T0615"),
    ("0 0 1,16 * *", "0 0 1,16 * *", "America/New_York", "2013-03-16"),
    ("30 6 * * 1-5", "0 6 * * 1-5", "Asia/Kathmandu", "2013-03-08T0600"),
]


@pytest.mark.parametrize("offset", [-2, -1, 0, 1])
@pytest.mark.parametrize(("cron", "unit", "timezone", "partition"), RUNS)
def test_airflow_gives_the_run_of_a_partition_its_key(cron, unit, timezone, partition, offset):
    schedule = PartitionSchedule(cron=cron, run_offset=offset, start="2013-01-01", grain=unit, timezone=timezone)
    declared = partition_schedule(schedule, schedule.partition_grain)["schedule"]
    airflow = CronPartitionTimetable(cron, timezone=timezone, run_offset=declared.run_offset, key_format=declared.key_format)
    run_date = airflow._align_to_next(pendulum.instance(schedule.run_at(partition)))
    assert run_date == schedule.run_at(partition), "it is a time of the expression"
    assert airflow._get_partition_info(run_date)[1] == partition


@pytest.mark.parametrize("offset", [-2, -1, 0, 1])
@pytest.mark.parametrize(("cron", "unit", "timezone", "partition"), RUNS)
def test_a_schedule_that_ends_makes_its_last_partition_and_none_after_it(cron, unit, timezone, partition, offset):
    grain = PartitionSchedule(cron=cron, start="2012-01-01", grain=unit, timezone=timezone).partition_grain
    end = grain.start(partition).astimezone(ZoneInfo(timezone)).date()
    schedule = PartitionSchedule(cron=cron, run_offset=offset, start="2012-01-01", end=end, grain=unit, timezone=timezone)
    last = schedule.partitions(schedule.first, schedule.last)[-1]
    assert last == max(key for key in grain.between(partition, grain.shift(partition, 100)) if key <= grain.of_dates(end, end)[1])
    arguments = partition_schedule(schedule, grain)
    airflow = CronPartitionTimetable(cron, timezone=timezone, run_offset=offset, key_format=grain.key_format)
    restriction = TimeRestriction(earliest=pendulum.instance(schedule.run_at(last)), latest=arguments["end_date"], catchup=True)
    run = airflow.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    assert run.partition_key == last
    assert airflow.next_dagrun_info_v2(last_dagrun_info=run, restriction=restriction) is None


OVER_CHANGES = [  # a cron expression, a grain and a time zone, and two dates by its clock between which that is put forward or set back
    ("10 */3 * * *", "3 hours", "America/New_York", "2013-03-09", "2013-03-12"),
    ("0 */6 * * *", "6 hours", "Australia/Lord_Howe", "2013-10-05", "2013-10-08"),
    ("30 6,18 * * *", "0 6,18 * * *", "Europe/Berlin", "2013-10-26", "2013-10-29"),
    ("15 1,13 * * *", "15 1,13 * * *", "America/New_York", "2013-11-02", "2013-11-05"),
    ("0 0 * * 0", "week from Sunday", "Europe/London", "2013-03-24", "2013-04-14"),
    ("0 7 1,16 * *", "0 0 1,16 * *", "America/New_York", "2013-02-10", "2013-04-02"),
]


@pytest.mark.parametrize(("cron", "unit", "timezone", "first", "last"), OVER_CHANGES)
def test_a_backfill_by_two_dates_makes_each_partition_of_them(cron, unit, timezone, first, last):
    schedule = PartitionSchedule(cron=cron, run_offset=-1, start="2013-01-01", grain=unit, timezone=timezone)
    grain = schedule.partition_grain
    airflow = CronPartitionTimetable(cron, timezone=timezone, run_offset=-1, key_format=grain.key_format)
    begin, end = pendulum.parse(first), pendulum.parse(last).subtract(minutes=1)
    made = [info.partition_key for info in airflow.iter_partition_dagrun_infos(earliest=begin, latest=end)]
    keys = grain.between(*grain.of_dates(begin.date(), end.date()))
    assert made == [key for key in keys if key >= first]
    for key in made:  # which is dated by the hour, and at the second of two that the clock shows alike
        assert abs(airflow._decode_partition_date(key).astimezone(pendulum.UTC) - grain.start(key)) <= dt.timedelta(hours=1)


PARSE = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("models_file", {str(ROOT / "dags" / "models.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(sorted(name for name in vars(module) if "." in name))
print([name for name in {HEAVY} if name in sys.modules])
"""


@pytest.fixture
def parse_for(forked_airflow):
    """The DAG ids that a parse gives for one task, in a process of its own, and the heavy modules that it imported."""

    def parse_for(dag_id, include=None):
        environment = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id, "EVERGREEN_INCLUDE": include and str(include)}
        names, heavy = forked_airflow.run(PARSE, **{name: value for name, value in environment.items() if value}).splitlines()[-2:]
        return eval(names), eval(heavy)

    return parse_for


def test_a_task_s_parse_builds_the_one_dag_that_it_needs(parse_for):
    assert parse_for("air_time.score")[0] == ["air_time.score"]


def test_a_dag_parse_imports_nothing_heavy(parse_for):
    assert parse_for(None)[1] == []


def test_one_bad_yaml_fails_its_own_dags_alone_and_is_seen(parse_for, tmp_path):
    for kind in ("datasets", "models"):
        shutil.copytree(ROOT / "include" / kind, tmp_path / kind)
    path = tmp_path / "models" / "air_time" / "model.yaml"
    path.write_text(path.read_text().replace("holdout:", "holdoutz:"))
    names, _ = parse_for(None, include=tmp_path)
    assert names == ["air_time.invalid_model", *sorted(f"flight_delay.{stage}" for stage in STAGES)]


@pytest.fixture
def partly_broken(tmp_path, monkeypatch):
    """The shipped declarations, of which one dataset's and one model's are wrong."""
    for kind in ("datasets", "models"):
        shutil.copytree(ROOT / "include" / kind, tmp_path / kind)
    for path in (tmp_path / "models/air_time/model.yaml", tmp_path / "datasets/weather/dataset.yaml"):
        path.write_text(f"ownr: nobody\n{path.read_text()}")
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path))


@pytest.mark.parametrize("built", [dataset_dags, model_dags, platform_dags])
def test_a_task_finds_each_dag_that_the_full_parse_makes(built, partly_broken, monkeypatch):
    whole = {dag.dag_id: dag for dag in built()}
    for dag_id, dag in whole.items():
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        (again,) = built()
        assert (again.dag_id, again.task_ids, again.doc_md) == (dag_id, dag.task_ids, dag.doc_md)


@pytest.mark.parametrize(
    "dag_id", ["flight_delay.invalid_model", "air_time.invalid_dataset", "weather.invalid_model", "evergreen.invalid_model", "evergreen.x"]
)
def test_a_task_s_parse_makes_no_dag_that_the_full_parse_does_not(dag_id, partly_broken, monkeypatch):
    whole = {dag.dag_id for built in (dataset_dags, model_dags, platform_dags) for dag in built()}
    assert dag_id not in whole
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
    assert [dag.dag_id for built in (dataset_dags, model_dags, platform_dags) for dag in built()] == []


@pytest.mark.parametrize(("built", "dag_id"), [(model_dags, "air_time.train"), (dataset_dags, "weather.ingest")])
def test_a_task_that_began_before_its_yaml_broke_finds_in_its_log_what_is_wrong(built, dag_id, partly_broken, monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
    with pytest.raises(ConfigError, match="ownr"):  # which Airflow writes beside "DAG not found"
        list(built())


def test_a_dataset_and_a_model_of_one_name_that_are_both_broken_are_two_dags(partly_broken, tmp_path, monkeypatch):
    (tmp_path / "datasets/weather").rename(tmp_path / "datasets/air_time")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "air_time.invalid_dataset")
    assert [[dag.dag_display_name for dag in built()] for built in (dataset_dags, model_dags)] == [["air_time: invalid dataset.yaml"], []]
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "air_time.invalid_model")
    assert [[dag.dag_display_name for dag in built()] for built in (dataset_dags, model_dags)] == [[], ["air_time: invalid model.yaml"]]


def test_the_task_of_a_broken_declaration_tells_what_is_wrong_with_it(partly_broken, monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "air_time.invalid_model")
    (dag,) = model_dags()
    with pytest.raises(ConfigError, match="ownr"):
        dag.get_task("show_config_error").execute({})
