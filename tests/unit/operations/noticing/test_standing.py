"""A firing that waits, a champion past its age, a disk that fills: each is an alert as long as it is so."""

from __future__ import annotations

import datetime as dt
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.monitoring import Retrain, Rule
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import answer_firing, ask_training, fail_firing, fire_if_tripped
from include.evergreen.operations.noticing import Declared, full_disks, keep, old_champions, standing, unanswered_firings
from include.evergreen.state.alerts import open_alerts
from tests.unit.flights import january

pytestmark = pytest.mark.usefixtures("home")
Usage = namedtuple("Usage", "total used free")


def look() -> list[tuple[str, str]]:
    keep("trigger", unanswered_firings(), "decided")
    return [(alert.key, alert.severity) for alert in open_alerts()]


def test_a_firing_is_an_alert_until_the_gate_has_decided_and_critical_once_its_training_has_failed(air_time: ModelConfig) -> None:
    model = air_time.model_copy(update={"retrain": Retrain(rules=(Rule(metric="drift.share", above=0.5, k=1, n=1),))})
    assert look() == []
    record_observations(model.name, january(1), [Observation(model.name, january(1), "drift.share", 0.9, 1, "live", 900)])
    fired = fire_if_tripped(model)
    assert fired is not None
    assert look() == look() == [("trigger/air_time", "warning")]
    (alert,) = open_alerts()
    assert alert.times == 1, "told once, however often it is looked at"
    assert "drift.share>0.5" in alert.message
    run_id = ask_training(fired.id)
    assert run_id is not None
    fail_firing(fired.id, run_id)
    assert look() == [("trigger/air_time", "critical")]
    run_id = ask_training(fired.id)
    assert run_id is not None
    answer_firing(model.name, run_id)
    assert look() == []


class _Serving(Declared):
    """Two models that serve, as of 1 January; one of them may be thirty days old."""

    def __init__(self, model: ModelConfig) -> None:
        self._own = [model.model_copy(update={"max_champion_age": Span(30, "day")}), model.model_copy(update={"name": "flight_delay"})]

    @property
    def serving(self) -> frozenset[str]:
        return frozenset(model.name for model in self._own)

    def models(self) -> list[ModelConfig]:
        return self._own


def test_a_champion_past_the_age_that_was_declared_is_an_alert_and_no_other(air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    version = namedtuple("Version", "version as_of")(3, january(1))
    monkeypatch.setattr(standing, "champion", lambda _: version)
    declared = _Serving(air_time)
    assert old_champions(declared, dt.datetime(2013, 2, 1, 4, tzinfo=dt.UTC)) == []
    (finding,) = old_champions(declared, dt.datetime(2013, 2, 1, 5, tzinfo=dt.UTC))
    assert (finding.key, finding.severity) == ("age/air_time", "warning")
    assert finding.message.startswith("Version 3 of air_time serves, and was trained as of 2013-01-01: it may be 30 days old")


@pytest.mark.parametrize(("used", "severity"), [(899, None), (900, "warning"), (969, "warning"), (970, "critical"), (1000, "critical")])
def test_a_disk_that_fills_is_one_alert_whatever_lies_on_it(
    used: int, severity: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000, used, 1000 - used))
    (tmp_path / "storage").mkdir()
    found = full_disks([tmp_path, tmp_path / "storage", tmp_path / "not there"])
    assert [(finding.key, finding.severity) for finding in found] == ([(f"disk/{tmp_path}", severity)] if severity else [])
