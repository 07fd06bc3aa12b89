"""The page of a model's versions, the open alerts above it, and the banner of a pause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.registry import approvals
from include.evergreen.state import pauses
from include.evergreen.state.alerts import raise_alert, resolve_alert
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates, decisions, model_versions, promotions, snapshots

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.plugins.conftest import LogIn

pytestmark = pytest.mark.usefixtures("home")
PAGE = "/evergreen/dags/air_time.train/versions"
DAY = "2013-02-01"


def registered(version: int, *, because: str = "", model: str = "air_time", card: str = "") -> None:
    """A blessed version, as the night would have recorded it, without any file."""
    run_key, as_of = f"{model}-{version}", DAILY.shift(DAY, version)
    now = clock.now()
    digests = {name: "d" for name in ("recipe_digest", "signature_digest", "artifact_digest")}
    candidate = {"run_key": run_key, "model": model, "as_of": as_of, "snapshot_digest": run_key, "mlflow_run_id": f"run{version}",
                 "artifact_uri": "x", "reference_path": "x", "metrics": {"mae": 9.25 + version}, "facts": {}, **digests}  # fmt: skip
    criteria = [
        {
            "kind": "absolute",
            "metric": "mae",
            "value": 9.0,
            "threshold": 99.0,
            "verdict": "passed",
            "message": f"mae of {version} is <small> enough",
        }
    ]
    decision = {"model": model, "run_key": run_key, "champion_version": version - 1, "gate_digest": "g", "as_of": as_of,
                "verdict": "blessed", "criteria": criteria, "recorded_at": now}  # fmt: skip
    snapshot = {"digest": run_key, "model": model, "as_of": as_of, "window_days": 9, "rows": 9, "members": {}, "frame_path": "x"}
    own = {"model": model, "version": version, "semver": f"1.0.{version - 1}", "run_key": run_key, "as_of": as_of,
           "approval_because": because, "card_path": card, "recorded_at": now}  # fmt: skip
    with writing() as connection:
        connection.execute(snapshots.insert().values(**snapshot, recorded_at=now))
        connection.execute(candidates.insert().values(**candidate, recorded_at=now))
        connection.execute(decisions.insert().values(**decision))
        connection.execute(model_versions.insert().values(**own))


def promoted(version: int, **changes: Any) -> None:
    record = {"model": "air_time", "version": version, "as_of": DAILY.shift(DAY, version), "previous_version": version - 1,
              "actor": "airflow (scheduled)", "reason": "blessed by the gate", **changes}  # fmt: skip
    with writing() as connection:
        connection.execute(promotions.insert().values(**record, promoted_at=clock.now()))


def rows_of(page: str) -> list[str]:
    """The table's rows, the newest version first."""
    return page.split("<tbody>")[1].split("<tr")[1:]


def test_each_version_shows_its_decision_its_approval_and_its_promotions(reader: TestClient) -> None:
    registered(1)
    registered(2, because="2.0.0 is a major version")
    promoted(1)
    approvals.record_answer("air_time", 2, request="run 1", verdict="approved", actor="grace", reason="looks sound")
    promoted(2, actor="grace", reason="approved: looks sound")
    page = reader.get(PAGE)
    assert page.status_code == 200
    second, first = rows_of(page.text)
    assert "champion</span>" in second and "champion</span>" not in first
    assert "approved by grace" in second and "looks sound" in second
    assert "promoted by grace" in second
    assert "not required" in first and "promoted by airflow (scheduled)" in first
    assert "blessed against version 1" in second and "blessed without a champion" in first
    assert "mae of 2 is &lt;small&gt; enough" in second
    assert "mae 11.2500" in second


def test_a_waiting_version_links_to_its_approval_and_a_rejected_one_names_who_rejected_it(reader: TestClient) -> None:
    registered(1, because="it is the first model")
    assert "/dags/air_time.approve/runs/approval__v1/tasks/ask/required_actions" in reader.get(PAGE).text
    assert "waiting for approval: it is the first model" in reader.get(PAGE).text
    approvals.record_answer("air_time", 1, request="run 1", verdict="refused", actor="ada", reason="too few rows")
    page = reader.get(PAGE).text
    assert "required_actions" not in page
    assert "refused by ada" in page and "too few rows" in page


