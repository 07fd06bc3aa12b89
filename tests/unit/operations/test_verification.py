from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.settings import Settings
from include.evergreen.foundation.span import Span
from include.evergreen.operations.maintenance import Limits, apply_retention
from include.evergreen.operations.verification import (
    SnapshotRecord,
    Verification,
    Verifier,
    find_by_prefix,
    list_model_snapshots,
    recorded_snapshots,
)
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import decisions, model_versions, partition_versions, promotions, snapshots
from include.evergreen.training.snapshot import parts_path
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.lifecycle import AS_OF, MODEL, day, include_with, settle_cycled
from tests.unit.operations.maintenance.homes import correct, days_pass, keep_for

MEMBER = "weather/2013-01-06/v1"


@pytest.fixture(autouse=True)
def cycled() -> None:
    settle_cycled()


@pytest.fixture
def snapshot() -> SnapshotRecord:
    return list_model_snapshots(MODEL)[0]


def verified(snapshot: SnapshotRecord) -> Verification:
    return Verifier().verify(find_by_prefix(snapshot.digest))


def differing(snapshot: SnapshotRecord) -> list[tuple[str, str]]:
    return [(each.name, each.state) for each in verified(snapshot).differing]


def path_of(member: str) -> str:
    dataset, partition, version = member.split("/")
    table = partition_versions.c
    with writing() as connection:
        query = sa.select(table.path).where(
            table.dataset == dataset, table.partition == DAILY.parse(partition), table.version == int(version[1:])
        )
        return str(connection.execute(query).scalar_one())


def never_wanted() -> None:
    """As if the gate had rejected the candidate."""
    with writing() as connection:
        connection.execute(promotions.delete())
        connection.execute(model_versions.delete())
        connection.execute(decisions.update().values(verdict="rejected"))


def test_a_snapshot_is_whole_when_every_byte_that_it_names_can_be_read_again(snapshot: SnapshotRecord) -> None:
    found = verified(snapshot)
    assert (found.state, found.differing) == ("whole", [])
    assert found.checked == len(snapshot.members) + 2  # the record against the parts, and the frame
    assert snapshot.versions == (1,)


def test_it_stays_whole_when_files_are_encoded_otherwise_and_days_are_corrected_since(snapshot: SnapshotRecord) -> None:
    root = Path(Settings.from_environment().storage)
    for path in (path_of(MEMBER), snapshot.frame_path):
        pq.write_table(pq.read_table(root / path), root / path, compression="gzip", row_group_size=7)
    correct("weather", day(6), "temp", 39.5)
    assert verified(snapshot).state == "whole"


