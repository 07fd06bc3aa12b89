from __future__ import annotations

from include.evergreen.config import Catalog
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.state import storage
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL, day

DAY = day(10)


def test_a_dry_run_and_then_the_erasure_of_one_flight_through_all_its_days(ask: Ask, cycled: None) -> None:
    version = current_partition("schedules", DAY)
    assert version is not None
    row = read_partition(version).iloc[0]
    key = [f"--key={name}={row[name]}" for name in ("carrier", "flight", "origin")]
    before = _rows()
    planned = ask("erase", "schedules", *key, "--reason", "request 17", "--dry-run")
    assert planned.code == 0
    assert planned.out.startswith("schedules: would erase ")
    assert _rows() == before
    erased = ask("erase", "schedules", *key, "--reason", "request 17")
    assert (erased.code, len(erased.out.splitlines())) == (0, 3)
    assert erased.out.splitlines()[0] == planned.out.strip().replace("would erase", "erased")
    assert erased.out.splitlines()[1].endswith("is in the ledger; what the source still delivers of it is dropped.")
    assert 0 < before - _rows() <= 25
    assert ask("verify-ledger").code == 0
    champion = ask("champion-at", MODEL, "2199-01-01").out
    assert "no longer reproducible: rows of schedules that it had read were erased on" in champion
    assert '"irreproducible_because": "rows of schedules' in ask("status", "--json").out
    assert "no longer reproducible" in ask("status").out
    assert ask("erase", "schedules", *key, "--reason", "request 17").out.startswith("schedules: erased nothing, in 0 partitions.")


def test_what_was_not_searched_shows_in_the_exit_code(ask: Ask, cycled: None) -> None:
    storage.write_bytes("predictions/a_retired_model/2013-01-01/x.parquet", b"")
    answer = ask("erase", "schedules", "--key", "flight=99999", "--reason", "request 17")
    assert answer.code == 1
    assert answer.out.splitlines()[-1] == "  predictions/a_retired_model"


def test_a_key_that_names_nobody_is_refused(ask: Ask, cycled: None) -> None:
    answer = ask("erase", "schedules", "--key", "dest=MIA", "--reason", "request 17")
    assert (answer.code, answer.out) == (2, "")
    assert "dest is neither a key nor marked personal" in answer.err


def _rows() -> int:
    found = [current_partition("schedules", day(number)) for number in range(1, 25)]
    return sum(each.rows for each in found if each)


def test_the_shipped_datasets_declare_nothing_personal() -> None:
    catalog = Catalog()
    assert not any(catalog.dataset(name).personal_columns for name in catalog.dataset_names())
