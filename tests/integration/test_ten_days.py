"""Ten days through the real scheduler: a backfill, a training, live nights, and all of it again."""

import csv
import datetime as dt
import json
import urllib.error
import urllib.request

import psutil
import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog
from include.evergreen.data.partitions import current_partition, current_partitions
from include.evergreen.foundation import clock
from include.evergreen.monitoring import list_observations
from include.evergreen.operations.diagnose import why
from include.evergreen.registry.champions import champion, champion_for
from include.evergreen.registry.versions import list_versions
from include.evergreen.scoring.predictions import find_predictions, list_predictions
from include.evergreen.state import ledger
from include.evergreen.state.access import ON_CALL
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import metadata
from include.evergreen.state.stage_status import find_stage
from tests import bound_rows
from tests.integration.airflow_under_test import BACKFILLED, DATASETS, HISTORY, MODELS, NIGHTS, TRAINED_AS_OF

TIMESTAMPS = {"recorded_at", "delivered_at", "since", "promoted_at"}
AGAIN = {"schedules": NIGHTS[0], "weather": HISTORY[-1], "outcomes": HISTORY[-1]}  # all that a live night read: a day of the backfill, too


def test_every_row_of_every_source_file_is_accepted_or_quarantined(ten_days):
    for dataset in DATASETS:
        for version in current_partitions(dataset):
            with (ten_days.home / "landing" / dataset / f"{version.partition}.csv").open() as file:
                rows_at_source = sum(1 for _ in csv.reader(file)) - 1
            assert version.rows + version.quarantined == version.source_rows == rows_at_source


def test_a_backfill_of_ingestion_makes_one_partition_a_day_with_origin_backfill(ten_days):
    for dataset in DATASETS:
        found = [each for each in current_partitions(dataset) if each.partition in BACKFILLED]
        assert [each.partition for each in found] == BACKFILLED
        assert {each.origin for each in found} == {"backfill"}
        assert {each.version for each in found} == {1}


def test_days_before_there_was_a_champion_start_no_task_and_say_why(ten_days):
    for model in MODELS:
        for day in HISTORY:
            assert (find_stage(model, "score", day), find_stage(model, "monitor", day)) == (None, None)
        lines = why(Catalog(), Catalog().model(model), HISTORY[1])
        assert f"The score stage has not run: no champion with an as_of up to {HISTORY[1]}." in lines
        assert {each.partition for each in list_predictions(model, HISTORY[0], NIGHTS[-1])} == set(NIGHTS)


def test_each_night_is_scored_by_one_task_and_monitored_by_one_and_by_one_more_for_its_labels(ten_days):
    scorings = [(f"{model}.score", str(night), "success") for model in MODELS for night in NIGHTS]
    monitorings = [(f"{model}.monitor", str(night), "success") for model in MODELS for night in NIGHTS + NIGHTS[:-1]]
    assert ten_days.serving_tasks == sorted(scorings + monitorings)


def test_live_nights_are_scored_and_monitored_once_each_with_origin_live(ten_days):
    for model in MODELS:
        for night in NIGHTS:
            predictions = find_predictions(model, night)
            assert predictions.rows == current_partition("schedules", night).rows
            assert (predictions.version, predictions.origin) == (1, "live")
        observed = list_observations(model, last=NIGHTS[-1])
        assert {each.partition for each in observed} == set(NIGHTS)
        assert len({(each.partition, each.metric) for each in observed}) == len(observed)
        metric = {"flight_delay": "performance.auc", "air_time": "performance.mae"}[model]
        assert [each.partition for each in list_observations(model, metric, last=NIGHTS[-1])] == NIGHTS[:-1]  # the labels arrive a day late


def test_a_person_who_scores_a_day_that_is_not_complete_is_told_what_it_waits_for(ten_days):
    run = ten_days.run("flight_delay.score", partition_key="2013-01-17")
    assert ten_days.api.task_instances("flight_delay.score", run["dag_run_id"])[0]["state"] == "skipped"
    log = ten_days.api.task_log("flight_delay.score", run["dag_run_id"], "score")
    assert any("Skipped: waiting for schedules/2013-01-17, weather/2013-01-16, outcomes/2013-01-16" in line for line in log)


