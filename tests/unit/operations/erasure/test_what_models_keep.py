from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.data.conditions import Conditions
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.errors import TransientError
from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring import NotAsMonitoredError, ensure_report, monitor
from include.evergreen.monitoring.kept_profiles import PROFILE_SUFFIX
from include.evergreen.operations.erasure.erase import Erasure, erase
from include.evergreen.promotion.cards import ensure_card
from include.evergreen.registry import champions
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import candidates, prediction_sets, reports, snapshots
from include.evergreen.training.candidate import holdout_path
from tests.unit.flights import SECOND_AS_OF, january, rows_of
from tests.unit.operations.erasure.conftest import MODEL, SCORED, places_with
from tests.unit.warm import run_code

DAY = january(18)  # scored below; it is in the training window of the second candidate, and not of the champion
EARLIER = january(10)  # in the training window of both


@pytest.fixture
def tail(scored: Path) -> str:
    """An aircraft that flew on `DAY` and on `EARLIER`, in a home where the day is scored and monitored; it stands for a person."""
    flown = [read_partition(_current(day))["tailnum"].dropna() for day in (DAY, EARLIER)]
    return str(sorted(set(flown[0]) & set(flown[1]))[0])


def test_predictions_frames_and_samples_lose_the_rows_and_nothing_else(tail: str) -> None:
    predictions = find_predictions(MODEL, DAY)
    assert predictions is not None
    before, flights = predictions.frame(), _flights_of(tail, DAY)
    frames = {row.frame_path: storage.read_frame(row.frame_path) for row in _of_model(snapshots)}
    paths = [path for row in _of_model(candidates) for path in (row.reference_path, holdout_path(row.reference_path))]
    samples = {path: storage.read_frame(path) for path in paths}
    gone = {day: _flights_of(tail, day) for day in (january(day) for day in range(1, 22))}
    _erase(tail)
    after = find_predictions(MODEL, DAY)
    assert after is not None
    kept = [key not in flights for key in before[["key:carrier", "key:flight", "key:origin"]].itertuples(index=False, name=None)]
    assert flights
    assert after.frame().equals(before[kept].reset_index(drop=True))
    assert (after.rows, after.digest) == (sum(kept), frame_digest(after.frame()))
    assert storage.exists(after.path)
    assert not storage.exists(predictions.path)
    for path, frame in {**frames, **samples}.items():
        days = frame["partition"]
        rows = zip(days, frame["key:carrier"], frame["key:flight"], frame["key:origin"], strict=True)
        stays = [key not in gone[day] for day, *rest in rows for key in [tuple(rest)]]
        assert storage.read_frame(path).equals(frame[stays].reset_index(drop=True))
        assert path.startswith("references") or not all(stays)


def test_a_model_card_holds_nobody_before_an_erasure_or_after_and_can_still_be_written(tail: str) -> None:
    catalog = Catalog()
    model, version = catalog.model(MODEL), champions.champion(MODEL)
    assert version is not None
    card = storage.read_bytes(ensure_card(catalog, model, version)).decode()
    assert tail not in card
    _erase(tail)
    for file in list(storage.files("cards")):
        storage.remove(file.path)
    again = storage.read_bytes(ensure_card(catalog, model, version)).decode()
    assert tail not in again
    assert "It cannot be reproduced bit for bit: rows were erased: request 17." in again


def test_no_file_and_no_database_of_ours_holds_the_person(tail: str) -> None:
    assert places_with(tail)
    _erase(tail)
    assert places_with(tail) == []


def test_reports_that_may_show_a_row_go_and_none_is_drawn_again_but_of_what_is_left(tail: str) -> None:
    assert len(list(storage.files(f"reports/{MODEL}"))) == 2
    monitored = rows_of(reports)
    _erase(tail)
    assert not list(storage.files(f"reports/{MODEL}"))
    assert rows_of(reports) == monitored, "that they were monitored stays"
    catalog = Catalog()
    model = catalog.model(MODEL)
    with pytest.raises(NotAsMonitoredError):
        ensure_report(catalog, model, DAY)
    ensure_report(catalog, model, january(19))  # the person was in none of what it shows
    assert monitor(catalog, model, DAY, "live").status == "done"
    assert storage.exists(ensure_report(catalog, model, DAY))
    assert places_with(tail) == []


