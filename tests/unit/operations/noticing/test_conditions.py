"""What is wrong now is an alert as long as it is so: told once, told again when it changes, resolved when it is gone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import yaml

from include.evergreen.config import Catalog
from include.evergreen.config.datasets import Freshness
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.foundation import clock
from include.evergreen.operations.noticing import Deadlines, Declared, keep
from include.evergreen.operations.noticing.freshness import due_partitions
from include.evergreen.state.alerts import Finding, open_alerts, resolve, show_alert
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import partition_versions

SHIPPED = Path(__file__).resolve().parents[4] / "include"
pytestmark = pytest.mark.usefixtures("home")
NOW = dt.datetime(2013, 2, 10, 12, tzinfo=dt.UTC)


def finding(name: str = "a", **evidence: object) -> Finding:
    return Finding(f"parsing/{name}.py", "warning", f"{name} does not parse", evidence)


def test_it_is_told_once_and_again_when_it_changes_and_resolved_when_it_is_gone() -> None:
    keep("parsing", [finding(line=1), finding("b")], "gone")
    for _ in range(3):
        assert keep("parsing", [finding(line=1), finding("b")], "gone") == 0
    assert keep("parsing", [finding(line=2)], "It parses again.") == 2
    (alert,) = open_alerts()
    assert (alert.key, alert.times, alert.evidence) == ("parsing/a.py", 2, {"line": 2})
    keep("parsing", [], "It parses again.")
    assert open_alerts() == [] and show_alert(alert.id).events[-1].message == "It parses again."


def test_what_a_person_resolved_stays_so_until_it_changes() -> None:
    keep("parsing", [finding(line=1)], "gone")
    resolve(open_alerts()[0].id, reason="it is known", actor="ada")
    assert keep("parsing", [finding(line=1)], "gone") == 0
    assert keep("parsing", [finding(line=2)], "gone") == 1


@pytest.mark.parametrize(
    ("cron", "offset", "days"),
    [("0 6 * * *", -1, [7, 8]), ("0 6 * * 5", 0, [8]), ("@monthly", 0, []), ("0 6 * * *", 0, [7, 8])],
)
def test_a_partition_is_due_for_each_day_that_the_schedule_names(cron: str, offset: int, days: list[int]) -> None:
    schedule = PartitionSchedule(cron=cron, run_offset=offset, start="2013-02-07")
    due = due_partitions(schedule, Freshness(hours_after_partition=30), NOW)  # the deadline of the 9th is on the 10th at 6:00
    assert [int(day[-2:]) for day in due if int(day[-2:]) < 9] == days
    assert ("2013-02-09" in due) is ("* * *" in cron)
    assert "2013-02-09" not in due_partitions(schedule, Freshness(hours_after_end=13), NOW)


def test_nothing_is_due_before_the_start_after_the_end_or_long_ago() -> None:
    ended = PartitionSchedule(cron="@daily", start="2013-01-01", end="2013-02-01")
    assert due_partitions(ended, Freshness(hours_after_partition=30), NOW)[-1] == "2013-02-01"
    assert len(due_partitions(PartitionSchedule(cron="@daily", start="2012-01-01"), Freshness(hours_after_end=0), NOW)) <= 16
    assert due_partitions(PartitionSchedule(cron="@daily", start="2013-03-01"), Freshness(hours_after_end=0), NOW) == []


class _Source:
    """The shipped datasets with a deadline for the weather, of which the days before 6 February have come."""

    def __init__(self, folder: Path) -> None:
        for kind in ("datasets", "models"):
            for path in (SHIPPED / kind).glob("*/*.yaml"):
                declared = yaml.safe_load(path.read_text())
                if path.parent.name == "weather":
                    declared["freshness"] = {"hours_after_partition": 30}
                target = folder / kind / path.parent.name / path.name
                target.parent.mkdir(parents=True)
                target.write_text(yaml.safe_dump(declared))
        self.declared, self.deadlines = Declared(Catalog(folder)), Deadlines()
        self.dags = {"weather.ingest", "outcomes.ingest"}
        self.first_run: dt.datetime | None = None

    def look(self, now: dt.datetime = NOW) -> None:
        late = self.deadlines.late(self.declared, self.dags, lambda _: self.first_run, now)
        keep("freshness", [item.finding for item in late], "What was missing has come.")

    def deliver(self, *days: int) -> None:
        for day in days:
            text = {name: "" for name in ("digest", "path", "quarantine_digest", "quarantine_path")}
            values = {"dataset": "weather", "partition": f"2013-02-{day:02}", "version": 1, "rows": 1, "quarantined": 0, "source_rows": 1}
            times = {"knowledge_time": NOW, "recorded_at": clock.now()}
            with writing() as connection:
                connection.execute(partition_versions.insert().values(**text, **values, **times, origin="live"))


@pytest.fixture
def source(tmp_path: Path) -> _Source:
    return _Source(tmp_path / "declared")


def test_a_source_that_is_gone_is_one_alert_that_names_the_days_and_all_models_and_resolves_when_all_have_come(source: _Source) -> None:
    source.deliver(4, 5)
    source.look(dt.datetime(2013, 2, 7, 5, 59, tzinfo=dt.UTC))
    assert open_alerts() == []
    source.look(dt.datetime(2013, 2, 7, 6, 0, tzinfo=dt.UTC))  # the deadline of the 6th
    source.look()
    (alert,) = open_alerts()
    assert (alert.key, alert.severity, alert.dataset) == ("freshness/weather", "warning", "weather")
    assert alert.evidence["days"] == ["2013-02-06", "2013-02-07", "2013-02-08", "2013-02-09"]
    assert "2013-02-06" in alert.message and "air_time, flight_delay" in alert.message
    assert {place.model or place.dag_id for place in show_alert(alert.id).places} == {"weather.ingest", "air_time", "flight_delay"}
    source.deliver(6, 7, 8)
    source.look()
    assert open_alerts()[0].evidence["days"] == ["2013-02-09"]
    source.deliver(9)
    source.look()
    assert open_alerts() == [] and show_alert(alert.id).events[-1].message == "What was missing has come."


def test_what_is_switched_off_or_was_never_begun_is_not_late(source: _Source) -> None:
    source.look()
    assert open_alerts() == [], "it never ran, and nothing ever came"
    source.first_run = dt.datetime(2013, 2, 9, 12, tzinfo=dt.UTC)
    source.look()
    assert open_alerts()[0].evidence["days"] == ["2013-02-09"], "the deadlines before its first run were nobody's"
    source.dags.clear()
    source.look()
    assert open_alerts() == []