def test_airflow_listens_on_loopback_alone(ten_days):
    ours = psutil.Process().children(recursive=True)
    sockets = [each for process in ours for each in process.net_connections(kind="inet") if each.status == psutil.CONN_LISTEN]
    assert ten_days.airflow.port in {each.laddr.port for each in sockets}
    assert {each.laddr.ip for each in sockets} == {"127.0.0.1"}


def test_a_page_that_resolves_its_own_name_to_this_machine_gets_no_token(running):
    rebound = urllib.request.Request(f"{running.airflow.url}/auth/token", headers={"Host": f"evil.example:{running.airflow.port}"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(rebound, timeout=30)


@pytest.fixture
def armed(ten_days):
    """The retraining sensors of all models, switched on, and off again without a trace."""
    for model in MODELS:
        ten_days.api.pause(f"{model}.retrain", paused=False)
    ten_days.settle(lambda: len(ten_days.api.task_instances("~", state="deferred")) == len(MODELS))
    yield
    for model in MODELS:
        ten_days.api.pause(f"{model}.retrain", paused=True)
        (run,) = ten_days.api.runs(f"{model}.retrain")
        ten_days.api.patch(f"dags/{model}.retrain/dagRuns/{run['dag_run_id']}", {"state": "success"})
        ten_days.api.delete(f"dags/{model}.retrain/dagRuns/{run['dag_run_id']}")


def test_the_retraining_sensor_waits_for_a_trigger_and_uses_no_worker(ten_days, armed):
    for model in MODELS:
        waiting = ten_days.api.task_instances(f"{model}.retrain", state="deferred")
        assert [task["task_id"] for task in waiting] == ["wait_for_trigger"]


def test_doing_all_of_it_again_duplicates_nothing_and_starts_no_task_that_has_nothing_to_do(ten_days):
    before, failed_before, tasks_before = everything_recorded(), ten_days.failures(), ten_days.tasks_of("score", "monitor")
    backfills = [ten_days.api.backfill(f"{dataset}.ingest", str(day), str(day), reprocess="completed") for dataset, day in AGAIN.items()]
    ten_days.settle(lambda: all(map(ten_days.is_done, backfills)))
    ten_days.run("flight_delay.train", conf={"as_of": str(TRAINED_AS_OF)})
    assert everything_recorded() == before
    assert ten_days.failures() == failed_before
    assert ten_days.tasks_of("score", "monitor") == tasks_before


def test_a_corrected_day_of_weather_alone_scores_the_day_that_read_it_again(ten_days):
    corrected, (read_it, after_it) = HISTORY[-1], NIGHTS
    file = ten_days.home / "landing" / "weather" / f"{corrected}.csv"
    original = file.read_text()
    before = {day: find_predictions("flight_delay", day) for day in NIGHTS}
    rows = list(csv.DictReader(original.splitlines()))
    for row in rows:
        row["visib"] = "1"
    with file.open("w") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    ten_days.run("weather.ingest", partition_key=str(corrected))
    after = {day: find_predictions("flight_delay", day) for day in NIGHTS}
    assert current_partition("weather", corrected).version == 2
    assert after[read_it].digest != before[read_it].digest
    assert after[after_it] == before[after_it]
    assert len(list_predictions("flight_delay", last=NIGHTS[-1])) == len(NIGHTS)


WITHOUT_A_DAY = ("weather.ingest", "flight_delay.score", "flight_delay.monitor", "flight_delay.train")
MANGLED = ("junk; drop table", "2013-1-9", "2013-02-30", "../../etc/passwd")


@pytest.fixture(scope="module")
def wrong_runs(ten_days):
    """What was recorded before and after manual runs that are refused, and they: by DAG those without a day, and by key the others."""
    before = everything_recorded()
    started = {dag_id: (dag_id, ten_days.api.trigger(dag_id)) for dag_id in WITHOUT_A_DAY}
    started |= {key: ("flight_delay.score", ten_days.api.trigger("flight_delay.score", partition_key=key)) for key in MANGLED}
    ten_days.settle()
    runs = {
        name: next(run for run in ten_days.api.runs(dag_id) if run["dag_run_id"] == run_id) for name, (dag_id, run_id) in started.items()
    }
    return before, everything_recorded(), runs


@pytest.mark.parametrize("dag_id", WITHOUT_A_DAY)
def test_a_manual_run_without_a_day_is_refused_before_any_side_effect(ten_days, wrong_runs, dag_id):
    before, after, runs = wrong_runs
    run = runs[dag_id]
    assert run["state"] == "failed"
    first = ten_days.api.task_instances(dag_id, run["dag_run_id"], state="failed")[0]
    assert first["try_number"] == 1, "a wrong parameter is not worth a retry"
    failure = ten_days.failure(run)
    assert "neither a partition key nor the parameter" in failure.why
    assert after == before


@pytest.mark.parametrize("key", MANGLED)
def test_a_mangled_partition_key_is_refused_before_any_side_effect(ten_days, wrong_runs, key):
    before, after, runs = wrong_runs
    assert runs[key]["state"] == "failed"
    failure = ten_days.failure(runs[key])
    assert "is not a date. Write it as YYYY-MM-DD" in failure.why
    assert after == before


def test_a_missing_landing_file_fails_at_once_names_the_file_and_leaves_nothing_half_written(ten_days):
    before = everything_recorded()
    missing = ten_days.home / "landing" / "weather" / "2013-03-01.csv"
    missing.rename(missing.with_suffix(".away"))
    run = ten_days.run("weather.ingest", partition_key="2013-03-01")
    failure = ten_days.failure(run)
    assert (failure.task_id, run["state"]) == ("fetch", "failed")
    assert str(missing) in failure.why
    assert everything_recorded() == before


def test_a_stopped_partition_keeps_its_validation_result_for_the_people_who_ask(ten_days):
    file = ten_days.home / "landing" / "weather" / "2013-03-02.csv"
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *rows[:5]]) + "\n")
    run = ten_days.run("weather.ingest", partition_key="2013-03-02")
    failure = ten_days.failure(run)
    assert "weather 2013-03-02 is stopped: expect_table_row_count_to_be_between" in failure.why
    links = ten_days.api.get(f"dags/weather.ingest/dagRuns/{run['dag_run_id']}/taskInstances/validate/links")["extra_links"]
    assert "evergreen/dags/weather.ingest/validations/2013-03-02" in (links["Validation result"] or "")
    assert current_partition("weather", "2013-03-02") is None


