"""Promotion and rollback: how a version becomes champion and stops being it, and what cannot be bypassed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.approval import Approval
from include.evergreen.config.gate import Gate
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.operations.local_run import CycleResult
from include.evergreen.promotion.cards import ensure_card
from include.evergreen.promotion.promote import promote_blessed, register_candidate
from include.evergreen.registry import aliases, approvals, champions, servable
from include.evergreen.registry.champions import ChampionChangedError, RegisteredVersion, UnearnedError
from include.evergreen.registry.history import history
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import alerts, ledger, mlflow_store, pauses, storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import approvals as answers
from include.evergreen.state.database.tables import candidates, decisions, model_versions, prediction_sets, promotions
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.state.effects import watched
from tests.unit.copies import copied_candidate, copied_version, decided
from tests.unit.flights import lenient, rows_of
from tests.unit.lifecycle import AS_OF, MODEL, settle_cycled

EARLIER = DAILY.shift(AS_OF, -2)
NIGHT = {"actor": "the night", "reason": "blessed by the gate"}
PERSON = {"actor": "a person", "reason": "it went wrong"}


@pytest.fixture(autouse=True)
def cycled(into_database: Callable[[str], None]) -> CycleResult:
    """A home in which a cycle has run: version 1 is champion."""
    result = settle_cycled()
    into_database("cycled")
    return result


@pytest.fixture
def model() -> ModelConfig:
    """Its gate blesses without evaluation: the gate has tests of its own."""
    model = lenient(Catalog().model(MODEL))
    return model.model_copy(update={"gate": Gate.model_validate({**model.gate.model_dump(), "mode": "disabled"})})


def promote(model: ModelConfig, version: int) -> champions.Promotion:
    return promote_blessed(Catalog(), model, version, **NIGHT)


def champion() -> int:
    found = champions.champion(MODEL)
    assert found is not None
    assert mlflow_store.alias(MODEL, "champion") == found.version
    return found.version


def told(kind: str) -> list[dict[str, Any]]:
    return [json.loads(str(row.body)) for row in rows_of(entries) if row.kind == kind and row.model == MODEL]


def open_keys() -> list[str]:
    return [each.key for each in alerts.open_alerts(MODEL)]


def three_champions() -> None:
    for name in (2, 3):
        champions.promote(MODEL, copied_version(name).version, actor="a person", reason="it is newer")


# --- the automatic promotion ------------------------------------------------------------------------------------------


def test_a_blessed_version_is_promoted_by_the_decision_against_the_champion_of_now(model: ModelConfig) -> None:
    version = copied_version("b").version
    assert promote(model, version).message == "version 2 (1.0.1) as of 2013-01-20 is champion, replacing version 1"
    assert champion() == 2
    [_, entry] = told("promotion")
    judged = next(row for row in rows_of(decisions) if row.id == entry["decision"])
    assert (judged.champion_version, judged.verdict) == (1, "blessed")
    assert (entry["actor"], entry["forced"]) == ("the night", False)


def test_when_another_one_became_champion_since_it_is_judged_again(model: ModelConfig) -> None:
    first, second = copied_version("b"), copied_version("c")
    promote(model, first.version)
    with pytest.raises(ChampionChangedError, match="was judged against version 1, and 2 serves now"):
        champions.promote_judged(second, _decision_on(second), **NIGHT)
    assert champion() == 2
    assert promote(model, second.version).promoted
    assert [row.champion_version for row in rows_of(decisions) if row.run_key == second.run_key] == [1, 2]


def test_only_a_blessed_decision_on_that_very_candidate_promotes_it() -> None:
    wanted, other = copied_version("b"), copied_version("c")
    rejected = decided(wanted.run_key, "rejected")
    newest = decided(wanted.run_key, "blessed")
    for decision in (_decision_on(other), rejected, newest + 1):
        with pytest.raises(UnearnedError, match=f"version {wanted.version} is not blessed by decision {decision}, so it is not promoted"):
            champions.promote_judged(wanted, decision, **NIGHT)
    assert champion() == 1
    assert champions.promote_judged(wanted, newest, **NIGHT).promoted


def test_the_gates_word_against_the_new_champion_counts(model: ModelConfig) -> None:
    first, second = copied_version("b"), copied_version("c")
    promote(model, first.version)
    strict = Gate.model_validate({"criteria": [{"kind": "absolute", "metric": "auc", "at_least": 1.0}]})
    outcome = promote_blessed(Catalog(), model.model_copy(update={"gate": strict}), second.version, **NIGHT)
    assert not outcome.promoted
    assert outcome.message.startswith(
        "version 3 was blessed, but not against the current champion 2: 1 of 2 criteria passed; failed: auc is"
    )
    assert (champion(), open_keys()) == (2, [])


def test_promoting_again_changes_nothing(model: ModelConfig) -> None:
    version = copied_version("b").version
    promote(model, version)
    assert promote(model, version).message == "version 2 (1.0.1) is already champion"
    assert len(rows_of(promotions)) == 2


def test_a_version_that_a_person_replaced_is_not_promoted_again_by_repeating_its_promotion(model: ModelConfig) -> None:
    promote(model, copied_version("b").version)
    champions.promote(MODEL, 1, actor="an admin", reason="the new one is wrong at JFK", force=True)
    outcome = promote(model, 2)
    assert (outcome.promoted, outcome.version) == (False, 1)
    assert outcome.message.startswith("version 2 was promoted by the night at ")
    assert outcome.message.endswith("; a person may promote it again")
    assert (champion(), open_keys()) == (1, [])
    assert champions.promote(MODEL, 2, **PERSON).promoted


def test_unless_a_person_approved_it_since(model: ModelConfig) -> None:
    promote(model, copied_version("b").version)
    champions.promote(MODEL, 1, actor="an admin", reason="the new one is wrong at JFK", force=True)
    approvals.record_answer(MODEL, 2, request="asked again", verdict="approved", actor="grace", reason="it is fine")
    assert promote(model, 2).promoted
    champions.promote(MODEL, 1, actor="an admin", reason="the new one is wrong at JFK", force=True)
    assert not promote(model, 2).promoted  # an approval serves once


def test_a_version_as_of_the_past_takes_no_newer_champions_place(model: ModelConfig) -> None:
    outcome = promote(model, copied_version("b", as_of=EARLIER).version)
    assert not outcome.promoted
    assert "does not replace champion 1 as of 2013-01-20, which was trained on newer data" in outcome.message
    assert (champion(), open_keys()) == (1, [])


def test_while_a_pause_stands_nothing_is_promoted_by_itself_and_a_person_still_may(model: ModelConfig) -> None:
    version = copied_version("b").version
    pauses.pause(hours=2, actor="an engineer", reason="the source is broken")
    outcome = promote(model, version)
    assert not outcome.promoted
    assert "version 2 is not promoted: an engineer paused automatic promotion and retraining until" in outcome.message
    assert champion() == 1
    assert champions.promote(MODEL, version, **PERSON).promoted
    assert champion() == 2


def test_after_the_pause_it_is_promoted(model: ModelConfig) -> None:
    version = copied_version("b").version
    pauses.pause(hours=2, actor="an engineer", reason="the source is broken")
    promote(model, version)
    pauses.lift(actor="an engineer", reason="mended again")
    assert promote(model, version).promoted


# --- approval ---------------------------------------------------------------------------------------------------------


def test_without_the_approval_that_it_needs_a_version_is_refused_and_there_is_one_alert(model: ModelConfig) -> None:
    version = copied_version("b", approval="it is the first").version
    for _ in range(3):
        with pytest.raises(UnearnedError, match=r"needs a person's approval \(it is the first\), and the database has none"):
            promote(model, version)
    [alert] = alerts.open_alerts(MODEL)
    assert (alert.severity, alert.times, alert.key.startswith(f"bypass/{MODEL}/")) == ("critical", 3, True)
    assert champion() == 1


def test_with_it_the_version_is_promoted(model: ModelConfig) -> None:
    version = copied_version("b", approval="it is the first").version
    approvals.record_answer(MODEL, version, request="q", verdict="approved", actor="a person", reason="good")
    assert promote(model, version).promoted


def test_the_newest_answer_counts(model: ModelConfig) -> None:
    version = copied_version("b", approval="it is the first").version
    for request, verdict in (("q", "approved"), ("r", "refused")):
        approvals.record_answer(MODEL, version, request=request, verdict=verdict, actor="a person", reason="thought again")  # type: ignore[arg-type]
    with pytest.raises(UnearnedError, match="version 2 was refused by a person at .*: thought again"):
        promote(model, version)
    assert champion() == 1


def test_a_persons_promotion_is_the_approval_and_is_recorded_as_such(model: ModelConfig) -> None:
    version = copied_version("b", approval="it is the first").version
    assert champions.promote(MODEL, version, **PERSON).promoted
    [answer] = rows_of(answers)
    assert (answer.version, answer.verdict, answer.actor, answer.reason) == (2, "approved", "a person", "it went wrong")
    assert [row.kind for row in rows_of(entries)][-2:] == ["approval", "promotion"]
    assert told("override") == []


def test_what_a_person_refused_another_may_promote_by_force_alone(model: ModelConfig) -> None:
    version = copied_version("b", approval="it is the first").version
    approvals.record_answer(MODEL, version, request="q", verdict="refused", actor="one", reason="no")
    outcome = champions.promote(MODEL, version, actor="another", reason="it is needed")
    assert not outcome.promoted and "version 2 was refused by one at" in outcome.message
    assert champions.promote(MODEL, version, actor="another", reason="it is needed", force=True).promoted
    [override] = told("override")
    assert override["actor"] == "another" and "was refused by one" in override["overridden"][0]
    assert next(servable.serving(MODEL, AS_OF)).version == 2


def test_an_edit_of_the_yaml_takes_no_question_back(model: ModelConfig) -> None:
    asking = model.model_copy(update={"approval": Approval(mode="human")})
    version = register_candidate(Catalog(), asking, copied_candidate("b"))
    assert version.approval_because
    with pytest.raises(UnearnedError, match="needs a person's approval"):
        promote(model.model_copy(update={"approval": Approval(mode="auto")}), version.version)


# --- rollback --------------------------------------------------------------------------------------------------------


def test_a_rollback_makes_the_previous_champion_serve_and_the_ledger_says_so() -> None:
    three_champions()
    outcome = champions.rollback(MODEL, **PERSON)
    assert outcome.message == "version 2 (1.0.1) as of 2013-01-20 is champion again, replacing version 3"
    assert champion() == 2
    [entry] = told("rollback")
    assert (entry["version"], entry["previous_version"], entry["withdrawn"], entry["actor"]) == (2, 3, [3], "a person")
    assert ledger.verify() == []


def test_rolling_back_twice_goes_further_back() -> None:
    three_champions()
    champions.rollback(MODEL, **PERSON)
    champions.rollback(MODEL, **PERSON)
    assert champion() == 1
    with pytest.raises(ConfigError, match="flight_delay has no earlier champion to roll back to"):
        champions.rollback(MODEL, **PERSON)


def test_what_lies_between_is_withdrawn_too() -> None:
    three_champions()
    champions.rollback(MODEL, to=1, **PERSON)
    assert champion() == 1
    with reading() as connection:
        assert set(history(connection, MODEL).withdrawn) == {2, 3}


@pytest.mark.parametrize(("to", "why"), [(4, "never was champion"), (2, "was rolled back")])
def test_only_an_earlier_champion_is_rolled_back_to(to: int, why: str) -> None:
    three_champions()
    copied_version("registered alone")
    champions.rollback(MODEL, to=1, **PERSON)
    with pytest.raises(ConfigError, match=f"version {to}, which {why}; earlier champions: none. Promote it by hand instead."):
        champions.rollback(MODEL, to=to, **PERSON)


def test_no_retry_brings_back_what_was_withdrawn_and_a_person_may_by_force(model: ModelConfig) -> None:
    version = copied_version("b").version
    promote(model, version)
    champions.rollback(MODEL, **PERSON)
    assert "version 2 was rolled back by a person at" in promote(model, version).message
    assert not champions.promote(MODEL, version, **PERSON).promoted
    assert champion() == 1
    assert champions.challenger(MODEL) is None
    assert champions.promote(MODEL, version, **PERSON, force=True).promoted
    assert champion() == 2
    assert champions.rollback(MODEL, **PERSON).version == 1


def test_the_newest_version_of_the_champions_own_day_or_later_challenges_it() -> None:
    assert copied_version("b", as_of=EARLIER).version == 2
    assert champions.challenger(MODEL) is None
    of_the_same_day = copied_version("c")
    assert champions.challenger(MODEL) == of_the_same_day


def test_a_repeated_request_is_one_rollback() -> None:
    three_champions()
    for _ in range(3):
        champions.rollback(MODEL, **PERSON, request="run 1")
    assert champion() == 2
    champions.rollback(MODEL, **PERSON, request="run 2")
    assert champion() == 1


def test_a_repeated_request_is_one_promotion_whoever_promoted_since() -> None:
    three_champions()
    assert champions.promote(MODEL, 1, **PERSON, force=True, request="run 1").promoted
    assert champions.promote(MODEL, 1, **PERSON, force=True, request="run 1").promoted, "a retry finds it done"
    assert champions.promote(MODEL, 3, **PERSON, force=True, request="run 2").promoted
    again = champions.promote(MODEL, 1, **PERSON, force=True, request="run 1")
    assert (again.promoted, again.version, champion()) == (False, 3, 3)
    assert again.message == "version 1 was promoted by this request before, and version 3 replaced it"


def test_a_version_whose_files_are_gone_is_not_rolled_back_to() -> None:
    three_champions()
    damage(champions.version_number(MODEL, 1))
    with pytest.raises(DataError, match="its files were changed"):
        champions.rollback(MODEL, to=1, **PERSON)
    assert champion() == 3


def test_a_day_is_scored_by_no_withdrawn_champion() -> None:
    champions.promote(MODEL, copied_version("older", as_of=EARLIER).version, **PERSON, force=True)
    assert [each.version for each in champions.champions_for(MODEL, AS_OF)] == [2, 1]
    champions.rollback(MODEL, **PERSON)
    assert [each.version for each in champions.champions_for(MODEL, AS_OF)] == [1]
    assert champions.champion_for(MODEL, EARLIER) is None


# --- MLflow's alias ---------------------------------------------------------------------------------------------------


def test_an_alias_that_a_hand_moved_makes_one_alert_and_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "SECOND_LOOK_SECONDS", 0.01)
    copied_version("b")
    for _ in range(2):
        mlflow_store.set_alias(MODEL, "champion", 2)
        [words] = champions.reconcile(MODEL)
        assert "alias champion named version 2, which no promotion set; our record has version 1, which is still serving" in words
    assert champion() == 1
    [alert] = alerts.open_alerts(MODEL)
    assert (alert.key, alert.severity, alert.times) == (f"alias/{MODEL}", "critical", 2)
    assert champions.reconcile(MODEL) == []
    assert open_keys() == [f"alias/{MODEL}"]  # until a person resolves it


def test_moving_it_back_to_an_earlier_champion_is_seen_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "SECOND_LOOK_SECONDS", 0.01)
    three_champions()
    mlflow_store.set_alias(MODEL, "champion", 2)
    champions.reconcile(MODEL)
    assert (champion(), open_keys()) == (3, [f"alias/{MODEL}"])


def test_an_alias_that_was_removed_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "SECOND_LOOK_SECONDS", 0.01)
    mlflow_store.set_alias(MODEL, "champion", None)
    champions.reconcile(MODEL)
    assert (champion(), open_keys()) == (1, [f"alias/{MODEL}"])


def test_an_alias_of_a_model_that_never_had_a_champion_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "SECOND_LOOK_SECONDS", 0.01)
    client, first = mlflow_store.mlflow_client(), champions.version_number(MODEL, 1)
    client.create_registered_model("unblessed")
    client.create_model_version("unblessed", first.artifact_uri, run_id=first.mlflow_run_id)
    mlflow_store.set_alias("unblessed", "champion", 1)
    champions.reconcile("unblessed")
    assert mlflow_store.alias("unblessed", "champion") is None
    assert "alias/unblessed" in [alert.key for alert in alerts.open_alerts("unblessed")]


def test_a_promotion_that_was_killed_before_the_alias_alarms_nobody() -> None:
    version = copied_version("b").version
    with pytest.raises(KeyboardInterrupt), watched(_dying_before("promote.alias")):
        champions.promote(MODEL, version, **PERSON)
    assert mlflow_store.alias(MODEL, "champion") == 1
    assert len(champions.reconcile(MODEL)) == 1
    assert (champion(), open_keys()) == (2, [])


def test_a_version_that_was_deleted_in_mlflow_is_told_and_serves_on() -> None:
    mlflow_store.mlflow_client().delete_model_version(MODEL, "1")
    [words] = champions.reconcile(MODEL)
    assert "MLflow no longer has version 1, which is champion and still serving" in words
    assert open_keys() == [f"alias/{MODEL}"]
    assert champions.champion(MODEL) is not None


# --- what serves ------------------------------------------------------------------------------------------------------


def test_a_champion_whose_files_were_swapped_does_not_serve_and_the_last_verified_one_does(model: ModelConfig) -> None:
    second = own_artifact(copied_version("b"))
    champions.promote(MODEL, second.version, **PERSON)
    restore = damage(second)
    for _ in range(2):
        assert score(Catalog(), Catalog().model(MODEL), AS_OF, "live").is_done
        assert scored_by() == 1
    [alert] = alerts.open_alerts(MODEL)
    assert (alert.key, alert.severity, alert.times) == (f"artifact/{MODEL}/2", "critical", 2)
    assert "its files were changed" in alert.message
    restore()
    score(Catalog(), Catalog().model(MODEL), AS_OF, "live")
    assert (scored_by(), open_keys()) == (2, [])


def test_a_champion_whose_files_are_lost_does_not_serve_either(model: ModelConfig) -> None:
    second = own_artifact(copied_version("b"))
    champions.promote(MODEL, second.version, **PERSON)
    folder = Path(urlsplit(second.artifact_uri).path)
    folder.rename(folder.with_name("elsewhere"))
    score(Catalog(), Catalog().model(MODEL), AS_OF, "live")
    assert (scored_by(), open_keys()) == (1, [f"artifact/{MODEL}/2"])


def test_when_no_champion_verifies_scoring_fails_and_keeps_what_there_is() -> None:
    champions.promote(MODEL, copied_version("b").version, **PERSON)
    damage(champions.version_number(MODEL, 1))  # both have the same files
    with pytest.raises(DataError, match="its files were changed"):
        _rescore()
    assert scored_by() == 1
    assert sorted(open_keys()) == [f"artifact/{MODEL}/1", f"artifact/{MODEL}/2"]


def test_a_challenger_whose_files_were_swapped_is_left_out_with_a_warning() -> None:
    second = own_artifact(copied_version("b"))
    damage(second)
    assert score(Catalog(), Catalog().model(MODEL), AS_OF, "live").is_done
    [alert] = alerts.open_alerts(MODEL)
    assert (alert.key, alert.severity) == (f"artifact/{MODEL}/2", "warning")
    predictions = find_predictions(MODEL, AS_OF)
    assert predictions is not None and (predictions.version, predictions.challenger_version) == (1, 0)


def test_a_champion_without_a_blessing_in_the_database_does_not_serve() -> None:
    second = copied_version("b")
    champions.promote(MODEL, second.version, **PERSON)
    with writing() as connection:
        connection.execute(decisions.update().where(decisions.c.run_key == second.run_key).values(verdict="rejected"))
    assert [each.version for each in servable.serving(MODEL, AS_OF)] == [1]
    assert open_keys() == [f"bypass/{MODEL}/{second.run_key[:12]}"]


def test_a_row_that_was_put_in_by_hand_makes_no_champion_without_approval() -> None:
    second = copied_version("b", approval="it is the first")
    row = {"model": MODEL, "version": 2, "as_of": AS_OF, "previous_version": 1, "actor": "x", "reason": "y", "promoted_at": clock.now()}
    with writing() as connection:
        connection.execute(promotions.insert().values(**row))
    assert [each.version for each in servable.serving(MODEL, AS_OF)] == [1]
    assert open_keys() == [f"bypass/{MODEL}/{second.run_key[:12]}"]


# --- registration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["rejected", "not_evaluated", None])
def test_what_the_gate_did_not_bless_is_not_registered_and_there_is_one_alert(verdict: str | None, model: ModelConfig) -> None:
    run_key = copied_candidate("b", verdict=verdict)
    for _ in range(2):
        with pytest.raises(UnearnedError, match="has no blessed decision in the database.*, so it is not registered"):
            register_candidate(Catalog(), model, run_key)
    [alert] = alerts.open_alerts(MODEL)
    assert (alert.key, alert.times) == (f"bypass/{MODEL}/{run_key[:12]}", 2)
    assert len(rows_of(model_versions)) == 1
    decided(run_key, "blessed")
    register_candidate(Catalog(), model, run_key)
    assert open_keys() == []


def test_what_a_killed_registration_left_in_mlflow_is_removed(model: ModelConfig) -> None:
    run_key = copied_candidate("b")
    version = champions.register(MODEL, run_key)
    mlflow_store.mlflow_client().create_model_version(MODEL, version.artifact_uri, run_id=version.mlflow_run_id)
    assert champions.register(MODEL, run_key) == version
    assert sorted(int(each.version) for each in mlflow_store.mlflow_client().search_model_versions(f"name = '{MODEL}'")) == [1, 2]


def test_another_registry_than_the_one_on_record_is_refused() -> None:
    run_key = copied_candidate("b")
    mlflow_store.mlflow_client().delete_registered_model(MODEL)
    with pytest.raises(DataError, match="MLflow gave the new version the number 1, which our record has for run key .* already"):
        champions.register(MODEL, run_key)


def test_who_asks_for_an_approval_is_told_whether_there_ever_was_a_champion() -> None:
    told: list[bool] = []

    def why_ask(semver: str, is_first: bool, criteria: list[dict[str, Any]]) -> str:
        told.append(is_first)
        return ""

    champions.register(MODEL, copied_candidate("b"), why_ask=why_ask)
    with writing() as connection:
        connection.execute(promotions.delete())
    champions.register(MODEL, copied_candidate("c"), why_ask=why_ask)
    assert told == [False, True]


def test_a_run_key_of_another_model_registers_nothing_and_says_nothing_of_its_decision() -> None:
    run_key = copied_candidate("b")
    champions.register(MODEL, run_key)
    with pytest.raises(UnearnedError, match="another: run key .* has no blessed decision in the database, so it is not registered"):
        champions.register("another", run_key)
    assert not [row for row in rows_of(model_versions) if row.model == "another"]


def test_a_card_that_was_lost_is_written_again(model: ModelConfig, cycled: CycleResult) -> None:
    assert cycled.version is not None
    path = ensure_card(Catalog(), Catalog().model(MODEL), cycled.version)
    storage.remove(path)
    register_candidate(Catalog(), Catalog().model(MODEL), cycled.candidate.run_key)
    assert storage.exists(path)


def _decision_on(version: RegisteredVersion) -> int:
    return max(int(str(row.id)) for row in rows_of(decisions) if row.run_key == version.run_key)


def _dying_before(effect: str) -> Any:
    def watcher(name: str, moment: str) -> None:
        if (name, moment) == (effect, "before"):
            raise KeyboardInterrupt

    return watcher


def _rescore() -> None:
    """Score as if an input had changed."""
    with writing() as connection:
        connection.execute(prediction_sets.update().values(input_digest="another"))
    score(Catalog(), Catalog().model(MODEL), AS_OF, "live")


def scored_by() -> int:
    found = find_predictions(MODEL, AS_OF)
    assert found is not None
    return found.version


def damage(version: RegisteredVersion) -> Any:
    """Swap a model's file; what is returned puts it back."""
    file = Path(urlsplit(version.artifact_uri).path, "model.skops")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"?")
    return lambda: file.write_bytes(content)


def own_artifact(version: RegisteredVersion) -> RegisteredVersion:
    """A copied version shares the first one's files; give it some of its own, with another digest."""
    folder = Path(urlsplit(version.artifact_uri).path)
    own = folder.with_name(f"{folder.name}-of-its-own")
    shutil.copytree(folder, own)
    (own / "note.txt").write_text("another one")
    values = {"artifact_uri": own.as_uri(), "artifact_digest": mlflow_store.folder_digest(own)}
    with writing() as connection:
        connection.execute(candidates.update().where(candidates.c.run_key == version.run_key).values(**values))
        ledger.bind(connection, candidates, {"run_key": version.run_key}, kind="training")
    return champions.version_number(MODEL, version.version)
