from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.data.partitions import PartitionVersion, known_versions, read_partition
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import DAILY, EARLIEST, LATEST, Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.monitoring import ensure_report
from include.evergreen.monitoring.kept_profiles import profiled_rows
from include.evergreen.monitoring.observations import Observation, list_observations, list_superseded, record_observations
from include.evergreen.operations.maintenance import Limits, Removal, Retained, apply_retention, remove_orphans
from include.evergreen.operations.maintenance.naming import parse_member
from include.evergreen.state import storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import (
    decisions,
    firings,
    model_versions,
    partition_versions,
    promotions,
    snapshots,
    superseded_observations,
)
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.flights import rows_of
from tests.unit.lifecycle import MODEL, day, everything, include_with
from tests.unit.operations.maintenance.homes import correct, days_pass, ingest, keep_for, stored
from tests.unit.warm import run_code

FAR = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return include_with(tmp_path, monkeypatch)


def root() -> Path:
    return Path(Settings.from_environment().storage)


def retain(**limits: float) -> Retained:
    return apply_retention(Catalog(), Limits(**limits))  # type: ignore[arg-type]


def versions(dataset: str, partition: Partition) -> list[PartitionVersion]:
    return known_versions(dataset, as_of=FAR, first=partition, last=partition)


def test_a_superseded_versions_rows_go_and_its_record_stays_and_says_since_when(landed: None, include: Path) -> None:
    keep_for(include, "weather", "{superseded_days: 10, raw_days: null}")
    first, second = ingest("weather", day(5)), correct("weather", day(5), "temp", 39.5)
    days_pass(11)
    done = retain()
    assert done.versions == ["weather 2013-01-05 version 1"]
    assert [each.path for each in done.removals] == [first.path]
    assert first.path not in stored()
    assert {second.path, second.quarantine_path} <= set(stored())
    removed, current = versions("weather", day(5))
    assert removed.removed_at is not None
    assert removed.digest == first.digest
    assert current.removed_at is None
    with pytest.raises(DataError, match="version 1, which was known at that time, was removed by retention on "):
        read_partition(removed)
    assert len(read_partition(current)) == current.rows


def test_a_day_before_its_time_nothing_goes(landed: None, include: Path) -> None:
    keep_for(include, "weather", "{superseded_days: 10, raw_days: 10}")
    ingest("weather", day(5))
    days_pass(30)  # how old the version is does not count, but how long ago it was superseded
    correct("weather", day(5), "temp", 39.5)
    days_pass(9)
    before = stored("datasets")
    assert retain().versions == []
    assert stored("datasets") == before


def test_without_a_declaration_every_version_stays_for_ever(landed: None, include: Path) -> None:
    keep_for(include, "weather", "{raw_days: null}")
    ingest("weather", day(5))
    correct("weather", day(5), "temp", 39.5)
    days_pass(20_000)
    before = everything()
    assert retain() == Retained()
    assert everything() == before


def test_the_quarantined_rows_of_a_removed_version_go_with_it(landed: None, include: Path) -> None:
    keep_for(include, "weather", "{superseded_days: 10, raw_days: null}")
    first = correct("weather", day(5), "wind_speed", 1048)
    assert first.quarantined == 1
    correct("weather", day(5), "wind_speed", 10)
    days_pass(11)
    assert {each.path for each in retain().removals} == {first.path, first.quarantine_path}
    assert first.quarantine_path not in stored()


def test_content_that_came_back_is_kept_while_one_of_its_versions_is(landed: None, include: Path) -> None:
    """A, B, A: versions 1 and 3 are one file."""
    keep_for(include, "weather", "{superseded_days: 10, raw_days: null}")
    first = correct("weather", day(5), "temp", 30.5)
    second = correct("weather", day(5), "temp", 39.5)
    third = correct("weather", day(5), "temp", 30.5)
    assert third.path == first.path
    assert third.version == 3
    days_pass(11)
    assert retain().versions == ["weather 2013-01-05 version 2"]
    assert third.path in stored()
    assert second.path not in stored()
    assert len(read_partition(versions("weather", day(5))[0])) == first.rows
    correct("weather", day(5), "temp", 50.5)
    days_pass(11)
    assert retain().versions == ["weather 2013-01-05 version 1", "weather 2013-01-05 version 3"]
    assert third.path not in stored()


