from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.foundation.errors import DataError
from include.evergreen.monitoring.kept_profiles import PROFILE_SUFFIX, TARGET_SUFFIX
from include.evergreen.operations.maintenance import Limits, Removal, remove_orphans
from include.evergreen.state import storage
from include.evergreen.state.database.tables import reports
from tests.unit.flights import rows_of
from tests.unit.lifecycle import MODEL, day, everything, landing, shorten
from tests.unit.operations.maintenance.homes import correct, days_pass, ingest, set_age, stored
from tests.unit.warm import run_code


def sweep(**limits: float) -> list[Removal]:
    return remove_orphans(Catalog(), Limits(**limits))  # type: ignore[arg-type]


def put(root: Path, path: str, *, age_days: float) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"nobody knows me")
    set_age(file, age_days)
    return file


FOLDERS = ["raw/weather/2013-01-05", "datasets/weather/2013-01-05", "quarantine/weather/2013-01-05", f"predictions/{MODEL}/2013-01-20",
           f"reports/{MODEL}/2013-01-20", f"training/{MODEL}", f"references/{MODEL}", "datasets/no_longer_declared/2013-01-05"]  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_file_that_no_record_names_goes_when_it_is_old_enough_and_not_before(landed: None, storage_root: Path, folder: str) -> None:
    young = put(storage_root, f"{folder}/young.parquet", age_days=0.9)
    old = put(storage_root, f"{folder}/old.parquet", age_days=1.1)
    removed = sweep()
    assert removed == [Removal(f"{folder}/old.parquet", len("nobody knows me"), "no record names it")]
    assert young.exists()
    assert not old.exists()


def test_nothing_that_a_record_names_goes_however_old_it_is(cycled: None) -> None:
    correct("schedules", day(19), "distance", 777)
    (monitored, *_) = rows_of(reports)
    storage.write_bytes(monitored.path, b"drawn")
    days_pass(4000)
    before = everything()
    removed = sweep()
    assert storage.exists(monitored.path)
    assert [each for each in removed if not each.path.startswith("raw/")] == []
    assert {name: value for name, value in everything().items() if name != "files"} == {
        name: value for name, value in before.items() if name != "files"
    }
    assert sweep() == []


def test_folders_that_are_not_ours_are_left_alone(landed: None, storage_root: Path) -> None:
    for path in ("notes/todo.txt", "readme.txt", "datasets_of_another_team/weather/x.parquet"):
        put(storage_root, path, age_days=400)
    assert sweep() == []
    assert len(stored()) == 3


def test_raw_rows_of_a_stopped_partition_are_there_to_be_looked_into_for_raw_days(landed: None) -> None:
    shorten("schedules", day(5), 3)
    file = landing("schedules", day(5))
    file.write_text(file.read_text().replace("ORD", ""))  # validation stops it
    with pytest.raises(DataError):
        ingest("schedules", day(5))
    raw = stored("raw")
    assert len(raw) == 1
    days_pass(29)
    assert sweep() == []
    days_pass(2)
    assert [each.path for each in sweep()] == raw


def test_what_lies_beside_raw_rows_under_their_name_goes_with_them_and_not_before(landed: None, storage_root: Path) -> None:
    version = ingest("weather", day(5))
    beside = f"{version.raw_path}.etag.json"
    put(storage_root, beside, age_days=3)
    assert sweep() == []
    (storage_root / version.raw_path).rename(storage_root / "elsewhere")
    put(storage_root, beside.replace(version.raw_path[-24:], "another.parquet"), age_days=3)
    assert len(sweep()) == 1


def test_what_was_served_stays_though_the_day_was_scored_again(cycled: None) -> None:
    from include.evergreen.scoring.predictions import find_predictions
    from include.evergreen.scoring.score import score

    catalog = Catalog()
    model = catalog.model(MODEL)
    for name in catalog.dataset_names():
        for number in range(19, 22):
            ingest(name, day(number))
    score(catalog, model, day(20), "live")
    before = find_predictions(MODEL, day(20))
    correct("schedules", day(20), "distance", 999)
    score(catalog, model, day(20), "live")
    after = find_predictions(MODEL, day(20))
    assert before and after
    assert (before.scoring, after.scoring) == (1, 2)
    assert before.path != after.path
    unnamed = before.path.replace(".parquet", "x.parquet")
    profiles = {f"{path}{suffix}" for path in (before.path, after.path, unnamed) for suffix in (PROFILE_SUFFIX, TARGET_SUFFIX)}
    for path in profiles:
        storage.write_bytes(path, b"a profile")
    days_pass(2)
    removed = {each.path for each in sweep()}
    assert before.path not in removed
    assert {before.path, after.path} <= set(stored("predictions"))
    assert removed & profiles == {f"{unnamed}{PROFILE_SUFFIX}", f"{unnamed}{TARGET_SUFFIX}"}, "profiles stay with their rows"


