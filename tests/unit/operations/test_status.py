from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.ingestion import ingest
from include.evergreen.data.partitions import current_partitions
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import fire_if_tripped
from include.evergreen.operations.status import status
from include.evergreen.registry.approvals import record_answer
from include.evergreen.state import pauses
from include.evergreen.state.alerts import raise_alert, resolve_alert
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import model_versions, promotions
from tests.unit.lifecycle import AS_OF, MODEL, day, include_with, landing, settle_cycled, settle_landed


@pytest.fixture
def cycled() -> None:
    settle_cycled()


def test_before_anything_has_run_all_that_is_declared_is_there_and_empty(catalog: Catalog) -> None:
    settle_landed()
    nobody = {
        "champion": None,
        "challenger": None,
        "rollout": None,
        "last_decision": None,
        "last_firing": None,
        "performance": None,
        "waiting_for_approval": [],
        "open_alerts": 0,
    }
    nothing = {"partitions": 0, "latest": None, "rows": 0, "quarantined": 0}
    assert status(catalog) == {
        "pause": None,
        "models": {"air_time": nobody, "flight_delay": nobody},
        "datasets": {"outcomes": nothing, "schedules": nothing, "weather": nothing},
    }


def test_a_model_shows_its_champion_and_the_decision_on_it(cycled: None, catalog: Catalog) -> None:
    model = status(catalog)["models"][MODEL]
    assert {name: model["champion"][name] for name in ("version", "semver", "as_of")} == {
        "version": 1,
        "semver": "1.0.0",
        "as_of": "2013-01-20",
    }
    assert model["champion"]["metrics"]["auc"] > 0.55
    assert (model["last_decision"]["verdict"], model["last_decision"]["champion_version"]) == ("blessed", 0)
    assert "auc is" in model["last_decision"]["message"]
    assert (model["challenger"], model["last_firing"], model["open_alerts"]) == (None, None, 0)


def test_a_pause_and_the_open_alerts_of_each_model_show_until_they_are_over(cycled: None, catalog: Catalog) -> None:
    made = pauses.pause(hours=1, actor="ada", reason="a bad feed")
    raise_alert("bypass/1", model=MODEL, severity="critical", message="somebody moved the alias")
    found = status(catalog)
    assert found["pause"] == {
        "actor": "ada", "reason": "a bad feed", "since": made.recorded_at.isoformat(), "until": made.until.isoformat(),
        "message": made.message,
    }  # fmt: skip
    assert {name: model["open_alerts"] for name, model in found["models"].items()} == {MODEL: 1, "air_time": 0}
    pauses.lift(actor="ada", reason="it is mended")
    resolve_alert("bypass/1")
    assert status(catalog)["pause"] is None
    assert status(catalog)["models"][MODEL]["open_alerts"] == 0


def test_a_version_waits_for_approval_until_a_person_speaks_or_a_champion_knows_more(cycled: None, catalog: Catalog) -> None:
    with writing() as connection:
        connection.execute(model_versions.update().values(approval_because="it is the first model"))
    asked = {"version": 1, "semver": "1.0.0", "as_of": "2013-01-20", "because": "it is the first model"}
    assert status(catalog)["models"][MODEL]["waiting_for_approval"] == [asked]
    with writing() as connection:
        connection.execute(promotions.update().values(as_of=day(21)))
    assert status(catalog)["models"][MODEL]["waiting_for_approval"] == []
    with writing() as connection:
        connection.execute(promotions.update().values(as_of=day(20)))
    record_answer(MODEL, 1, request="a run", verdict="refused", actor="ada", reason="too few rows")
    assert status(catalog)["models"][MODEL]["waiting_for_approval"] == []


def test_a_firing_shows_with_its_evidence(cycled: None, catalog: Catalog, flight_delay: ModelConfig) -> None:
    record_observations(MODEL, AS_OF, [Observation(MODEL, AS_OF, "prediction_drift.score", 4.5, 1, "live", 120)])
    assert fire_if_tripped(flight_delay) is not None
    firing = status(catalog)["models"][MODEL]["last_firing"]
    assert (firing["rule"], firing["as_of"], firing["version"]) == ("prediction_drift.score>3 (1 of 1)", "2013-01-20", 1)
    assert "2013-01-20: 4.500" in firing["message"]
    assert firing["training"] == "its training was not triggered yet"


def test_a_dataset_counts_the_current_version_of_each_partition(cycled: None, catalog: Catalog) -> None:
    before = status(catalog)["datasets"]["schedules"]
    assert before == {"partitions": 20, "latest": "2013-01-20", "rows": 20 * 120, "quarantined": 0}
    file = landing("schedules", day(20))
    file.write_text(file.read_text().replace(",EWR,", ",XXX,", 2))
    ingest(catalog.dataset("schedules"), day(20), "live")
    after = status(catalog)["datasets"]["schedules"]
    assert after == {"partitions": 20, "latest": "2013-01-20", "rows": 20 * 120 - 2, "quarantined": 2}
    assert after["rows"] + after["quarantined"] == sum(each.source_rows for each in current_partitions("schedules"))


def test_a_broken_yaml_hides_nothing(cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = status(Catalog())
    include = include_with(tmp_path, monkeypatch)
    for broken in ("models/air_time/model.yaml", "models/flight_delay/model.yaml", "datasets/weather/dataset.yaml"):
        (include / broken).write_text("{")
    assert status(Catalog()) == whole


def test_it_is_a_json_document(cycled: None, catalog: Catalog) -> None:
    found = status(catalog)
    assert json.loads(json.dumps(found)) == found
