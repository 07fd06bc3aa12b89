"""evergreen.maintenance: what its tasks do, and when it is scheduled."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.evergreen.config import Catalog
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError


@pytest.fixture
def dag() -> Any:
    from evergreen_airflow.dags.maintenance import maintenance_dag

    return maintenance_dag()


@pytest.fixture
def ingested(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two days of weather, of which the first was corrected; returns the storage."""
    from include.evergreen.data import ingestion

    landing = home / "landing" / "weather"
    landing.mkdir(parents=True)
    monkeypatch.setenv("EVERGREEN_HOME", str(home))
    for day, temp in ((5, 30.5), (6, 31.5), (5, 32.5)):
        hours = [(origin, hour) for origin in ("EWR", "JFK", "LGA") for hour in range(24)]
        lines = [f"{origin},2013-01-{day:02d}T{hour:02d}:00:00Z,{temp},60,10,0,10" for origin, hour in hours]
        text = "\n".join(["origin,time_hour,temp,humid,wind_speed,precip,visib", *lines, ""])
        (landing / f"2013-01-{day:02d}.csv").write_text(text)
        ingestion.ingest(Catalog().dataset("weather"), f"2013-01-{day:02}", "live")
    return home / "storage"


def execute(dag: Any, task: str, **params: Any) -> dict[str, Any]:
    context = {
        "params": {"grace_hours": None, "sample": None, "dry_run": False, **params},
        "dag_run": SimpleNamespace(run_after=clock.now()),
    }
    result: dict[str, Any] = dag.get_task(task).execute(context)
    return result


def test_what_looks_does_not_wait_for_what_removes_so_that_no_failure_hides_another(dag: Any) -> None:
    assert {task.task_id: set(task.upstream_task_ids) for task in dag.tasks} == {
        "retention": set(), "orphans": {"retention"}, "records": set(), "verify": set(),
    }  # fmt: skip


def test_switched_on_it_waits_for_the_next_night_and_runs_once_a_night(dag: Any) -> None:
    from airflow.sdk.definitions.timetables.trigger import CronTriggerTimetable
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    assert isinstance(dag.timetable, CronTriggerTimetable)
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, True)
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    restriction = TimeRestriction(earliest=None, latest=None, catchup=False)
    first = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert clock.now() <= first.run_after <= clock.now() + dt.timedelta(days=1)
    assert (first.run_after.hour, first.run_after.minute) == (3, 30)


def test_each_task_does_its_step(dag: Any, ingested: Path) -> None:
    assert execute(dag, "retention") == {"versions": 0, "figures": 0, "files": 0, "bytes": 0}
    orphan = ingested / "datasets" / "weather" / "2013-01-05" / "0000.parquet"
    orphan.write_bytes(b"an orphan")
    assert execute(dag, "orphans") == {"files": 0, "bytes": 0}  # it is young
    assert execute(dag, "orphans", grace_hours=0, dry_run=True) == {"files": 1, "bytes": 9}
    assert orphan.exists()
    assert execute(dag, "orphans", grace_hours=0) == {"files": 1, "bytes": 9}
    assert not orphan.exists()
    assert execute(dag, "records") == {"lost": 0}
    assert execute(dag, "verify") == {"checked": 2, "of": 2}
    assert execute(dag, "verify", sample=1) == {"checked": 1, "of": 2}


def test_a_lost_file_and_a_damaged_one_each_fail_their_task_and_are_named(dag: Any, ingested: Path) -> None:
    from include.evergreen.data.partitions import current_partition
    from include.evergreen.state import storage

    fifth, sixth = (current_partition("weather", f"2013-01-{day:02}") for day in (5, 6))
    assert fifth
    assert sixth
    storage.write_frame(fifth.path, storage.read_frame(fifth.path).iloc[1:])
    storage.remove(sixth.quarantine_path)
    with pytest.raises(DataError, match="weather 2013-01-06: version 1 .current., its 0 quarantined rows: .* is gone; ingest weather"):
        execute(dag, "records")
    with pytest.raises(DataError, match="weather 2013-01-05: version 2, its accepted rows: .* has 71 rows with digest"):
        execute(dag, "verify")


def test_a_wrong_declaration_fails_retention_after_all_else_was_done(dag: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include = home / "include"
    (include / "datasets" / "mine").mkdir(parents=True)
    (include / "datasets" / "mine" / "dataset.yaml").write_text("name: mine\n")
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(include))
    with pytest.raises(ConfigError, match="mine: retention was not applied"):
        execute(dag, "retention")
