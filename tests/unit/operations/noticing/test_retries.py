"""A DAG that is retried far more often than it was is told while it still succeeds; a fleet that is as it was is left in peace."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import numpy as np
import pytest
from scipy.stats import fisher_exact

from include.evergreen.foundation import clock
from include.evergreen.operations.noticing import Attempt, Declared, Instance, Retries, Run, Standing, keep, record_attempts
from include.evergreen.operations.noticing.retries import FALLEN, NEWEST, PAST, RISEN, Share, chance, has_risen
from include.evergreen.state.alerts import open_alerts, resolve, show_alert
from include.evergreen.state.task_failures import record_failure

DOWN = "mlflow:5000 did not answer within 30 s"


class Fleet:
    """Nights of DAGs, and a watcher that looks after each."""

    def __init__(self) -> None:
        self.runs: dict[str, list[Run]] = {}
        self.running: set[Instance] = set()
        self.restart()

    def restart(self) -> None:
        self.retries = Retries(dt.timedelta(days=7))

    def night(self, *retried: str, error: str = DOWN, error_class: str = "TransientError", dags: tuple[str, ...] = ()) -> list[str]:
        """A run of each DAG, of which these are retried; returns what is open then."""
        for dag_id in dags or ("air_time.score", "flight_delay.score"):
            run_id = f"night {len(self.runs.setdefault(dag_id, []))}"
            if dag_id in retried:
                record_failure(dag_id=dag_id, task_id="score", run_id=run_id, map_index=-1, try_number=1, partition="",
                               error_class=error_class, error=error)  # fmt: skip
            self.runs[dag_id].insert(0, Run(run_id, clock.now(), dag_id in retried))
        return self.look()

    def look(self) -> list[str]:
        findings = self.retries.findings(Declared(), self.newest_runs, self.standings)
        keep("retries", findings, "Its attempts succeed again as often as they did.")
        return [alert.key for alert in open_alerts() if alert.kind == "retries"]

    def newest_runs(self, dag_id: str) -> list[Run]:
        return [run for run in self.runs[dag_id] if Instance(dag_id, "", run.run_id) not in self.running]

    def standings(self, runs: Collection[Instance]) -> dict[Instance, Standing]:
        return {run: Standing("running" if run in self.running else "success", 1) for run in runs}


@pytest.fixture
def fleet(home: object) -> Fleet:
    fleet = Fleet()
    for night in range(60):
        fleet.runs.setdefault("air_time.score", []).insert(0, Run(f"night {night}", clock.now(), night == 20))
        fleet.runs.setdefault("flight_delay.score", []).insert(0, Run(f"night {night}", clock.now(), False))
    return fleet


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_a_thousand_models_that_are_as_they_were_raise_less_than_one_alert_in_a_month(share: float) -> None:
    months, dags = 12, 6000
    risen = np.array([[has_risen(Share(newest, NEWEST), Share(past, PAST)) for past in range(PAST + 1)] for newest in range(NEWEST + 1)])
    retried = np.random.default_rng(7).random((dags, NEWEST + PAST + 30 * months), dtype=np.float32) < share
    until = np.concatenate([np.zeros((dags, 1), np.int32), retried.cumsum(axis=1, dtype=np.int32)], axis=1)
    newest = until[:, NEWEST + PAST :] - until[:, PAST:-NEWEST]
    past = until[:, PAST:-NEWEST] - until[:, : -NEWEST - PAST]
    found = risen[newest, past]
    alerts = found[:, 1:] & ~found[:, :-1]
    assert alerts.sum() / months < 1


def test_the_chance_is_exact_and_needs_enough_runs() -> None:
    for newest, past in (
        (Share(5, 12), Share(2, 100)),
        (Share(12, 12), Share(30, 48)),
        (Share(0, 12), Share(0, 24)),
        (Share(1, 3), Share(0, 0)),
    ):
        table = [[newest.retried, newest.runs - newest.retried], [past.retried, past.runs - past.retried]]
        assert chance(newest, past) == pytest.approx(fisher_exact(table, alternative="greater").pvalue)
    assert (
        has_risen(Share(12, 12), Share(0, 24))
        and not has_risen(Share(12, 12), Share(0, 23))
        and not has_risen(Share(11, 11), Share(0, 100))
    )
    assert not has_risen(Share(12, 12), Share(100, 100)), "it was always so"
    assert RISEN < FALLEN


def test_a_share_that_jumps_is_one_alert_until_it_falls(fleet: Fleet) -> None:
    nights = next(night for night in range(1, 12) if fleet.night("air_time.score"))
    assert nights == 7
    (alert,) = open_alerts()
    assert (alert.severity, alert.model) == ("warning", "air_time")
    assert "air_time.score: 7 of the newest 12 runs, 1 of the 55 before. TransientError: mlflow:5000 did not answer" in alert.message
    for _ in range(5):
        fleet.restart()
        fleet.night("air_time.score")
    assert open_alerts()[0].times == 1, "it is told once"
    quiet = next(night for night in range(1, 20) if not fleet.night())
    assert quiet in range(9, 12), "it has to be as it was before: not one night more or less"
    assert show_alert(alert.id).events[-1].message == "Its attempts succeed again as often as they did."


def test_what_is_away_for_all_is_one_alert_that_names_them_and_what_is_not_is_another(fleet: Fleet) -> None:
    for _ in range(8):
        fleet.night("air_time.score", "flight_delay.score")
    (alert,) = open_alerts()
    assert {place.dag_id for place in show_alert(alert.id).places} == {"air_time.score", "flight_delay.score"} and alert.model == ""
    fleet.runs["their.dag"] = [Run(f"before {night}", clock.now(), False) for night in range(60)]
    for _ in range(8):
        fleet.night("their.dag", error="a bad row", error_class="ValueError", dags=("their.dag",))
    assert len(open_alerts()) == 2


def test_what_failed_for_good_is_told_by_its_own_alert_alone(fleet: Fleet) -> None:
    for night in range(60, 72):
        fleet.night("air_time.score")
        instance = Instance("air_time.score", "score", f"night {night}")
        ended = clock.now() - dt.timedelta(minutes=1)
        record_attempts([Attempt(instance, 1, "failed", started_at=ended, ended_at=ended)], Declared())
    assert fleet.look() == []
    assert [alert.kind for alert in open_alerts()] == ["task"]


def test_a_run_is_judged_when_it_has_ended_though_nothing_fails_then(fleet: Fleet) -> None:
    for _ in range(6):
        fleet.night("air_time.score")
    fleet.running.add(Instance("air_time.score", "", "night 66"))
    assert fleet.night("air_time.score") == []
    fleet.running.clear()
    assert len(fleet.look()) == 1


def test_what_a_person_resolved_is_silent_until_it_jumps_from_there(fleet: Fleet) -> None:
    for _ in range(8):
        fleet.night("air_time.score")
    resolve(open_alerts()[0].id, reason="the source is slow on every eighth day, and we know", actor="ada")
    for night in range(40):
        assert fleet.night(*["air_time.score"] * (night % 8 == 7)) == []
    assert any(fleet.night("air_time.score") for _ in range(20))
