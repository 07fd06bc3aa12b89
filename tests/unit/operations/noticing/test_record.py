"""Attempts that failed become one alert for each cause, counted once whoever counts them, which resolves itself."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from threading import Barrier, Thread

import pytest

from include.evergreen.foundation import clock
from include.evergreen.operations.noticing import (
    Attempt,
    Declared,
    Instance,
    Standing,
    attempts_to_settle,
    record_attempts,
    settle,
)
from include.evergreen.state.alerts import open_alerts, raise_alert, resolve, show_alert
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import promotions
from include.evergreen.state.task_failures import record_failure
from tests.unit.flights import close_database

pytestmark = pytest.mark.usefixtures("home")
DOWN = "mlflow:5000 did not answer within 30 s"


def attempt(dag_id: str = "flight_delay.score", task_id: str = "score", run: int = 1, try_number: int = 1, **more: object) -> Attempt:
    ended = clock.now() - dt.timedelta(minutes=1)
    times = {"started_at": ended - dt.timedelta(minutes=1), "ended_at": ended}
    return Attempt(Instance(dag_id, task_id, f"run {run}"), try_number, **{"state": "failed", **times, **more})  # type: ignore[arg-type]


def says(each: Attempt, error_class: str = "TransientError", error: str = DOWN) -> Attempt:
    record_failure(**each.instance._asdict(), try_number=each.try_number, partition="", error_class=error_class, error=error)
    return each


def serves(model: str) -> None:
    with writing() as connection:
        values = {"model": model, "version": 1, "as_of": "2013-01-01", "previous_version": 0, "actor": "a", "reason": "b"}
        connection.execute(promotions.insert().values(**values, promoted_at=clock.now()))


def well(*instances: Instance) -> dict[Instance, Standing]:
    return {instance: Standing("success", 2) for instance in instances}


def test_a_thousand_failures_of_one_cause_are_one_alert_counted_once_by_two_watchers_at_once() -> None:
    attempts = [says(attempt(f"{model}.{stage}", stage, run)) for run in range(250) for model in ("air_time", "flight_delay")
                for stage in ("score", "monitor")]  # fmt: skip
    barrier = Barrier(2)

    def watch() -> None:
        barrier.wait()
        record_attempts(attempts, Declared())
        close_database()

    watchers = [Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    (alert,) = open_alerts()
    assert (alert.kind, alert.times) == ("task", 1000)
    assert sorted((place.dag_id, place.model, place.times) for place in show_alert(alert.id).places) == [
        (f"{model}.{stage}", model, 250) for model in ("air_time", "flight_delay") for stage in ("monitor", "score")
    ]
    assert record_attempts(attempts, Declared()) == (0, [])
    assert [event.kind for event in show_alert(alert.id).events] == ["raised"]


def test_it_resolves_when_all_are_well_again_and_says_so_and_a_place_is_marked_before() -> None:
    one, other, gone = says(attempt()), says(attempt("air_time.score")), says(attempt("air_time.score", run=2))
    record_attempts([one, other, gone], Declared())
    (alert,) = open_alerts()
    settle(attempts_to_settle(), {**well(one.instance), other.instance: Standing("failed", 1), gone.instance: Standing("queued", 1)})
    assert {place.dag_id: place.cleared_at is not None for place in show_alert(alert.id).places} == {
        "flight_delay.score": True,
        "air_time.score": False,
    }
    settle(attempts_to_settle(), well(other.instance))  # the run of the third was deleted
    detail = show_alert(alert.id)
    assert detail.alert.state == "resolved" and detail.alert.resolved_by is None
    assert "well again: all 3 that failed" in detail.events[-1].message.lower()
    assert attempts_to_settle() == []


def test_an_alert_names_all_that_it_stops_though_they_fail_one_after_the_other() -> None:
    for model in ("air_time", "flight_delay"):
        record_attempts([says(attempt(f"{model}.score", partition="2013-02-08"))], Declared())
    (alert,) = open_alerts()
    assert "air_time.score.score" in alert.message and "flight_delay.score.score" in alert.message and "2013-02-08" in alert.message
    assert DOWN in alert.message and alert.error == DOWN and alert.model == ""


def test_only_what_stops_live_data_of_a_model_that_serves_is_critical() -> None:
    serves("flight_delay")
    record_attempts(
        [
            says(attempt(), "ValueError", "a"),
            says(attempt("flight_delay.train", "train"), "ValueError", "b"),
            says(attempt("air_time.score"), "ValueError", "c"),
            says(attempt("weather.ingest", "fetch"), "ValueError", "d"),
            says(attempt("their.score"), "ValueError", "e"),
        ],
        Declared(),
    )
    assert {alert.error: (alert.severity, alert.model, alert.dataset) for alert in open_alerts()} == {
        "a": ("critical", "flight_delay", ""),
        "b": ("warning", "flight_delay", ""),
        "c": ("warning", "air_time", ""),
        "d": ("critical", "", "weather"),
        "e": ("warning", "", ""),
    }
    weather = next(alert for alert in open_alerts() if alert.dataset)
    assert weather.evidence["models"] == ["air_time", "flight_delay"] and "Waiting for it: air_time, flight_delay" in weather.message


def test_all_days_of_a_backfill_are_one_warning_that_names_them() -> None:
    serves("flight_delay")
    for day in ("2013-02-08", "2013-02-09"):
        record_attempts([says(attempt(run=int(day[-1]), backfill="7", partition=day), "ValueError", day)], Declared())
    (alert,) = open_alerts()
    assert (alert.key, alert.severity, alert.times) == ("backfill/7", "warning", 2)
    assert alert.evidence["days"] == ["2013-02-08", "2013-02-09"] and "2013-02-09" in alert.message


def test_an_attempt_without_a_word_died_once_its_word_had_time_to_come() -> None:
    young = attempt(ended_at=clock.now())
    assert record_attempts([young], Declared()) == (0, [young])
    assert record_attempts([attempt()], Declared())[0] == 1
    (alert,) = open_alerts()
    assert alert.key == "died/flight_delay.score/score"


def test_one_that_said_why_and_is_tried_again_is_no_alert_and_one_that_died_is() -> None:
    record_attempts([says(attempt(state="retrying")), attempt(run=2, state="retrying")], Declared())
    (alert,) = open_alerts()
    assert alert.kind == "died" and [place.run_id for place in show_alert(alert.id).places] == ["run 2"]


def test_a_silent_worker_is_one_alert_also_when_airflow_fails_its_task_and_is_well_when_it_is_heard_of() -> None:
    silent = attempt(state="silent", ended_at=None)
    record_attempts([silent], Declared())
    record_attempts([silent, attempt()], Declared())
    (alert,) = open_alerts()
    assert (alert.kind, alert.times) == ("died", 1)
    settle(attempts_to_settle(), {silent.instance: Standing("running", 1, is_heard=True)})
    assert open_alerts() == []
    record_attempts([silent], Declared())
    assert [each.id for each in open_alerts()] == [alert.id], "it is silent again: the same alert, reopened"


def test_an_attempt_that_fails_otherwise_when_tried_again_leaves_one_alert() -> None:
    record_attempts([says(attempt())], Declared())
    record_attempts([says(attempt(try_number=2), "ValueError", "another")], Declared())
    assert [alert.error for alert in open_alerts()] == ["another"]


def test_what_a_person_resolved_stays_resolved_though_the_task_is_still_red() -> None:
    record_attempts([says(attempt())], Declared())
    (alert,) = open_alerts()
    resolve(alert.id, reason="known, and it does not matter", actor="ada")
    settle(attempts_to_settle(), {attempt().instance: Standing("failed", 1)})
    assert attempts_to_settle() == [] and record_attempts([attempt()], Declared()) == (0, [])
    assert open_alerts() == []


def test_what_scoring_told_itself_is_told_once_and_resolved_by_scoring_alone() -> None:
    failed = says(
        attempt(ended_at=clock.now() - dt.timedelta(seconds=8), started_at=clock.now() - dt.timedelta(minutes=1)), "ValueError", "x"
    )
    raise_alert(
        "score/flight_delay", model="flight_delay", severity="critical", message="Scoring fails", evidence={"partition": "2013-02-08"}
    )
    record_attempts([failed._replace(ended_at=clock.now())], Declared())
    (alert,) = open_alerts()
    assert (alert.kind, alert.times, alert.message) == ("score", 1, "Scoring fails")
    assert {place.task_id for place in show_alert(alert.id).places} == {"", "score"}
    settle(attempts_to_settle(), well(failed.instance))
    assert [each.id for each in open_alerts()] == [alert.id]


def test_a_server_that_is_down_is_not_taken_for_what_scoring_told_of_before() -> None:
    raise_alert(
        "score/flight_delay", model="flight_delay", severity="critical", message="Scoring fails", evidence={"partition": "2013-02-08"}
    )
    down = says(attempt(ended_at=clock.now(), started_at=clock.now() - dt.timedelta(minutes=1)))
    record_attempts([down], Declared())
    assert sorted(alert.kind for alert in open_alerts()) == ["score", "task"]


def test_a_run_that_failed_by_itself_is_an_alert_until_it_is_well() -> None:
    run = attempt("flight_delay.train", "")
    record_attempts([run], Declared())
    (alert,) = open_alerts()
    assert alert.key == "run/flight_delay.train"
    settle(attempts_to_settle(), well(run.instance))
    assert open_alerts() == []


def test_a_declaration_that_is_wrong_keeps_no_other_from_being_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "include" / "models" / "flight_delay"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text("name: [")
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "include"))
    record_attempts([says(attempt())], Declared())
    (alert,) = open_alerts()
    assert alert.model == "flight_delay"
