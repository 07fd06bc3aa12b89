from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.settings import Settings
from include.evergreen.gates.decide import decide
from include.evergreen.gates.decision import all_decisions
from include.evergreen.registry import champions, versions
from include.evergreen.registry.overview import version_history
from include.evergreen.registry.versions import RegisteredVersion, UnearnedError, next_semver
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.state.database.tables import model_versions, promotions
from tests.templates import template
from tests.unit.flights import (
    FIRST_AS_OF,
    SECOND_AS_OF,
    at_home,
    brief,
    copy_home,
    january,
    registered_as_of,
    rows_of,
    strict,
    trained_as_of,
)

MODEL = "air_time"
BEFORE_ALL = january(14)  # an as_of before that of the first champion


@pytest.fixture
def second(trained: Path) -> RegisteredVersion:
    """A version with a later as_of than the champion's, registered and not promoted."""
    return champions.register(MODEL, all_decisions(MODEL)[0].run_key)


@pytest.fixture
def old(settled: Callable[[Path], Path], _trained_template: Path) -> RegisteredVersion:
    """In a home as `trained` gives, version 2: registered as of a day before the champion's."""

    def make(home: Path) -> None:
        with at_home(copy_home(_trained_template, home)):
            registered_as_of(brief(Catalog().model(MODEL)), BEFORE_ALL)

    settled(template("older-version", make))
    return champions.version_number(MODEL, 2)


# --- registration -----------------------------------------------------------------------------------------------------


def test_a_blessed_candidate_becomes_a_version_and_the_challenger(second: RegisteredVersion) -> None:
    assert (second.version, second.semver, second.as_of) == (2, "1.0.1", SECOND_AS_OF)
    assert champions.challenger(MODEL) == second
    champions.show_challenger(MODEL)
    assert _alias("challenger") == 2
    assert [each["version"] for each in _entries("registration")] == [1, 2]
    roles = [(each.version, each.is_champion, each.is_challenger) for each in version_history(MODEL)]
    assert roles == [(2, False, True), (1, True, False)]


def test_a_run_key_that_nobody_trained_registers_nothing(second: RegisteredVersion) -> None:
    with pytest.raises(UnearnedError, match=f"{MODEL}: run key 000000000000 has no blessed decision in the database, so it is not"):
        champions.register(MODEL, "0" * 64)
    assert versions.list_versions(MODEL)[-1] == second


