from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.data import ingestion
from include.evergreen.data.conditions import Conditions
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.data.partitions.files import arrow_schema
from include.evergreen.data.release import release
from include.evergreen.foundation.digest import table_digest
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.operations.audit import verify_records
from include.evergreen.operations.erasure.erase import Erasure, erase
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import erasures, partition_versions, quarantine_releases, validations
from include.evergreen.state.database.tables import ledger as ledger_table
from tests.servers import PostgreSQL
from tests.unit.copies import migrated_database
from tests.unit.flights import rows_of
from tests.unit.operations.erasure.conftest import DAYS, PERSON, deliver, places_with
from tests.unit.warm import run_code

SUBJECT = Conditions({"email": PERSON})
REASON = "request 17"


def test_a_person_is_gone_from_every_stored_file_and_database(visits: DatasetConfig) -> None:
    assert places_with(PERSON)
    outcome = _erase(visits)
    assert places_with(PERSON) == []
    assert outcome.partitions == DAYS
    assert dict(outcome.counts) == {"accepted rows": 4, "quarantined rows": 3, "raw rows": 8}  # a quarantine unchanged is one file


def test_everyone_elses_rows_stay_and_records_agree_with_the_files(visits: DatasetConfig) -> None:
    before = {row.id: row for row in rows_of(partition_versions)}
    _erase(visits)
    for row in rows_of(partition_versions):
        accepted, raw = storage.read_table(row.path), storage.read_table(row.raw_path)
        assert (row.rows, row.quarantined, row.source_rows) == (18, 0, 18)
        assert (accepted.num_rows, raw.num_rows) == (18, 18)
        assert (table_digest(accepted), table_digest(raw)) == (row.digest, row.raw_digest)
        assert table_digest(storage.read_table(row.quarantine_path)) == row.quarantine_digest
        assert accepted.column("email").to_pylist() == [f"someone-{n}@example.org" for n in range(20) if n not in {3, 7}]
        old = before[row.id]
        assert (row.knowledge_time, row.recorded_at, row.version) == (old.knowledge_time, old.recorded_at, old.version)
        assert row.digest != old.digest


def test_the_digests_are_those_of_a_partition_that_never_had_the_rows(visits: DatasetConfig) -> None:
    _erase(visits)
    erased = current_partition("visits", DAYS[0])
    assert ingestion.ingest(visits, DAYS[0], "live") == (erased, False)  # the source still delivers them; they are dropped


def test_what_the_source_delivers_later_of_the_person_is_dropped(visits: DatasetConfig) -> None:
    _erase(visits)
    later = DAYS[-1][:-2] + "09"
    deliver(later)
    version, _ = ingestion.ingest(visits, later, "live")
    assert (version.rows, version.quarantined, version.source_rows) == (18, 0, 18)
    assert places_with(PERSON) == []


def test_a_dry_run_counts_and_changes_nothing(visits: DatasetConfig) -> None:
    before, places = rows_of(partition_versions), places_with(PERSON)
    outcome = erase(Catalog(), visits, SUBJECT, actor="a person", reason=REASON, dry_run=True)
    assert dict(outcome.counts) == {"accepted rows": 4, "quarantined rows": 3, "raw rows": 8}
    assert (rows_of(partition_versions), places_with(PERSON)) == (before, places)
    assert rows_of(erasures) == []


def test_the_ledger_holds_counts_and_a_keyed_hash_and_no_personal_data(visits: DatasetConfig) -> None:
    outcome = _erase(visits)
    began, done = [json.loads(row.body) for row in rows_of(ledger_table) if row.kind == "erasure"]
    assert began["status"] == "running"
    assert (
        done.items()
        >= {
            "dataset": "visits",
            "columns": "email",
            "subject_hash": outcome.subject,
            "status": "done",
            "counts": {"accepted rows": 4, "quarantined rows": 3, "raw rows": 8, "versions": 4},
            "unsearched_files": 0,
            "actor": "a person",
            "reason": REASON,
        }.items()
    )
    assert verify_records().problems == []


def test_erasing_again_finds_nothing_and_changes_no_version(visits: DatasetConfig) -> None:
    _erase(visits)
    before = rows_of(partition_versions)
    again = _erase(visits)
    assert (again.counts, again.partitions) == ({}, [])
    assert rows_of(partition_versions) == before