def test_realised_and_estimated_performance_stand_side_by_side(reader: TestClient) -> None:
    registered(1)
    _performed(DAY, {"performance.mae": 14.5, "estimated.mae": 9.5, "concept_drift.score": 2.25})
    _performed(DAILY.shift(DAY, 1), {"estimated.mae": 9.5})
    waiting, surprising = rows_of(reader.get(PAGE).text.split('id="versions"')[0])
    assert str(DAILY.shift(DAY, 1)) in waiting and "not yet" in waiting and "concept drift" not in waiting
    assert "14.5000" in surprising and "9.5000" in surprising and "8.2500 to 10.7500" in surprising
    assert "concept drift suspected: 2.2 times as far off as chance explains" in surprising


def test_performance_as_estimated_is_said_to_be_so(reader: TestClient) -> None:
    registered(1)
    _performed(DAY, {"performance.mae": 9.75, "estimated.mae": 9.5, "concept_drift.score": 0.25})
    assert "no further off than chance explains" in reader.get(PAGE).text


def _performed(day: Partition, figures: dict[str, float]) -> None:
    ends = {"estimated.mae": (8.25, 10.75)}
    observed = [Observation("air_time", day, name, value, 1, "live", 900, *ends.get(name, ())) for name, value in figures.items()]
    record_observations("air_time", day, observed)


def test_a_model_without_versions_says_why(reader: TestClient) -> None:
    assert "No version is registered yet" in reader.get(PAGE).text


def test_versions_and_alerts_of_another_model_are_not_shown(reader: TestClient) -> None:
    registered(1, model="flight_delay")
    raise_alert("bypass/flight_delay/1", model="flight_delay", severity="critical", message="somebody moved the alias")
    page = reader.get(PAGE).text
    assert "No version is registered yet" in page
    assert "moved the alias" not in page


def test_open_alerts_stand_above_the_versions_until_they_are_resolved(reader: TestClient) -> None:
    raise_alert("bypass/air_time/1", model="air_time", severity="critical", message="somebody <b>moved</b> the alias")
    raise_alert("bypass/air_time/1", model="air_time", severity="critical", message="somebody <b>moved</b> the alias")
    page = reader.get(PAGE).text
    assert 'class="panel bad" role="alert"' in page
    assert "somebody &lt;b&gt;moved&lt;/b&gt; the alias" in page and "raised 2 times" in page
    resolve_alert("bypass/air_time/1")
    assert "role=" not in reader.get(PAGE).text


def test_a_pause_stands_on_every_page_and_goes_with_it(reader: TestClient) -> None:
    pauses.pause(hours=2, actor="ada", reason="a <i>bad</i> feed")
    assert '<div class="pause" role="status"><strong>Paused.</strong> ada paused automatic promotion' in reader.get(PAGE).text
    assert "a &lt;i&gt;bad&lt;/i&gt; feed" in reader.get(PAGE).text
    pauses.lift(actor="ada", reason="it is fixed")
    assert "Paused." not in reader.get(PAGE).text


def test_nobody_without_a_login_or_the_permission_learns_of_versions_or_pauses(anonymous: TestClient, log_in: LogIn) -> None:
    registered(1)
    pauses.pause(hours=2, actor="ada", reason="a secret reason")
    for visitor, status in ((anonymous, 401), (log_in(None), 403)):
        answer = visitor.get(PAGE)
        assert answer.status_code == status
        assert "secret" not in answer.text and "1.0.0" not in answer.text


@pytest.mark.parametrize("dag_id", ["air_time.score", "weather.ingest", "train", "evergreen.pause"])
def test_a_dag_that_trains_nothing_has_no_versions(reader: TestClient, dag_id: str) -> None:
    answer = reader.get(f"/evergreen/dags/{dag_id}/versions")
    assert answer.status_code == 404
    assert "has no such page" in answer.text