def test_one_changed_value_of_one_member_is_named(snapshot: SnapshotRecord) -> None:
    path = path_of(MEMBER)
    frame = storage.read_frame(path)
    frame.loc[len(frame) // 2, "temp"] += 1e-9
    storage.write_frame(path, frame)
    assert differing(snapshot) == [(MEMBER, "changed")]
    assert verified(snapshot).state == "damaged"


def test_a_missing_file_and_a_missing_record_are_told_apart(snapshot: SnapshotRecord) -> None:
    storage.remove(path_of(MEMBER))
    with writing() as connection:
        table = partition_versions.c
        connection.execute(partition_versions.delete().where(table.dataset == "schedules", table.partition == day(7)))
    found = {each.name: each for each in verified(snapshot).differing}
    assert set(found) == {MEMBER, "schedules/2013-01-07/v1"}
    assert found[MEMBER].message.endswith("is not in the storage")
    assert found["schedules/2013-01-07/v1"].message == "no record of version 1 is left in the database"
    assert verified(snapshot).state == "damaged"


def test_rows_and_record_changed_together_are_found_all_the_same(snapshot: SnapshotRecord) -> None:
    """Who can write to the database as well cannot make the snapshot's digest fit."""
    from include.evergreen.data.partitions.verification import file_digest

    path = path_of(MEMBER)
    storage.write_frame(path, storage.read_frame(path).iloc[1:])
    with writing() as connection:
        connection.execute(partition_versions.update().where(partition_versions.c.path == path).values(digest=file_digest(path)[0]))
    assert differing(snapshot) == [(MEMBER, "changed")]
    members = {**snapshot.members, MEMBER: {"version": 1, "digest": file_digest(path)[0]}}
    with writing() as connection:
        connection.execute(snapshots.update().values(members=members))
    assert differing(snapshot) == [("record", "changed")]


@pytest.mark.parametrize(
    ("column", "value"), [("as_of", day(2)), ("window_days", 3), ("members", {MEMBER: {"version": 1, "digest": "0" * 64}})]
)
def test_a_changed_record_of_the_snapshot_is_found(snapshot: SnapshotRecord, column: str, value: object) -> None:
    with writing() as connection:
        connection.execute(snapshots.update().values({column: value}))
    found = next(each for each in verified(snapshot).differing if each.name == "record")
    assert found.message == f"the database says otherwise of: {column}"


def test_a_changed_frame_is_found(snapshot: SnapshotRecord) -> None:
    frame = pd.DataFrame(storage.read_frame(snapshot.frame_path))
    frame.loc[len(frame) - 1, "target"] = 1 - frame.loc[len(frame) - 1, "target"]
    storage.write_frame(snapshot.frame_path, frame)
    assert differing(snapshot) == [("frame", "changed")]


def test_changed_or_lost_parts_are_found_and_taking_the_snapshot_again_mends_both(snapshot: SnapshotRecord) -> None:
    path = parts_path(MODEL, snapshot.digest)
    document = json.loads(storage.read_bytes(path))
    assert "def features(" in document["features"]
    storage.write_bytes(path, json.dumps({**document, "features": "def features(read): ..."}).encode())
    assert differing(snapshot) == [("parts", "changed")]
    storage.remove(path)
    assert differing(snapshot) == [("parts", "missing")]
    catalog = Catalog()
    take_snapshot(catalog, catalog.model(MODEL), AS_OF)
    assert verified(snapshot).state == "whole"


def test_what_retention_took_from_a_snapshot_that_nobody_wanted_is_accounted_for(
    snapshot: SnapshotRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_for(include_with(tmp_path, monkeypatch), "weather", "{superseded_days: 1, raw_days: null}")
    never_wanted()
    correct("weather", day(6), "temp", 39.5)
    days_pass(40)
    apply_retention(Catalog(), Limits())
    found = verified(snapshot)
    assert [(each.name, each.state) for each in found.differing] == [(MEMBER, "removed"), ("parts", "removed"), ("frame", "removed")]
    assert "retention removed its rows on" in found.differing[0].message
    assert found.state == "accounted"


def test_what_was_never_to_be_removed_is_damage_when_it_is_gone(snapshot: SnapshotRecord) -> None:
    storage.remove(snapshot.frame_path)
    days_pass(400)
    assert differing(snapshot) == [("frame", "missing")]
    never_wanted()
    assert differing(snapshot) == [("frame", "removed")]


def test_erased_rows_are_accounted_for_by_the_members_tombstone_and_by_no_other(snapshot: SnapshotRecord) -> None:
    from include.evergreen.data.partitions.verification import file_digest

    path = path_of(MEMBER)
    storage.write_frame(path, storage.read_frame(path).iloc[1:])
    stone = {"when": clock.now().isoformat(), "why": "rows were erased: a request", "erasure": "0" * 12}
    with writing() as connection:
        connection.execute(partition_versions.update().where(partition_versions.c.path == path).values(digest=file_digest(path)[0]))
        connection.execute(snapshots.update().values(tombstones=[{"member": "weather/2013-01-06/v10", **stone}]))
    assert differing(snapshot) == [(MEMBER, "changed")]
    with writing() as connection:
        connection.execute(snapshots.update().values(tombstones=[{"member": MEMBER, **stone}]))
    assert differing(snapshot) == [(MEMBER, "erased")]
    assert verified(snapshot).state == "accounted"
    storage.write_frame(path, storage.read_frame(path).iloc[1:])  # and then somebody changes it
    assert differing(snapshot) == [(MEMBER, "changed")]


def test_a_prefix_of_eight_characters_finds_a_snapshot_and_an_ambiguous_or_unknown_one_says_so(snapshot: SnapshotRecord) -> None:
    assert find_by_prefix(snapshot.digest[:8]) == snapshot
    assert find_by_prefix(snapshot.digest.upper()) == snapshot
    with pytest.raises(DataError, match="No snapshot 0123456789 is recorded"):
        find_by_prefix("0123456789")
    for wrong in (snapshot.digest[:7], snapshot.digest + "0", "weather%", "........", ""):
        with pytest.raises(ConfigError, match="is no digest. Give its first 8 characters"):
            find_by_prefix(wrong)
    twin = snapshot.digest[:10] + "f" * 54
    with writing() as connection:
        row = connection.execute(snapshots.select()).one()
        connection.execute(snapshots.insert().values(**{**row._mapping, "digest": twin, "entry": None}))
    with pytest.raises(DataError, match=f"2 snapshots begin with {snapshot.digest[:8]}: .*{twin}.* Give more of it."):
        find_by_prefix(snapshot.digest[:8])
    assert find_by_prefix(snapshot.digest).digest == snapshot.digest


def test_a_file_that_many_snapshots_name_is_read_once(snapshot: SnapshotRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.evergreen.operations import verification

    catalog = Catalog()
    take_snapshot(catalog, catalog.model(MODEL), AS_OF, window=Span(18, "day"))
    read: list[str] = []
    verify = verification.stored_rows

    def remember(path: str, digest: str) -> object:
        read.append(path)
        return verify(path, digest)

    monkeypatch.setattr(verification, "stored_rows", remember)
    verifier, found = Verifier(), recorded_snapshots()
    assert len(found) == 2
    assert [verifier.verify(each).state for each in found] == ["whole", "whole"]
    assert len(read) == len(set(read))
