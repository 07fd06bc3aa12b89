"""``snapshot list``, ``show`` and ``verify``."""

from __future__ import annotations

import json

import pytest

from include.evergreen.foundation import clock
from include.evergreen.operations.verification import list_model_snapshots
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import partition_versions
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL

pytestmark = pytest.mark.usefixtures("cycled")


@pytest.fixture
def digest() -> str:
    return list_model_snapshots(MODEL)[0].digest


def test_list_names_each_snapshot_with_its_window_and_its_versions(ask: Ask, digest: str) -> None:
    answer = ask("snapshot", "list", MODEL)
    assert answer.code == 0
    assert answer.out.startswith(f"{digest[:12]}  as of 2013-01-20, 60 days: ")
    assert "; version 1" in answer.out
    document = json.loads(ask("snapshot", "list", MODEL, "--json").out)
    assert [(each["digest"], each["versions"]) for each in document] == [(digest, [1])]


def test_list_says_when_there_is_none_and_refuses_a_model_that_there_is_not(ask: Ask) -> None:
    assert ask("snapshot", "list", "air_time").out.startswith("No snapshot of air_time yet")
    answer = ask("snapshot", "list", "air_tine")
    assert answer.code == 2
    assert "air_time" in answer.err


def test_show_names_every_member_by_a_prefix_of_the_digest(ask: Ask, digest: str) -> None:
    answer = ask("snapshot", "show", digest[:8])
    document = json.loads(ask("snapshot", "show", digest[:8], "--json").out)
    assert document["digest"] == digest
    assert document["partitions"] == len(document["members"]) > 50
    for name, member in document["members"].items():
        assert f"  {name}  {member['digest']}\n" in answer.out


def test_verify_says_whole_and_zero_for_one_for_a_models_and_for_all(ask: Ask, digest: str) -> None:
    for which in ([digest[:10]], ["--model", MODEL], ["--all"]):
        answer = ask("snapshot", "verify", *which)
        assert answer.code == 0
        assert "whole: all of it was read again" in answer.out
        assert "1 verified: 1 whole, 0 not whole as records say, 0 damaged." in answer.out


def test_verify_names_what_differs_and_ends_with_one(ask: Ask, digest: str) -> None:
    member = "weather/2013-01-06/v1"
    path = f"datasets/weather/2013-01-06/{list_model_snapshots(MODEL)[0].members[member]['digest'][:16]}.parquet"
    storage.remove(path)
    for which in ([digest], ["--model", MODEL], ["--all"]):
        answer = ask("snapshot", "verify", *which)
        assert answer.code == 1
        assert f"  {member}: missing: {path} is not in the storage" in answer.out
        assert "Restore the files from a backup" in answer.out
    (document,) = json.loads(ask("snapshot", "verify", digest, "--json").out)
    assert document["state"] == "damaged"
    assert [each["part"] for each in document["differing"]] == [member]


def test_what_records_account_for_is_reported_and_fails_only_who_asked_for_that_snapshot(ask: Ask, digest: str) -> None:
    with writing() as connection:
        connection.execute(partition_versions.update().values(removed_at=clock.now()))
    assert ask("snapshot", "verify", digest).code == 1
    answer = ask("snapshot", "verify", "--all")
    assert answer.code == 0
    assert "not whole any more, as records say" in answer.out
    assert ": removed: retention removed its rows on" in answer.out


def test_verify_wants_exactly_one_of_a_digest_a_model_and_all(ask: Ask, digest: str) -> None:
    for wrong in ([], [digest, "--all"], ["--all", "--model", MODEL]):
        with pytest.raises(SystemExit) as left:
            ask("snapshot", "verify", *wrong)
        assert left.value.code == 2


def test_an_empty_record_verifies_nothing_and_says_so(ask: Ask) -> None:
    from include.evergreen.state.database.tables import metadata

    with writing() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    assert ask("snapshot", "verify", "--all").out.startswith("0 verified")