def test_the_rescore_form_scores_a_range_again_without_ingesting(ten_days):
    ingestions = len(ten_days.api.runs("weather.ingest"))
    conf = {"model": "air_time", "first": "2013-01-09", "last": "2013-01-10", "stage": "both", "reason": "after a fix of the features"}
    run = ten_days.run("evergreen.rescore", conf=conf)
    assert run["state"] == "success"
    assert len(ten_days.api.runs("weather.ingest")) == ingestions
    assert any("2 of 2 days" in line for line in ten_days.api.task_log("evergreen.rescore", run["dag_run_id"], "rescore"))


def test_what_no_event_started_is_started_by_the_nightly_audit_and_once(ten_days):
    before = find_predictions("air_time", NIGHTS[-1])
    monitored = len(ten_days.runs_of("air_time.monitor", str(NIGHTS[-1])))
    with writing() as connection:  # as if the inputs had come two hours ago, and their events had been lost
        tables = metadata.tables
        for name in ("prediction_sets", "stage_records"):
            of_it = (tables[name].c.model == "air_time") & (tables[name].c.partition == NIGHTS[-1])
            if name == "prediction_sets":
                for number in connection.execute(sa.select(tables[name].c.id).where(of_it)).scalars().all():
                    ledger.unbind(connection, tables[name], {"id": number}, reason="as if it had never been scored")
            connection.execute(tables[name].delete().where(of_it))
        bound_rows.change(connection, tables["partition_versions"], recorded_at=clock.now() - dt.timedelta(hours=2))
    run = ten_days.run("evergreen.audit")
    assert run["state"] == "success"
    [started] = [each for each in ten_days.api.runs("air_time.score") if each["dag_run_id"].startswith("missed__")]
    assert (started["conf"]["partition"], started["state"]) == (str(NIGHTS[-1]), "success")
    scored = find_predictions("air_time", NIGHTS[-1])
    assert (scored.digest, scored.version, scored.rows, scored.origin) == (before.digest, before.version, before.rows, before.origin)
    assert len(ten_days.runs_of("air_time.monitor", str(NIGHTS[-1]))) == monitored + 1
    again = ten_days.run("evergreen.audit")
    states = {task["task_id"]: task["state"] for task in ten_days.api.task_instances("evergreen.audit", again["dag_run_id"])}
    assert states == {"ledger": "success", "anchor": "success", "champions": "success", "missed": "success", "start": "skipped"}