def test_profiles_of_rows_that_go_and_all_that_are_counted_on_them_are_erased_and_made_anew(tail: str) -> None:
    kept = {file.path for folder in ("predictions", "references") for file in storage.files(folder) if file.path.endswith(PROFILE_SUFFIX)}
    assert len(kept) == 6, "of two days and their reference, and of the labels of each"
    predictions = find_predictions(MODEL, DAY)
    assert predictions is not None
    assert f"{predictions.path}{PROFILE_SUFFIX}" in kept
    other_model = {path.replace(MODEL, "other") for path in kept}
    for path in other_model:
        storage.write_bytes(path, b"")
    dry = _erase(tail, dry_run=True)
    flown = [day for day in SCORED if _flights_of(tail, day)]
    assert dry.counts["profiles"] == (6 if _is_in_reference(tail) else 2 * len(flown))
    assert all(map(storage.exists, kept))
    assert _erase(tail).counts["profiles"] == dry.counts["profiles"]
    assert not storage.exists(f"{predictions.path}{PROFILE_SUFFIX}")
    catalog = Catalog()
    assert monitor(catalog, catalog.model(MODEL), DAY, "live").status == "done"
    after = find_predictions(MODEL, DAY)
    assert after is not None
    assert storage.exists(f"{after.path}{PROFILE_SUFFIX}")
    assert all(map(storage.exists, other_model))


def test_what_others_laid_among_our_files_stops_no_erasure_and_is_listed_as_not_searched(tail: str) -> None:
    strays = [
        *(f"{folder}/{MODEL}/notes.txt" for folder in ("predictions", "reports")),
        *(f"{folder}/{MODEL}/notes.parquet" for folder in ("training", "references")),
        f"predictions/{MODEL}/{DAY}/notes.txt",
        f"reports/{MODEL}/last week/a.html.gz",
        "reports/README",
        "raw/schedules/last week/a.parquet",
    ]
    for path in strays:
        storage.write_bytes(path, b"")
    other = f"training/{MODEL}/of_another_kind.parquet"
    storage.write_frame(other, pd.DataFrame({"name": ["value"]}))
    person = f"raw/schedules/last month/{DAY}.parquet"
    storage.write_frame(person, storage.read_frame(_current(DAY).path))
    erased = _erase(tail)
    assert set(erased.unsearched) == {*strays, other, person}
    assert {file.path for file in storage.files(f"reports/{MODEL}")} <= set(strays)
    for path in {*strays, other, person}:
        storage.remove(path)  # by hand, as it says
    assert places_with(tail) == []


def test_snapshots_have_a_tombstone_for_each_member_that_changed_and_their_models_say_so(tail: str) -> None:
    _erase(tail)
    for row in _of_model(snapshots):
        changed = {each["member"] for each in row.tombstones}
        assert f"schedules/{EARLIER}/v1" in changed
        assert all(name.startswith("schedules/") and name in row.members for name in changed)
        assert (f"schedules/{DAY}/v1" in changed) == (row.as_of == SECOND_AS_OF)
        assert {each["why"] for each in row.tombstones} == {"rows were erased: request 17"}
        assert tail not in str(row.tombstones)
    assert all("rows of schedules that it had read were erased on" in row.irreproducible_because for row in _of_model(candidates))


def test_scoring_again_after_an_erasure_gives_the_predictions_of_those_who_are_left(tail: str) -> None:
    _erase(tail)
    erased = find_predictions(MODEL, DAY)
    catalog = Catalog()
    assert score(catalog, catalog.model(MODEL), DAY, "live").status == "done"
    again = find_predictions(MODEL, DAY)
    assert erased is not None
    assert again is not None
    pd.testing.assert_frame_equal(again.frame(), erased.frame(), rtol=1e-12)  # sums over fewer rows may differ in the last bit