def test_what_the_snapshot_of_a_registered_version_names_is_never_removed(cycled: None, include: Path) -> None:
    for dataset in ("weather", "schedules", "outcomes"):
        keep_for(include, dataset, "{superseded_days: 1, raw_days: 1}")
    named = {parse_member(key, member) for row in rows_of(snapshots) for key, member in row.members.items()}
    for number in (6, 7):
        correct("weather", day(number), "temp", 39.5)
        correct("outcomes", day(number), "arr_delay", 7)
    days_pass(4000)
    assert retain().versions == []
    for dataset in ("weather", "schedules", "outcomes"):
        for version in known_versions(dataset, as_of=FAR, first=EARLIEST, last=LATEST):
            assert len(read_partition(version)) == version.rows
    assert ("weather", day(6), 1) in named


def folders_of(removals: list[Removal]) -> set[str]:
    return {each.path.split("/")[0] for each in removals}


def test_what_only_a_rejected_candidates_snapshot_names_goes_with_time(cycled: None, include: Path) -> None:
    keep_for(include, "weather", "{superseded_days: 1, raw_days: null}")
    with writing() as connection:  # as if the gate had rejected it
        connection.execute(promotions.delete())
        connection.execute(model_versions.delete())
        connection.execute(decisions.update().values(verdict="rejected"))
    correct("weather", day(6), "temp", 39.5)
    days_pass(20)
    assert retain(unregistered_days=30).versions == []  # its frame is young: a training may be under way
    days_pass(20)
    done = retain(unregistered_days=30)
    assert done.versions == ["weather 2013-01-06 version 1"]
    assert folders_of(done.removals) == {"raw", "datasets", "training", "references"}
    assert stored("training") == stored("references") == []


def test_a_blessed_candidate_keeps_its_frame_and_its_reference_sample_though_it_is_not_registered(cycled: None, include: Path) -> None:
    with writing() as connection:
        connection.execute(promotions.delete())
        connection.execute(model_versions.delete())
    days_pass(4000)
    before = stored("training") + stored("references")
    retain()
    assert stored("training") + stored("references") == before
    assert len(before) == 5  # the frame, the snapshot's parts, the samples of what it was fitted on, with its profile, and of its holdout


def test_training_again_after_its_frame_and_reference_were_removed_gives_them_back(cycled: None, include: Path) -> None:
    from include.evergreen.training.train import train

    with writing() as connection:
        connection.execute(promotions.delete())
        connection.execute(model_versions.delete())
        connection.execute(decisions.update().values(verdict="rejected"))
    contents = {path: (root() / path).read_bytes() for path in stored("training") + stored("references") if path == profiled_rows(path)}
    days_pass(40)
    assert folders_of(retain().removals) == {"raw", "training", "references"}
    catalog = Catalog()
    model = catalog.model(MODEL)
    snapshot = take_snapshot(catalog, model, rows_of(snapshots)[0].as_of)
    _, is_new = train(catalog, model, snapshot, "again")
    assert not is_new
    assert {path: (root() / path).read_bytes() for path in stored("training") + stored("references")} == contents


def test_raw_rows_go_after_raw_days_and_the_version_says_that_they_are_kept_no_longer(landed: None, include: Path) -> None:
    keep_for(include, "weather", "{raw_days: 5}")
    version = ingest("weather", day(5))
    days_pass(4)
    assert retain().removals == []
    days_pass(2)
    assert [each.path for each in retain().removals] == [version.raw_path]
    assert versions("weather", day(5))[0].raw_path == ""
    assert version.raw_path not in stored()
    assert version.path in stored()


def test_raw_rows_that_were_validated_again_lately_stay(landed: None, include: Path) -> None:
    keep_for(include, "weather", "{raw_days: 5}")
    version = ingest("weather", day(5))
    days_pass(6)
    assert ingest("weather", day(5)).version == version.version
    days_pass(2)
    assert retain().removals == []
    assert version.raw_path in stored()