def test_an_alias_that_is_set_after_a_newer_promotion_has_set_its_own_is_set_anew(
    second: RegisteredVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_alias, overtaken = mlflow_store.set_alias, []

    def overtaken_by_another(model: str, alias: str, version: int | None) -> bool:
        if not overtaken:
            overtaken.append(version)
            champions.promote(MODEL, second.version, actor="ada", reason="newer")
        return set_alias(model, alias, version)

    set_alias(MODEL, "champion", None)
    monkeypatch.setattr(mlflow_store, "set_alias", overtaken_by_another)
    champions.reconcile(MODEL)
    assert overtaken == [1]
    assert _alias("champion") == second.version


def test_registering_twice_gives_one_version_in_mlflow_and_one_here(second: RegisteredVersion) -> None:
    assert champions.register(MODEL, second.run_key) == second
    assert len(_client().search_model_versions(f"name = '{MODEL}'")) == 2
    assert len([row for row in rows_of(model_versions) if row.model == MODEL]) == 2
    assert len(_entries("registration")) == 2


def test_a_registration_that_was_killed_after_mlflow_had_it_finds_it_there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_key = all_decisions(MODEL)[0].run_key
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(versions, "insert_once", _killed)
        champions.register(MODEL, run_key)
    assert champions.challenger(MODEL) is None
    assert champions.register(MODEL, run_key).version == 2
    assert len(_client().search_model_versions(f"name = '{MODEL}'")) == 2


def test_what_is_not_blessed_is_not_registered(trained: Path, air_time: ModelConfig) -> None:
    candidate = trained_as_of(air_time, january(20))
    with pytest.raises(DataError, match="has no blessed decision in the database, so it is not registered"):
        champions.register(MODEL, candidate.run_key)
    decide(Catalog(), strict(air_time), candidate)
    with pytest.raises(DataError, match=r"has no blessed decision in the database \(the newest is rejected\), so it is not registered"):
        champions.register(MODEL, candidate.run_key)
    assert len(_client().search_model_versions(f"name = '{MODEL}'")) == 1


def test_another_models_candidate_is_not_registered(trained: Path) -> None:
    with pytest.raises(DataError, match="air_time: run key .* has no blessed decision"):
        champions.register(MODEL, all_decisions("flight_delay")[0].run_key)


@pytest.mark.parametrize(
    ("newest", "semver"),
    [
        (None, "1.0.0"),
        (("1.4.2", "features", "recipe"), "1.4.3"),
        (("1.4.2", "features", "other"), "1.5.0"),
        (("1.4.2", "other", "other"), "2.0.0"),
        (("9.9.9", "features", "recipe"), "9.9.10"),
    ],
)
def test_the_semantic_version_says_what_changed(newest: tuple[str, str, str] | None, semver: str) -> None:
    assert next_semver(newest, "features", "recipe") == semver


def test_other_parameters_are_a_minor_version(trained: Path, air_time: ModelConfig) -> None:
    smoother = air_time.model_copy(update={"train": air_time.train.model_copy(update={"parameters": {"alpha": 2.0}})})
    assert registered_as_of(smoother, SECOND_AS_OF).semver == "1.1.0"


def test_a_version_that_there_is_not_is_answered_with_those_that_there_are(second: RegisteredVersion) -> None:
    with pytest.raises(ConfigError, match="air_time has no version 7; registered: 1, 2."):
        champions.version_number(MODEL, 7)
    with pytest.raises(ConfigError, match="nothing has no version 1; registered: none."):
        champions.version_number("nothing", 1)


# --- promotion --------------------------------------------------------------------------------------------------------


def test_a_promotion_makes_the_champion_and_sets_mlflows_alias(second: RegisteredVersion) -> None:
    outcome = champions.promote(MODEL, 2, actor="a person", reason="it is better")
    assert outcome.promoted
    assert outcome.message == "version 2 (1.0.1) as of 2013-01-19 is champion, replacing version 1"
    assert champions.champion(MODEL) == second
    assert champions.challenger(MODEL) is None
    assert mlflow_store.alias(MODEL, "champion") == 2


def test_the_ledger_says_who_promoted_what_and_why(second: RegisteredVersion) -> None:
    champions.promote(MODEL, 2, actor="a person", reason="it is better")
    entry = _entries("promotion")[-1]
    assert {name: entry[name] for name in ("version", "previous_version", "actor", "reason", "forced")} == {
        "version": 2,
        "previous_version": 1,
        "actor": "a person",
        "reason": "it is better",
        "forced": False,
    }
    assert ledger.verify() == []


def test_promoting_again_changes_nothing(second: RegisteredVersion) -> None:
    champions.promote(MODEL, 2, actor="a person", reason="it is better")
    again = champions.promote(MODEL, 2, actor="another", reason="again")
    assert again.message == "version 2 (1.0.1) is already champion"
    assert [row.version for row in rows_of(promotions) if row.model == MODEL] == [1, 2]
    assert len(_entries("promotion")) == 2


def test_a_backfilled_candidate_never_replaces_a_newer_champion(old: RegisteredVersion) -> None:
    outcome = champions.promote(MODEL, old.version, actor="a backfill", reason="as of the past")
    assert not outcome.promoted
    assert outcome.message == (
        "version 2 as of 2013-01-14 does not replace champion 1 as of 2013-01-17, which was trained on newer data; "
        "it can be forced, with a reason"
    )
    assert (_champion().version, mlflow_store.alias(MODEL, "champion")) == (1, 1)
    assert len(_entries("promotion")) == 1


def test_nor_does_it_challenge_it(old: RegisteredVersion) -> None:
    assert champions.challenger(MODEL) is None


def test_a_person_may_force_it_and_the_ledger_says_so(old: RegisteredVersion) -> None:
    assert champions.promote(MODEL, old.version, actor="a person", reason="the newer one is broken", force=True).promoted
    assert (_champion().version, mlflow_store.alias(MODEL, "champion")) == (2, 2)
    entry = _entries("promotion")[-1]
    assert (entry["forced"], entry["reason"], entry["previous_version"]) == (True, "the newer one is broken", 1)


def test_an_artifact_that_was_tampered_with_is_refused_and_the_champion_stays(second: RegisteredVersion) -> None:
    model_file = Path(urlsplit(second.artifact_uri).path, "model.skops")
    model_file.write_bytes(model_file.read_bytes() + b" ")
    with pytest.raises(DataError, match="has digest .* was registered: its files were changed. It is not served."):
        champions.promote(MODEL, 2, actor="a person", reason="it is better")
    assert (_champion().version, mlflow_store.alias(MODEL, "champion")) == (1, 1)
    assert len(_entries("promotion")) == 1


def test_a_version_whose_blessing_is_gone_is_refused(second: RegisteredVersion) -> None:
    _forget_decisions()
    with pytest.raises(DataError, match="air_time version 2 has no blessed decision in the database"):
        champions.promote(MODEL, 2, actor="a person", reason="it is better")
    assert _champion().version == 1


def test_a_promotion_that_was_killed_before_its_ledger_entry_did_not_happen(
    second: RegisteredVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ledger, "bind", _killed)
        champions.promote(MODEL, 2, actor="a person", reason="it is better")
    assert (_champion().version, mlflow_store.alias(MODEL, "champion")) == (1, 1)


def test_a_promotion_that_was_killed_before_mlflows_alias_sets_it_when_repeated(
    second: RegisteredVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(mlflow_store, "set_alias", _killed)
        champions.promote(MODEL, 2, actor="a person", reason="it is better")
    assert (_champion().version, mlflow_store.alias(MODEL, "champion")) == (2, 1)
    champions.promote(MODEL, 2, actor="a person", reason="it is better")
    assert mlflow_store.alias(MODEL, "champion") == 2
    assert len(_entries("promotion")) == 2


# --- who serves, and who did ------------------------------------------------------------------------------------------


def test_moving_the_alias_in_mlflow_by_hand_changes_nothing_that_is_served(second: RegisteredVersion) -> None:
    _client().set_registered_model_alias(MODEL, "champion", "2")
    assert mlflow_store.alias(MODEL, "champion") == 2  # so that someone may raise an alert
    assert _champion().version == 1
    assert champions.champion_for(MODEL, january(21)).version == 1  # type: ignore[union-attr]


def test_a_day_is_scored_by_the_newest_champion_that_had_not_seen_it(second: RegisteredVersion) -> None:
    champions.promote(MODEL, 2, actor="a person", reason="it is better")
    found = {day: champions.champion_for(MODEL, january(day)) for day in (16, 17, 18, 19, 25)}
    assert {day: each.version if each else None for day, each in found.items()} == {16: None, 17: 1, 18: 1, 19: 2, 25: 2}


def test_a_challenger_does_not_shadow_a_day_that_it_has_seen(second: RegisteredVersion) -> None:
    assert champions.challenger_for(MODEL, january(18)) is None
    assert champions.challenger_for(MODEL, january(19)) == second


def test_who_was_champion_is_known_for_every_moment(second: RegisteredVersion) -> None:
    between = clock.now()
    champions.promote(MODEL, 2, actor="a person", reason="it is better")
    first_promoted = min(row.promoted_at for row in rows_of(promotions) if row.model == MODEL)
    assert champions.champion_at(MODEL, first_promoted - dt.timedelta(microseconds=1)) is None
    assert champions.champion_at(MODEL, first_promoted).version == 1  # type: ignore[union-attr]
    assert champions.champion_at(MODEL, between).version == 1  # type: ignore[union-attr]
    assert champions.champion_at(MODEL, clock.now()).version == 2  # type: ignore[union-attr]


def test_a_model_without_a_promotion_has_no_champion(flights: Path, catalog: Catalog) -> None:
    registered = registered_as_of(catalog.model(MODEL), FIRST_AS_OF)
    assert champions.champion(MODEL) is None
    assert champions.challenger(MODEL) == registered
    assert mlflow_store.alias(MODEL, "champion") is None


def test_an_mlflow_that_cannot_be_reached_is_worth_a_retry(second: RegisteredVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(TransientError, match="The MLflow store http://127.0.0.1:9 could not be used"):
            champions.register(MODEL, second.run_key)
    assert champions.register(MODEL, second.run_key) == second


def _champion() -> RegisteredVersion:
    found = champions.champion(MODEL)
    assert found is not None
    return found


def _entries(kind: str) -> list[dict[str, Any]]:
    return [json.loads(str(row.body)) for row in rows_of(entries) if row.kind == kind and row.model == MODEL]


def _alias(name: str) -> int:
    return int(_client().get_model_version_by_alias(MODEL, name).version)


def _client() -> mlflow.MlflowClient:
    uri = Settings.from_environment().mlflow_tracking_uri
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def _forget_decisions() -> None:
    from include.evergreen.state.database import writing
    from include.evergreen.state.database.tables import decisions

    with writing() as connection:
        connection.execute(decisions.delete())


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
