"""The nightly audit: every deviation from our records is found, raises one alert, and hides no other."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from include.evergreen.config import ModelConfig
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.operations.audit import audit_champions, audit_ledger, raise_audit_errors
from include.evergreen.registry import champions
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import ledger as entries
from tests.unit.flights import SECOND_AS_OF, registered_as_of
from tests.unit.lifecycle import everything, include_with
from tools.ports import reserved_port


def artifact(model: str) -> Path:
    serving = champions.champion(model)
    assert serving is not None
    return Path(urlsplit(serving.artifact_uri).path)


def change_entry(sequence: int, body: str) -> None:
    with writing() as connection:
        connection.execute(sa.update(entries).where(entries.c.sequence == sequence).values(body=body))


def test_where_all_is_well_nothing_changes_and_nobody_is_called(trained: Path) -> None:
    audit_champions()  # MLflow's own tables are made by its first use
    before = everything()
    assert audit_ledger().problems == []
    audited = audit_champions()
    raise_audit_errors(audited)
    assert (audited.models, audited.corrected, audited.damaged, audited.unanswered) == (2, [], [], [])
    assert everything() == before
    assert open_alerts() == []


def test_a_damaged_ledger_makes_one_critical_alert_which_ends_when_it_is_whole_again(home: Path) -> None:
    for _ in range(3):
        with writing() as connection:
            ledger.append(connection, kind="damage", model="m", body={})
    change_entry(2, '{"forged":true}')
    for _ in range(2):
        with pytest.raises(DataError, match=r"in 1 places:\n- entry 2 \(damage of m\) was changed"):
            audit_ledger()
    [alert] = open_alerts()
    assert (alert.key, alert.severity, alert.times) == ("ledger/damage", "critical", 2)
    assert alert.message.startswith("The records cannot be trusted: entry 2 (damage of m) was changed after it was written.")
    change_entry(2, "{}")
    assert audit_ledger().problems == []
    assert open_alerts() == []


def test_a_cut_tail_makes_the_alert_too(home: Path) -> None:
    with writing() as connection:
        ledger.append(connection, kind="damage", model="m", body={})
    ledger.anchor()
    with writing() as connection:
        connection.execute(entries.delete())
    with pytest.raises(DataError, match="the tail is cut"):
        audit_ledger()


def test_an_alias_that_a_hand_moved_is_put_back_with_one_critical_alert(trained: Path, air_time: ModelConfig) -> None:
    other = registered_as_of(air_time, SECOND_AS_OF)
    mlflow_store.set_alias("air_time", "champion", other.version)
    audited = audit_champions()
    raise_audit_errors(audited)  # it is mended, and the alert stands until a person has seen it
    assert len(audited.corrected) == 1
    assert mlflow_store.alias("air_time", "champion") == 1
    audit_champions()
    assert [(each.key, each.severity) for each in open_alerts()] == [("alias/air_time", "critical")]


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_champion_whose_files_are_not_its_own_is_named_and_the_others_are_looked_at(how: str, trained: Path) -> None:
    if how == "gone":
        shutil.rmtree(artifact("air_time"))
    else:
        (artifact("air_time") / "model.skops").write_bytes(b"another")
    (artifact("flight_delay") / "planted.pkl").write_bytes(b"")
    audited = audit_champions()
    assert [each.split(":")[0] for each in audited.damaged] == ["air_time", "flight_delay"]
    with pytest.raises(
        DataError, match=r"Of 2 models with a champion.*\n- air_time: version 1: The model at .*\n- flight_delay: version 1"
    ):
        raise_audit_errors(audited)
    assert {(each.key, each.severity) for each in open_alerts()} == {
        ("artifact/air_time/1", "critical"),
        ("artifact/flight_delay/1", "critical"),
    }
    (artifact("flight_delay") / "planted.pkl").unlink()
    assert len(audit_champions().damaged) == 1
    assert [each.key for each in open_alerts()] == ["artifact/air_time/1"]


def test_a_broken_yaml_hides_nothing(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (include_with(tmp_path, monkeypatch) / "models" / "air_time" / "model.yaml").write_text("{")
    (artifact("air_time") / "model.skops").write_bytes(b"another")
    assert len(audit_champions().damaged) == 1


def test_a_server_that_does_not_answer_is_worth_a_retry_and_is_no_damage(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with reserved_port() as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        audited = audit_champions()
    assert (len(audited.unanswered), audited.damaged) == (2, [])
    with pytest.raises(TransientError, match="- air_time: "):
        raise_audit_errors(audited)
    assert open_alerts() == []