def test_files_that_no_record_names_are_erased_too(visits: DatasetConfig) -> None:
    deliver(DAYS[0], pulse=62)
    fetched = ingestion.fetch(visits, DAYS[0])
    ingestion.validate_partition(visits, DAYS[0], fetched, "live")  # killed here, say: nothing was published
    _erase(visits)
    assert places_with(PERSON) == []


def test_what_was_fetched_before_the_erasure_is_not_validated_since_the_record_may_quote_rows(visits: DatasetConfig) -> None:
    deliver(DAYS[0], pulse=62)
    fetched = ingestion.fetch(visits, DAYS[0])
    _erase(visits)
    before = rows_of(validations)
    with pytest.raises(DataError, match="visits: rows were erased while this run was at work"):
        ingestion.validate_partition(visits, DAYS[0], fetched, "live")
    assert rows_of(validations) == before


def test_an_ingestion_that_fetched_before_the_erasure_publishes_nothing(visits: DatasetConfig) -> None:
    deliver(DAYS[0], pulse=62)
    validated = ingestion.validate_partition(visits, DAYS[0], ingestion.fetch(visits, DAYS[0]), "live")
    _erase(visits)
    before = rows_of(partition_versions)
    with pytest.raises(DataError, match="Run (it|the ingestion) again from its first task"):
        ingestion.publish(visits, DAYS[0], validated, "live")
    assert rows_of(partition_versions) == before