def test_old_reports_go_and_what_was_monitored_is_not_monitored_again_for_it(cycled: None, include: Path) -> None:
    from include.evergreen.monitoring import monitor
    from include.evergreen.scoring.score import score

    catalog = Catalog()
    model = catalog.model(MODEL)
    for name in catalog.dataset_names():
        for number in range(18, 22):
            ingest(name, day(number))
    assert score(catalog, model, day(20), "live").status in {"done", "unchanged"}
    monitor(catalog, model, day(20), "live")
    days_pass(30)
    path = ensure_report(catalog, model, day(20))
    days_pass(6)
    assert path not in {each.path for each in retain(report_days=7).removals}, "it counts from when it was drawn"
    days_pass(2)
    assert path in {each.path for each in retain(report_days=7).removals}
    assert path not in stored()
    assert monitor(catalog, model, day(20), "live").status == "unchanged"
    assert ensure_report(catalog, model, day(20)) == path
    assert path in stored()


def test_the_drift_report_of_a_firing_is_kept_as_its_evidence(cycled: None, storage_root: Path) -> None:
    fired, other = f"reports/{MODEL}/2013-01-20/a.html.gz", f"reports/{MODEL}/2013-01-19/b.html.gz"
    for path in (fired, other):
        storage.write_bytes(path, b"")
    with writing() as connection:
        values = {"rule": "a rule", "version": 1, "evidence": {}, "recorded_at": clock.now()}
        connection.execute(firings.insert().values(model=MODEL, as_of=day(20), **values))
    days_pass(1000)
    assert other in {each.path for each in retain(report_days=7).removals}
    assert fired in stored()


@pytest.mark.usefixtures("home", "storage_root")
def test_what_a_figure_was_goes_long_after_it_was_revised_and_what_it_is_stays() -> None:
    for value in (0.1, 0.2, 0.3):
        record_observations(MODEL, day(20), [Observation(MODEL, day(20), "drift.share", value, 1, "live", 900)])
    assert retain(history_days=7).figures == 0
    with writing() as connection:
        connection.execute(superseded_observations.update().values(superseded_at=clock.now() - dt.timedelta(days=8)))
    assert apply_retention(Catalog(), Limits(history_days=7), dry_run=True).figures == 2
    assert [each.value for each in list_superseded(MODEL)] == [0.1, 0.2]
    assert retain(history_days=7).figures == 2
    assert retain(history_days=7) == Retained()
    assert (list_superseded(MODEL), [each.value for each in list_observations(MODEL)]) == ([], [0.3])


STRAYS = [
    "reports/README",
    f"reports/{MODEL}/notes.html",
    f"reports/{MODEL}/last week/a.html.gz",
    f"reports/{MODEL}/2013-01-20/old/a.html.gz",
    "training/README",
    f"training/{MODEL}/notes.parquet",
    "references/README",
    f"references/{MODEL}/old/a.parquet",
]


@pytest.mark.usefixtures("home", "storage_root")
def test_a_file_that_is_none_of_ours_stops_nothing_and_goes_with_what_no_record_names() -> None:
    old = f"reports/{MODEL}/2013-01-20/a.html.gz"
    for path in (*STRAYS, old):
        storage.write_bytes(path, b"")
    days_pass(1000)
    assert [each.path for each in retain(report_days=7).removals] == [old]
    assert {each.path for each in remove_orphans(Catalog(), Limits())} == set(STRAYS)


def test_a_dry_run_says_the_same_and_touches_nothing(cycled: None, include: Path) -> None:
    keep_for(include, "schedules", "{superseded_days: 1, raw_days: 1}")
    ingest("schedules", day(25))
    correct("schedules", day(25), "distance", 777)
    storage.write_bytes(f"reports/{MODEL}/2013-01-20/a.html.gz", b"")
    days_pass(200)
    before = everything()
    said = apply_retention(Catalog(), Limits(), dry_run=True)
    assert everything() == before
    assert said.versions == ["schedules 2013-01-25 version 1"]
    done = retain()
    assert [(each.path, each.why) for each in said.removals] == [(each.path, each.why) for each in done.removals]
    assert len(done.removals) >= 3  # raw rows, a version, reports