def test_a_dry_run_removes_nothing_and_says_the_same(landed: None, storage_root: Path) -> None:
    put(storage_root, f"{FOLDERS[0]}/x.parquet", age_days=5)
    said = remove_orphans(Catalog(), Limits(), dry_run=True)
    assert len(stored()) == 1
    assert said == sweep()
    assert stored() == []


def test_a_file_that_is_written_again_while_the_orphans_are_counted_stays(
    landed: None, storage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingestion writes the same content anew, under the same name, between our listing and our removal."""
    file = put(storage_root, f"{FOLDERS[1]}/x.parquet", age_days=5)
    find = storage.find

    def written_meanwhile(path: str) -> storage.StoredFile | None:
        storage.write_bytes(path, b"nobody knows me")
        return find(path)

    monkeypatch.setattr(storage, "find", written_meanwhile)
    assert sweep() == []
    assert file.exists()


def test_each_step_of_an_ingestion_refreshes_what_it_will_publish(landed: None, storage_root: Path) -> None:
    """On which the grace period rests: content-addressed files are written anew by each run."""
    dataset = Catalog().dataset("weather")
    version = ingest("weather", day(5))
    days_pass(3)
    ages = {path: (storage_root / path).stat().st_mtime for path in stored()}
    fetched = ingestion.fetch(dataset, day(5))
    assert (storage_root / fetched["path"]).stat().st_mtime > ages[version.raw_path] + 86_400
    validated = ingestion.validate_partition(dataset, day(5), fetched, "live")
    for path in (validated["path"], validated["quarantine_path"]):
        assert (storage_root / path).stat().st_mtime > ages[path] + 86_400


def test_publishing_what_waited_so_long_that_it_was_removed_is_refused(landed: None) -> None:
    dataset = Catalog().dataset("weather")
    validated = ingestion.validate_partition(dataset, day(5), ingestion.fetch(dataset, day(5)), "live")
    days_pass(2)
    assert validated["path"] in {each.path for each in sweep()}
    with pytest.raises(DataError, match="was validated and is gone.*Run the ingestion again from its first task"):
        ingestion.publish(dataset, day(5), validated, "live")


def test_what_a_killed_process_was_writing_goes_and_what_a_living_one_writes_stays(landed: None, storage_root: Path) -> None:
    run_code(
        """
import os, signal
from include.evergreen.state import storage
with storage.scratch_file() as scratch:
    scratch.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
""",
        exit_code=-9,
    )
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        put(storage_root, f".unfinished/evergreen-{living.pid}-abcdef", age_days=2)
        put(storage_root, f".unfinished/evergreen-{os.getpid()}-abcdef", age_days=8)  # no task takes so long: another process
        assert len(storage.unfinished_files()) == 3
        assert len(sweep(grace_hours=24)) == 1
        assert len(sweep(grace_hours=0)) == 1
        assert [path.name for path in storage.unfinished_files()] == [f"evergreen-{living.pid}-abcdef"]
    finally:
        living.communicate()
    assert len(sweep(grace_hours=0)) == 1
    assert storage.unfinished_files() == []


def test_an_ingestion_that_was_killed_and_run_again_leaves_nothing_after_maintenance(landed: None) -> None:
    run_code(
        """
import os, signal
from include.evergreen.data import ingestion

from include.evergreen.config import Catalog
dataset, day = Catalog().dataset("weather"), "2013-01-05"
ingestion.publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
ingestion.publish(dataset, day, ingestion.validate_partition(dataset, day, ingestion.fetch(dataset, day), "live"), "live")
""",
        exit_code=-9,
    )
    left = stored()
    assert len(left) == 3
    version = correct("weather", day(5), "temp", 39.5)  # the source has mended something meanwhile
    sweep(grace_hours=0)
    assert set(stored()) == {version.path, version.quarantine_path, version.raw_path}


def test_empty_folders_go_with_their_last_file(landed: None, storage_root: Path) -> None:
    put(storage_root, f"{FOLDERS[-1]}/x.parquet", age_days=5)
    sweep()
    assert not (storage_root / "datasets" / "no_longer_declared").exists()
    assert storage_root.exists()
