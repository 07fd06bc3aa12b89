from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.monitoring import ensure_report, monitor
from include.evergreen.operations.maintenance import records_without_files
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates, prediction_sets, snapshots
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tests.unit.flights import rows_of
from tests.unit.lifecycle import MODEL, day
from tests.unit.operations.maintenance.homes import correct, ingest, ingest_missing, stored


@pytest.fixture
def whole(cycled: None) -> None:
    """A home in which nothing is lost."""
    ingest_missing(day(21))
    catalog = Catalog()
    model = catalog.model(MODEL)
    score(catalog, model, day(20), "live")
    monitor(catalog, model, day(20), "live")


def test_where_nothing_is_lost_nothing_is_reported(whole: None) -> None:
    assert records_without_files() == []


def test_lost_rows_are_named_with_their_partition_and_ingesting_again_brings_them_back(whole: None) -> None:
    lost = stored("datasets/weather/2013-01-05") + stored("raw/weather/2013-01-05")
    for path in lost:
        storage.remove(path)
    found = records_without_files()
    assert {each.path for each in found} == set(lost)
    assert {each.subject for each in found} == {
        "weather 2013-01-05: version 1 (current), its 72 accepted rows",
        "weather 2013-01-05: version 1 (current), its raw rows",
    }
    assert "ingest weather 2013-01-05 again" in found[0].fix
    ingest("weather", day(5))
    assert records_without_files() == []


def test_lost_rows_of_a_superseded_version_can_only_come_from_a_backup(whole: None) -> None:
    path = stored("datasets/weather/2013-01-05")[0]
    correct("weather", day(5), "temp", 39.5)
    storage.remove(path)
    (found,) = records_without_files()
    assert found.subject.startswith("weather 2013-01-05: version 1 (superseded)")
    assert "restore it from a backup" in found.fix


def test_lost_predictions_come_back_by_what_the_message_says(whole: None) -> None:
    predictions = find_predictions(MODEL, day(20))
    assert predictions
    storage.remove(predictions.path)
    (found,) = records_without_files()
    assert found.path == predictions.path
    assert f"rescore {MODEL} --from 2013-01-20 --to 2013-01-20" in found.fix
    catalog = Catalog()
    score(catalog, catalog.model(MODEL), day(20), "live")
    assert records_without_files() == []


def test_a_drift_report_that_is_not_there_is_no_loss_since_it_can_be_drawn(whole: None) -> None:
    catalog = Catalog()
    path = ensure_report(catalog, catalog.model(MODEL), day(20))
    storage.remove(path)
    assert records_without_files() == []
    assert ensure_report(catalog, catalog.model(MODEL), day(20)) == path


def test_a_lost_frame_and_reference_sample_come_back_by_training_again(whole: None) -> None:
    (snapshot,), (candidate,) = rows_of(snapshots), rows_of(candidates)
    storage.remove(snapshot.frame_path)
    storage.remove(candidate.reference_path)
    found = records_without_files()
    assert {each.path for each in found} == {snapshot.frame_path, candidate.reference_path}
    assert all(f"train {MODEL} as of {snapshot.as_of} again" in each.fix for each in found)
    catalog = Catalog()
    model = catalog.model(MODEL)
    train(catalog, model, take_snapshot(catalog, model, snapshot.as_of), "again")
    assert records_without_files() == []


def test_a_record_that_is_removed_while_we_look_is_not_lost(whole: None, monkeypatch: pytest.MonkeyPatch, storage_root: Path) -> None:
    """The record is read, then an erasure removes it and its file, then the storage is listed."""
    from include.evergreen.operations.maintenance import lost

    predictions = find_predictions(MODEL, day(20))
    assert predictions
    files = storage.files

    def removed_meanwhile(folder: str):  # type: ignore[no-untyped-def]
        if folder == "predictions" and (storage_root / predictions.path).exists():
            with writing() as connection:
                key = {"model": MODEL, "partition": day(20)}
                ledger.unbind(connection, prediction_sets, key, reason="rows were erased")
            storage.remove(predictions.path)
        return files(folder)

    monkeypatch.setattr(lost.storage, "files", removed_meanwhile)
    assert records_without_files() == []
    assert not (storage_root / predictions.path).exists()