def test_the_nightly_maintenance_reads_all_of_it_again_and_removes_nothing_that_is_young(ten_days):
    files = {file: file.stat().st_mtime for file in (ten_days.home / "storage").rglob("*") if file.is_file()}
    run = ten_days.run("evergreen.maintenance", conf={"sample": 1000})
    log = ten_days.api.task_log("evergreen.maintenance", run["dag_run_id"], "verify")
    assert run["state"] == "success", log
    versions = sum(len(current_partitions(dataset)) for dataset in DATASETS)
    with reading() as connection:
        scorings = connection.execute(sa.select(sa.func.count()).select_from(metadata.tables["prediction_sets"])).scalar_one()
    wanted = versions + scorings
    assert any(f"{wanted} of {wanted} verified" in line for line in log)
    assert files == {file: file.stat().st_mtime for file in (ten_days.home / "storage").rglob("*") if file.is_file()}


def test_a_person_promotes_an_older_version_by_force_and_is_named_in_the_ledger(ten_days, older_version):
    model = older_version.model
    assert champion(model).as_of > older_version.as_of
    form = {"version": older_version.version, "reason": "the newer one is under suspicion", "force": True}
    ten_days.run(f"{model}.promote", conf=form)
    assert champion(model) == older_version
    with reading() as connection:
        ledger = metadata.tables["ledger"]
        body = (
            connection.execute(sa.select(ledger.c.body).where(ledger.c.kind == "promotion").order_by(ledger.c.sequence.desc()))
            .scalars()
            .first()
        )
    assert json.loads(body)["reason"] == form["reason"]
    assert champion_for(model, TRAINED_AS_OF) == older_version


@pytest.fixture
def older_version(ten_days):
    """A version of flight_delay as of a day before its champion's: that which the browser's tests have trained, or one of now."""
    serving = champion("flight_delay")
    if not (found := [each for each in list_versions("flight_delay") if each.as_of < serving.as_of]):
        ten_days.run("flight_delay.train", conf={"as_of": "2013-01-06"})
        found = [each for each in list_versions("flight_delay") if each.as_of < serving.as_of]
    return found[0]


def everything_recorded() -> dict[str, list[tuple]]:
    """Every row of every table but the stage records and what is about alerts, without the times at which they were written."""
    left_out = {"stage_records", "validations", *(table.name for table in ON_CALL)}
    recorded = {}
    with reading() as connection:
        for name, table in metadata.tables.items():
            columns = [column for column in table.columns if column.name not in TIMESTAMPS]
            query = sa.select(*columns)
            if name == "partition_versions":  # each later delivery of the same is a new entry, which the row names
                query = sa.select(*(column for column in columns if column.name != "entry"))
            if name == "ledger":
                query = query.where(table.c.kind != "publication")
            if name not in left_out:
                recorded[name] = sorted(map(repr, connection.execute(query)))
    return recorded