def test_nothing_is_scored_or_monitored_while_an_erasure_is_unfinished(tail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import include.evergreen.operations.erasure.erase as module

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_search_all", killed)
    with pytest.raises(KeyboardInterrupt):
        _erase(tail)
    catalog = Catalog()
    with pytest.raises(TransientError, match="schedules: an erasure by tailnum, begun .* by a person, is not finished"):
        score(catalog, catalog.model(MODEL), january(20), "live")
    with writing() as connection:
        connection.execute(reports.delete())
    with pytest.raises(TransientError, match="is not finished"):
        monitor(catalog, catalog.model(MODEL), DAY, "live")
    assert rows_of(reports) == []


def test_a_frame_that_does_not_name_its_rows_loses_whole_days(tail: str) -> None:
    [row] = [row for row in _of_model(snapshots) if row.as_of == SECOND_AS_OF]
    frame = storage.read_frame(row.frame_path)
    storage.write_frame(row.frame_path, frame[[name for name in frame if not name.startswith("key:")]])
    days = {day for day in (january(day) for day in range(1, 22)) if _flights_of(tail, day)}
    _erase(tail)
    left = storage.read_frame(row.frame_path)["partition"]
    assert set(left) == set(frame["partition"]) - days


def test_a_model_that_is_no_longer_declared_is_named_as_not_searched(tail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes("training/a_retired_model/frame.parquet", b"")
    assert _erase(tail).unsearched == ["training/a_retired_model"]


def test_the_truth_of_a_person_is_erased_from_training_frames_alone(tail: str) -> None:
    [row] = [row for row in _of_model(snapshots) if row.as_of == SECOND_AS_OF]
    [(carrier, flight, origin), *_] = sorted(_flights_of(tail, EARLIER))
    before, predicted = storage.read_frame(row.frame_path), rows_of(prediction_sets)
    scored, version, labels = find_predictions(MODEL, DAY), champions.champion(MODEL), current_partition("outcomes", DAY)
    assert scored and version and labels
    sample, flown = storage.read_frame(version.reference_path), read_partition(labels)
    outcomes = Catalog().dataset("outcomes")
    erase(Catalog(), outcomes, Conditions({"carrier": carrier, "flight": flight, "origin": origin}), actor="a person", reason="request 18")
    after = storage.read_frame(row.frame_path)
    same = (before["key:carrier"] == carrier) & (before["key:flight"] == flight) & (before["key:origin"] == origin)
    assert same.any()
    assert after.equals(before[~same].reset_index(drop=True))
    assert rows_of(prediction_sets) == predicted
    is_sampled = not storage.read_frame(version.reference_path).equals(sample)
    has_label = (carrier, flight, origin) in set(flown[["carrier", "flight", "origin"]].itertuples(index=False, name=None))
    assert storage.exists(f"{scored.path}.profile") == (not is_sampled)
    assert storage.exists(f"{scored.path}.target.profile") == (not is_sampled and not has_label)


KILLED = """
import shutil
from include.evergreen.state import storage
from include.evergreen.data.conditions import Conditions
from include.evergreen.config import Catalog
from include.evergreen.state.database.tables import candidates, partition_versions, prediction_sets, reports, snapshots
from include.evergreen.operations.erasure.erase import erase
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.settings import Settings
from tests.unit.operations.erasure.conftest import MODEL, places_with
from tests.unit.flights import rows_of
from tests.unit.killing import Killing
shutil.rmtree(Settings.from_environment().home / "landing")
def state():
    read = lambda path: frame_digest(storage.read_frame(path))
    return (
        [(row.partition, row.digest) for row in rows_of(partition_versions)],
        [(row.partition, row.rows, row.digest, read(row.path)) for row in rows_of(prediction_sets)],
        [(row.digest, read(row.frame_path), sorted(each["member"] for each in row.tombstones)) for row in rows_of(snapshots)],
        [(row.run_key, read(row.reference_path), row.irreproducible_because) for row in rows_of(candidates)],
        rows_of(reports),
        sorted(file.path for folder in ("reports", "predictions", "references") for file in storage.files(folder)),
    )
catalog = Catalog()
killing = Killing(
    lambda: erase(catalog, catalog.dataset("schedules"), Conditions({"tailnum": TAIL}), actor="a person", reason="request 17"),
    ("operations/erasure/", "data/erased/"),
)
expected = state()
for point in killing.some_lines(8):
    killing.die(point)
    killing.live()
    assert state() == expected, point
    assert places_with(TAIL) == [], (point, places_with(TAIL))
"""


def test_killed_anywhere_among_the_models_the_same_command_finishes(tail: str) -> None:
    run_code(KILLED.replace("TAIL", repr(tail)))


def _erase(tail: str, *, dry_run: bool = False) -> Erasure:
    return erase(Catalog(), _schedules(), Conditions({"tailnum": tail}), actor="a person", reason="request 17", dry_run=dry_run)


def _is_in_reference(tail: str) -> bool:
    version = champions.champion(MODEL)
    assert version is not None
    reference = storage.read_frame(version.reference_path)[["partition", "key:carrier", "key:flight", "key:origin"]]
    return any((day, *key) in set(reference.itertuples(index=False, name=None)) for day in january_days() for key in _flights_of(tail, day))


def january_days() -> list[Partition]:
    return [january(day) for day in range(1, 22)]


def _schedules() -> DatasetConfig:
    return Catalog().dataset("schedules")


def _current(day: Partition):  # type: ignore[no-untyped-def]
    version = current_partition("schedules", day)
    assert version is not None
    return version


def _flights_of(tail: str, day: Partition) -> set[tuple[str, int, str]]:
    rows = read_partition(_current(day))
    return set(rows[rows["tailnum"] == tail][["carrier", "flight", "origin"]].itertuples(index=False, name=None))


def _of_model(table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
    with reading() as connection:
        return list(connection.execute(table.select().where(table.c.model == MODEL)).all())