def test_an_erasure_while_rows_are_fetched_is_noticed(visits: DatasetConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.evergreen.data.partitions.files import RowWriter

    keep = RowWriter.keep

    def erased_meanwhile(writer: RowWriter, path: str) -> None:
        monkeypatch.undo()
        keep(writer, path)
        monkeypatch.setenv("EVERGREEN_INCLUDE", "include")
        _erase(visits)

    monkeypatch.setattr(RowWriter, "keep", erased_meanwhile)
    with pytest.raises(DataError, match="visits: rows were erased while this run was at work"):
        ingestion.fetch(visits, DAYS[0])


def test_releases_of_the_persons_rows_are_forgotten(visits: DatasetConfig) -> None:
    release(visits, DAYS[0], None, actor="a person", reason="measured twice")
    assert len(rows_of(quarantine_releases)) == 1
    _erase(visits)
    assert rows_of(quarantine_releases) == []


def test_validations_of_the_partitions_quote_no_row_any_more(visits: DatasetConfig) -> None:
    assert any("999" in json.dumps(row.result) for row in rows_of(validations))
    _erase(visits)
    assert all("999" not in json.dumps(row.result) for row in rows_of(validations))
    assert {row.verdict for row in rows_of(validations)} == {"quarantined"}


def test_a_person_is_found_under_a_type_that_the_column_no_longer_has(visits: DatasetConfig) -> None:
    assert _erase(visits, Conditions({"visit": 5})).counts["accepted rows"] == 4
    as_text = arrow_schema(visits)
    from include.evergreen.data.erased.secret import secret
    from include.evergreen.data.erased.subjects import subject_hash

    assert as_text.field("visit").type == "int64"
    assert subject_hash({"visit": 5}, secret()) == subject_hash({"visit": "5"}, secret()) == subject_hash({"visit": 5.0}, secret())


def test_files_without_the_key_column_are_named_as_not_searched(visits: DatasetConfig) -> None:
    frame = read_partition(current_partition("visits", DAYS[0])).drop(columns="email")  # type: ignore[arg-type]
    storage.write_frame("raw/visits/2013-01-01/of-old.parquet", frame)
    assert _erase(visits).unsearched == ["raw/visits/2013-01-01/of-old.parquet"]


def test_a_file_with_a_damaged_page_is_named_as_not_searched_and_stops_no_erasure(visits: DatasetConfig) -> None:
    path = current_partition("visits", DAYS[0]).path  # type: ignore[union-attr]
    sound = storage.read_bytes(path)
    storage.write_bytes("raw/visits/2013-01-01/damaged.parquet", sound[:4] + bytes(200) + sound[204:])
    erased = _erase(visits)
    assert erased.unsearched == ["raw/visits/2013-01-01/damaged.parquet"]
    assert erased.counts["accepted rows"] == 4


@pytest.mark.parametrize(
    ("subject", "reason", "words"),
    [
        (Conditions({"pulse": 60.0}), REASON, "pulse is neither a key nor marked personal.*Identify a person by: visit, email"),
        (Conditions({"email": None}), REASON, "email has no value"),
        (SUBJECT, "why ", "an erasure from visits: the reason has 3 characters; give 5 to 400"),
        (SUBJECT, "x" * 401, "the reason has 401 characters; give 5 to 400"),
        (SUBJECT, f"{PERSON} asked for it", "The reason holds the value of email itself"),
    ],
)
def test_what_would_name_many_or_write_down_the_person_is_refused(
    visits: DatasetConfig, subject: Conditions, reason: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        erase(Catalog(), visits, subject, actor="a person", reason=reason)
    assert rows_of(erasures) == []


def test_another_erasure_waits_for_one_that_is_unfinished(visits: DatasetConfig) -> None:
    _erase(visits)
    with writing() as connection:
        connection.execute(sa.update(erasures).values(status="running"))
    with pytest.raises(TransientError, match="An erasure from visits by email, begun .* by a person, is not finished"):
        _erase(visits, Conditions({"visit": 5}))
    _erase(visits)
    _erase(visits, Conditions({"visit": 5}))


KILLED = """
import json
from include.evergreen.operations.audit import verify_records
from include.evergreen.data.conditions import Conditions
from include.evergreen.config import Catalog
from include.evergreen.state.database.tables import ledger, partition_versions
from include.evergreen.operations.erasure.erase import erase
from tests.unit.operations.erasure.conftest import PERSON, places_with
from tests.unit.flights import rows_of
from tests.unit.killing import Killing
def records():
    names = ("partition", "version", "digest", "quarantine_digest", "raw_digest", "source_rows")
    return [[row._mapping[name] for name in names] for row in rows_of(partition_versions)]
catalog = Catalog()
killing = Killing(
    lambda: erase(catalog, catalog.dataset("visits"), Conditions({"email": PERSON}), actor="a person", reason="request 17"),
    ("operations/erasure/", "data/erased/", "data/partitions/files.py", "state/storage.py", "state/ledger/", "state/database/engine.py"),
)
expected = records()
for point in killing.points:
    killing.die(point)
    killing.live()
    assert records() == expected, point
    assert places_with(PERSON) == [], (point, places_with(PERSON))
    entries = [json.loads(row.body) for row in rows_of(ledger) if row.kind == "erasure"]
    done = [entry for entry in entries if entry["status"] == "done"]
    assert len(done) in (1, 2) and len(entries) == 2 * len(done) and verify_records().problems == [], (point, entries)
    assert done[0]["counts"] == {"accepted rows": 3, "quarantined rows": 2, "raw rows": 6, "versions": 3}, (point, entries)
print(len(killing.points), len(killing.lines))
"""


def test_an_erasure_that_is_killed_at_any_line_is_finished_by_the_same_command(visits_of_two_days: DatasetConfig) -> None:
    points, lines = map(int, run_code(KILLED).split())
    assert points > 20
    assert lines > 500


def _erase(dataset: DatasetConfig, subject: Conditions = SUBJECT) -> Erasure:
    return erase(Catalog(), dataset, subject, actor="a person", reason=REASON)


def test_on_postgresql_nothing_of_the_rows_is_left_in_the_tables_own_files(
    visits: DatasetConfig, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", migrated_database(postgresql, "erasure"))
    for day in DAYS:
        ingestion.ingest(visits, day, "live")
    release(visits, DAYS[0], None, actor="a person", reason="measured twice")
    [row] = rows_of(quarantine_releases)
    [digest] = row.rows["digests"]

    def on_disk() -> bool:
        postgresql.execute("CHECKPOINT", "erasure")
        table = "pg_read_binary_file(pg_relation_filepath('quarantine_releases'))"
        query = f"SELECT position('{digest}'::bytea in {table})"
        return bool(postgresql.execute(query, "erasure")[0][0])

    assert on_disk()
    _erase(visits)
    assert not on_disk()
    assert places_with(PERSON) == []
    assert ledger.verify() == []
