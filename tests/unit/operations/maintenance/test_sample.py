from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from include.evergreen.config import Catalog
from include.evergreen.data.partitions import current_partition
from include.evergreen.data.partitions.verification import StoredRows
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.operations.maintenance import SampleVerification, verify_sample
from include.evergreen.operations.maintenance import sample as sample_module
from include.evergreen.operations.maintenance.sample import refuse_damage
from include.evergreen.scoring.predictions import find_predictions, list_predictions
from include.evergreen.state import ledger, storage
from include.evergreen.state.database.tables import ledger as ledger_table
from tests.unit.flights import rows_of
from tests.unit.lifecycle import MODEL, day
from tests.unit.operations.maintenance.homes import correct

ALL = 10_000
pytestmark = pytest.mark.usefixtures("cycled")


def change(path: str, how: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    storage.write_frame(path, how(storage.read_frame(path)))


def test_all_that_a_cycle_made_is_what_was_recorded() -> None:
    verified = verify_sample(ALL, night="2013-02-01")
    assert verified.damage == []
    versions = sum(current_partition(name, day(number)) is not None for name in Catalog().dataset_names() for number in range(1, 26))
    assert verified.checked == verified.population == versions + len(list_predictions(MODEL))


def test_a_changed_value_is_found_named_and_recorded_in_the_ledger_once() -> None:
    version = current_partition("weather", day(5))
    assert version
    change(version.path, lambda frame: frame.assign(temp=frame["temp"] + 0.1))
    for _ in range(2):
        verified = verify_sample(ALL, night="2013-02-01")
        assert [each.subject for each in verified.damage] == ["weather 2013-01-05: version 1, its accepted rows"]
    (entry,) = [row for row in rows_of(ledger_table) if row.kind == "damage"]
    assert version.path in entry.body
    assert version.digest in entry.body
    assert ledger.verify() == []
    with pytest.raises(DataError, match="1 files do not hold what was recorded") as refused:
        refuse_damage(verified.damage)
    assert "weather 2013-01-05: version 1, its accepted rows: " in str(refused.value)
    assert "ingest weather 2013-01-05 again" in str(refused.value)


def test_changed_raw_rows_quarantined_rows_and_predictions_are_found_too() -> None:
    bad = correct("weather", day(6), "wind_speed", 1048)
    predictions = list_predictions(MODEL)[-1:] or [_scored()]
    change(bad.quarantine_path, lambda frame: frame.assign(wind_speed=10.0))
    change(bad.raw_path, lambda frame: frame.iloc[1:])
    change(predictions[0].path, lambda frame: frame.assign(prediction=frame["prediction"] + 1e-12))
    found = {each.subject for each in verify_sample(ALL, night="2013-02-01").damage}
    assert found == {
        "weather 2013-01-06: version 2, its quarantined rows",
        "weather 2013-01-06: version 2, its raw rows",
        f"{MODEL} {predictions[0].partition}: its predictions",
    }


def test_a_superseded_version_that_a_registered_models_snapshot_names_may_be_chosen_and_another_is_not() -> None:
    named = current_partition("weather", day(6))
    correct("weather", day(6), "temp", 39.5)
    not_named = correct("weather", day(20), "temp", 39.5)
    correct("weather", day(20), "temp", 49.5)
    assert named
    for version in (named, not_named):
        change(version.path, lambda frame: frame.iloc[1:])
    assert [each.subject for each in verify_sample(ALL, night="x").damage] == ["weather 2013-01-06: version 1, its accepted rows"]


def test_a_night_chooses_the_same_sample_each_time_and_another_night_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(night: str) -> tuple[SampleVerification, list[str]]:
        read: list[str] = []

        def remember(path: str, digest: str) -> StoredRows:
            read.append(path)
            return StoredRows("whole", digest, 0, "")

        monkeypatch.setattr(sample_module, "stored_rows", remember)
        return verify_sample(5, night=night), read

    first, again, next_night = chosen("2013-02-01"), chosen("2013-02-01"), chosen("2013-02-02")
    assert first == again
    assert first[0].checked == 5
    assert first[1] != next_night[1]


def test_a_sample_of_none_reads_nothing() -> None:
    verified = verify_sample(0, night="2013-02-01")
    assert (verified.checked, verified.damage) == (0, [])


def test_a_record_that_is_replaced_while_its_file_is_read_is_not_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = list_predictions(MODEL)[-1:] or [_scored()]
    verify = sample_module.stored_rows

    def replaced_first(path: str, digest: str) -> StoredRows:
        if path == predictions[0].path:
            monkeypatch.undo()
            rescored_and_swept(path)
        return verify(path, digest)

    def rescored_and_swept(path: str) -> None:
        from include.evergreen.scoring.score import score

        correct("schedules", predictions[0].partition, "distance", 999)
        score(Catalog(), Catalog().model(MODEL), predictions[0].partition, "live")
        storage.remove(path)

    home = storage.Settings.from_environment().home
    monkeypatch.setattr(sample_module, "stored_rows", replaced_first)
    monkeypatch.setenv("EVERGREEN_HOME", str(home))
    assert verify_sample(ALL, night="2013-02-01").damage == []


def test_a_storage_that_does_not_answer_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(path: str) -> bool:
        raise TransientError(f"{path} could not be read")

    monkeypatch.setattr(storage, "exists", silent)
    with pytest.raises(TransientError):
        verify_sample(3, night="2013-02-01")
    assert [row for row in rows_of(ledger_table) if row.kind == "damage"] == []


def _scored():  # type: ignore[no-untyped-def]
    from include.evergreen.scoring.score import score

    score(Catalog(), Catalog().model(MODEL), day(20), "live")
    found = find_predictions(MODEL, day(20))
    assert found
    return found