def test_done_twice_it_finds_nothing_more(cycled: None, include: Path) -> None:
    keep_for(include, "weather", "{superseded_days: 1, raw_days: 1}")
    correct("weather", day(19), "temp", 39.5)
    days_pass(200)
    assert retain().removals
    before = everything()
    assert retain() == Retained()
    assert everything() == before


def test_a_file_that_a_run_has_just_written_again_stays_though_its_version_is_marked(landed: None, include: Path) -> None:
    keep_for(include, "weather", "{superseded_days: 10, raw_days: null}")
    first = correct("weather", day(5), "temp", 30.5)
    correct("weather", day(5), "temp", 39.5)
    days_pass(11)
    (root() / first.path).touch()  # an ingestion under way, in which the first content comes back
    assert retain().versions == ["weather 2013-01-05 version 1"]
    assert first.path in stored()


def test_a_wrong_declaration_keeps_its_dataset_and_the_others_are_done(landed: None, include: Path) -> None:
    for dataset in ("outcomes", "weather"):
        keep_for(include, dataset, "{superseded_days: 1, raw_days: null}")
    ingest("weather", day(5))
    correct("weather", day(5), "temp", 39.5)
    days_pass(11)
    keep_for(include, "outcomes", "{superseded_days: soon}")
    done = retain()
    assert done.versions == ["weather 2013-01-05 version 1"]
    assert len(done.problems) == 1
    assert "outcomes: retention was not applied" in done.problems[0]
    assert "superseded_days" in done.problems[0]


def test_killed_between_the_record_and_the_file_it_leaves_an_orphan_and_no_broken_promise(landed: None, include: Path) -> None:
    from include.evergreen.operations.maintenance import records_without_files, remove_orphans

    keep_for(include, "weather", "{superseded_days: 10, raw_days: 10}")
    first = ingest("weather", day(5))
    correct("weather", day(5), "temp", 39.5)
    days_pass(11)
    code = """
import os, signal
from include.evergreen.state import storage
from include.evergreen.config import Catalog
from include.evergreen.operations.maintenance import Limits, apply_retention
storage.remove = lambda path: os.kill(os.getpid(), signal.SIGKILL)
apply_retention(Catalog(), Limits())
"""
    run_code(code, exit_code=-9)
    assert first.path in stored()
    assert versions("weather", day(5))[0].removed_at is not None
    assert records_without_files() == []
    removed = remove_orphans(Catalog(), Limits())
    assert first.path in {each.path for each in removed}
    assert first.path not in stored()
    with reading() as connection:
        assert len(connection.execute(partition_versions.select()).all()) == 2


def test_a_snapshot_that_read_what_retention_removed_meanwhile_is_not_recorded(
    cycled: None, include: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training as of the past reads a superseded version; retention takes it before the snapshot is recorded."""
    from include.evergreen.state import storage

    keep_for(include, "weather", "{superseded_days: 1, raw_days: null}")
    catalog = Catalog()
    recorded = len(rows_of(snapshots))
    with writing() as connection:
        connection.execute(promotions.delete())
        connection.execute(model_versions.delete())
        connection.execute(decisions.delete())
    correct("weather", day(6), "temp", 39.5, known_at=DAILY.start(day(22)))
    days_pass(40)
    write = storage.write_bytes

    def retention_comes_first(path: str, content: bytes) -> None:
        retain(unregistered_days=30)
        write(path, content)

    monkeypatch.setattr(storage, "write_frame", lambda path, frame: None)
    monkeypatch.setattr(storage, "write_bytes", retention_comes_first)
    with pytest.raises(DataError, match="version 1 of weather 2013-01-06 was removed by retention while it was read"):
        take_snapshot(catalog, catalog.model(MODEL), day(19))
    assert len(rows_of(snapshots)) == recorded
