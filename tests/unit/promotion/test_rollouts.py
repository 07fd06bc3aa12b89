"""Roll-outs: how a version takes the champion's place step by step, and what keeps it from it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import Catalog
from include.evergreen.config.approval import Approval
from include.evergreen.data.partitions.files import RowWriter
from include.evergreen.features.columns import CHALLENGER, PREDICTION, VERSION, keys_of
from include.evergreen.foundation.errors import ConfigError, OvertakenError
from include.evergreen.monitoring.observations import list_observations
from include.evergreen.operations.diagnose import why
from include.evergreen.operations.status import status
from include.evergreen.operations.watching import watch
from include.evergreen.promotion import promote as promotion
from include.evergreen.promotion.promote import register_candidate
from include.evergreen.registry import approvals, champions
from include.evergreen.scoring import score as scoring
from include.evergreen.scoring.assignment import assigned
from include.evergreen.scoring.predictions import PredictionSet, all_scorings, find_predictions
from include.evergreen.state import alerts, ledger, mlflow_store, pauses, storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.state.database.tables import rollouts
from tests.unit.copies import copied_candidate, copied_version
from tests.unit.flights import republish, rows_of, shifted
from tests.unit.lifecycle import AS_OF, MODEL, day
from tests.unit.rolling import (
    PERSON,
    advance,
    champion,
    declared,
    newest,
    predicting_the_opposite,
    score,
    settle_before_rollout,
    start,
)
from tests.unit.warm import run_code

SHADOW = {"strategy": "shadow", "partitions": 2}
CANARY = {"strategy": "canary", "partitions": 2, "shares": (0.2, 0.6)}
AB = {"strategy": "ab", "partitions": 2, "share": 0.5}


@pytest.fixture(autouse=True)
def before_rollout() -> None:
    settle_before_rollout()


def predictions(number: int) -> PredictionSet:
    found = find_predictions(MODEL, day(number))
    assert found is not None
    return found


def versions(number: int) -> dict[tuple[object, ...], int]:
    """By key: the version that served it."""
    frame = predictions(number).whole()
    keys = keys_of(frame, Catalog().dataset("schedules").keys)
    return dict(zip(keys.itertuples(index=False, name=None), frame[VERSION], strict=True))


def told(kind: str) -> list[dict[str, object]]:
    return [json.loads(str(row.body)) for row in rows_of(entries) if row.kind == kind and row.model == MODEL]


# --- shadow -----------------------------------------------------------------------------------------------------------


def test_in_shadow_the_champion_serves_until_the_version_has_shown_itself_on_the_same_rows() -> None:
    model = declared(**SHADOW)
    outcome = start(model)
    assert (outcome.promoted, outcome.is_rolling_out) == (False, True)
    assert outcome.message == "version 2 is rolled out beside champion 1 (shadow): it scores in shadow from 2013-01-21 on"
    assert start(model) == outcome and len(rows_of(rollouts)) == 1, "a retry starts no second one"
    score(model, 21)
    frame = predictions(21).whole()
    assert set(frame[VERSION]) == {1} and np.array_equal(frame[PREDICTION], frame[CHALLENGER])
    assert advance(model).endswith("goes on: 1 of 2 days are scored by both versions")
    score(model, 22)
    told_by_watching = watch(Catalog(), model, day(22), "live").message
    assert "version 2 (1.0.1) as of 2013-01-20 is champion, replacing version 1" in told_by_watching
    assert (champion(), mlflow_store.alias(MODEL, "champion")) == (2, 2)
    rollout = newest()
    assert (rollout.state, rollout.first, rollout.last) == ("promoted", day(21), day(22))
    [evidence] = rollout.evidence
    assert (evidence["metric"], evidence["difference"], evidence["partitions"]) == ("log_loss", 0.0, [day(21), day(22), 2])
    assert evidence["rows"]["version"] == evidence["rows"]["champion"] > 200
    assert told("promotion")[-1]["rollout"] == rollout.id
    assert ledger.verify() == []
    assert advance(model) == ""


def test_it_waits_for_labels_and_says_so() -> None:
    model = declared(**SHADOW)
    start(model)
    score(model, 24, 25)
    assert "all 2 days are scored, and the labels of outcomes/2013-01-25 have not arrived yet" in advance(model)
    of_model = status(Catalog())["models"][MODEL]["rollout"]
    assert (of_model["version"], of_model["strategy"], of_model["step"], of_model["steps"]) == (2, "shadow", 1, 1)
    assert of_model["waits_for"] == "all 2 days are scored, and the labels of outcomes/2013-01-25 have not arrived yet"
    waits = "It waits: all 2 days are scored, and the labels of outcomes/2013-01-25 have not arrived yet."
    assert f"It is in the shadow of version 2 beside champion 1: version 2 scores it in shadow. {waits}" in why(Catalog(), model, day(25))


def test_a_version_that_is_worse_is_rolled_back_and_only_a_persons_force_promotes_it() -> None:
    model = declared(**SHADOW)
    start(model)
    with predicting_the_opposite(2):
        score(model, 21, 22)
    assert advance(model).startswith("the shadow of version 2 beside champion 1 is rolled back: log_loss is")
    assert (champion(), newest().state) == (1, "rolled_back")
    [alert] = alerts.open_alerts(MODEL)
    assert (alert.key, alert.severity) == (f"rollout/{MODEL}/rolled-back", "warning")
    assert champions.challenger(MODEL) is None and mlflow_store.alias(MODEL, "challenger") is None
    assert champions.roles(MODEL)[2].startswith("shadow rolled back: log_loss")
    again = start(model)
    assert not again.promoted and not again.is_rolling_out
    assert again.message.startswith("version 2 is not promoted: its shadow was rolled back")
    assert "it can be forced" in champions.promote(MODEL, 2, **PERSON).message
    assert champions.promote(MODEL, 2, force=True, **PERSON).promoted
    assert told("override")


def test_backfilled_days_decide_nothing() -> None:
    model = declared(**SHADOW)
    start(model)
    score(model, 21, 22, origin="backfill")
    assert "0 of 2 days" in advance(model)


# --- canary -----------------------------------------------------------------------------------------------------------


def test_a_canary_serves_a_growing_share_of_the_keys_and_then_all_of_them() -> None:
    model = declared(**CANARY)
    assert start(model).message.endswith("it serves 20% of the keys from 2013-01-21 on")
    score(model, 21, 22)
    first = versions(21)
    assert first == {key: version for key, version in versions(22).items() if key in first}, "a key has one version"
    assert 0.05 < np.mean([version == 2 for version in first.values()]) < 0.4
    assert CHALLENGER not in predictions(21).whole()
    assert advance(model).endswith("(canary): it serves 60% of the keys from 2013-01-23 on")
    score(model, 23, 24)
    second = versions(23)
    assert {key for key, version in first.items() if version == 2} < {key for key, version in second.items() if version == 2}
    assert 0.4 < np.mean([version == 2 for version in second.values()]) < 0.8
    assert "is champion, replacing version 1" in advance(model)
    assert [each["step"] for each in newest().evidence] == [1, 2]
    assert [kind for row in rows_of(entries) if (kind := str(row.kind)).startswith("rollout")] == ["rollout", "rollout-step", "rollout-end"]
    score(model, 25)
    assert set(versions(25).values()) == {2}
    assert ledger.verify() == []


def test_a_canary_that_is_worse_is_rolled_back_by_itself_at_its_first_step() -> None:
    model = declared(**CANARY)
    start(model)
    with predicting_the_opposite(2):
        score(model, 21, 22)
    assert "is rolled back: log_loss is" in advance(model)
    score(model, 23)
    assert set(versions(23).values()) == {1}
    assert predictions(23).challenger_version == 0


def test_a_canary_that_is_far_worse_is_rolled_back_before_its_step_has_ended() -> None:
    model = declared(**{**CANARY, "partitions": 5})
    start(model)
    with predicting_the_opposite(2):
        score(model, 21)
        assert "1 of 5 days are scored by both versions" in advance(model)
        score(model, 22, 23, 24)
    assert "is rolled back: log_loss is" in advance(model)
    assert newest().evidence[0]["partitions"] == [day(21), day(24), 4]
    assert newest().evidence[0]["confidence"] == pytest.approx(1 - 0.05 / 2 * 0.2 / 3), "of two steps, a fifth for three early looks"


def test_an_early_look_neither_grows_a_canary_nor_ends_it_for_chance() -> None:
    model = declared(**{**CANARY, "partitions": 4})
    start(model)
    score(model, 21, 22, 23)
    assert "3 of 4 days are scored by both versions" in advance(model)
    score(model, 24)
    assert "it serves 60% of the keys" in advance(model)


def test_monitoring_is_about_the_rows_of_the_champion() -> None:
    model = declared(**CANARY)
    start(model)
    with predicting_the_opposite(2):
        score(model, 21)
    watch(Catalog(), model, day(21), "live")
    own = [version for version in versions(21).values() if version == 1]
    figures = {figure.metric: figure for figure in list_observations(MODEL, first=day(21), last=day(21))}
    assert {figure.version for figure in figures.values()} == {1}
    assert figures["drift.share"].rows == len(own) < predictions(21).rows
    assert len(predictions(21).frame()) == predictions(21).count() == len(own)
    assert figures["performance.log_loss"].value < 0.7, "the opposite would be far worse"


def test_what_was_scored_in_a_rollout_is_scored_again_by_the_same_versions_bit_for_bit() -> None:
    model = declared(**CANARY)
    start(model)
    score(model, 21, 22)
    before = predictions(21)
    while champion() == 1:
        advance(model)
        score(model, *(number for number in (23, 24) if newest().share(day(number)) == 0.6))
    assert champions.challenger(MODEL) is None
    assert scoring.score(Catalog(), model, day(21), "live").status == "unchanged"
    storage.remove(before.path)
    score(model, 21)
    assert predictions(21) == before and storage.exists(before.path)
    republish("weather", day(20), shifted("temp", 5), knowledge_time=None)
    score(model, 21)
    again = predictions(21)
    assert (again.scoring, again.version, again.challenger_version) == (2, 1, 2)
    assert [each.path for each in all_scorings(MODEL, day(21))] == [before.path, again.path], "no version overwrote another's predictions"
    assert storage.exists(before.path)
    frames = [storage.read_frame(each.path) for each in (before, again)]
    assert frames[0][VERSION].equals(frames[1][VERSION]) and set(frames[0][VERSION]) == {1, 2}


def test_a_challenger_that_cannot_be_computed_leaves_all_rows_to_the_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    model = declared(**CANARY)
    start(model)
    loaded = scoring._loaded

    def broken(scorer: scoring.Scorer) -> object:
        if scorer.version.version == 2:
            raise ConfigError("it cannot be loaded")
        return loaded(scorer)

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "_loaded", broken)
        score(model, 21)
    assert set(versions(21).values()) == {1}
    assert [alert.key for alert in alerts.open_alerts(MODEL)] == [f"challenger/{MODEL}"]
    assert "0 of 2 days" in advance(model)
    score(model, 21)
    assert set(versions(21).values()) == {1, 2}, "scored again, its keys are as they were assigned"


def test_a_rollout_that_was_changed_by_hand_serves_nothing_and_decides_nothing() -> None:
    model = declared(**CANARY)
    start(model)
    with writing() as connection:
        connection.execute(rollouts.update().values(steps=[{"share": 0.9, "first": day(21)}]))
    score(model, 21)
    assert set(versions(21).values()) == {1}
    [alert] = alerts.open_alerts(MODEL)
    assert alert.kind == "bypass" and "rollouts" in alert.message and "steps" in alert.message
    with reading() as connection:
        [difference] = ledger.compare(connection)
    assert "rollouts" in difference and difference.endswith("in: steps")


# --- ab ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.5, 1e-9])
def test_an_ab_ends_with_the_gates_own_test_on_the_keys_of_each(margin: float) -> None:
    """Equal versions of which each served half of the keys: not worse by .5 is sure, and by nothing at all is not."""
    model = declared(margin, **AB)
    start(model)
    score(model, 21, 22)
    assert 0.35 < np.mean([version == 2 for version in versions(21).values()]) < 0.65
    advance(model)
    [evidence] = newest().evidence
    assert newest().state == ("promoted" if margin == 0.5 else "rolled_back")
    assert "the champion's on the other keys" in str(evidence["message"])
    assert evidence["rows"]["version"] + evidence["rows"]["champion"] > 200
    assert champion() == (2 if margin == 0.5 else 1)


# --- what else ends one, or keeps it from starting --------------------------------------------------------------------


def test_a_newer_candidate_waits_and_takes_its_turn_when_the_rollout_has_ended() -> None:
    model = declared(**SHADOW)
    start(model)
    third = copied_version("newer").version
    assert start(model, third).message == "version 3 waits for the shadow of version 2 beside champion 1, and is judged when that has ended"
    score(model, 21, 22)
    assert predictions(21).challenger_version == 2, "the version that waits scores nothing"
    assert "version 3 is rolled out beside champion 2 (shadow)" in advance(model)
    assert (newest(2).state, newest(3).state, newest(3).first) == ("promoted", "running", day(23))
    assert mlflow_store.alias(MODEL, "challenger") == third


@pytest.mark.parametrize("ended", ["promoted", "aborted"])
def test_a_promotion_by_hand_ends_it(ended: str) -> None:
    model = declared(**CANARY)
    start(model)
    score(model, 21)
    third = copied_version("newer").version
    assert champions.promote(MODEL, 2 if ended == "promoted" else third, **PERSON).promoted
    rollout = newest()
    assert (rollout.state, rollout.last) == (ended, day(21))
    assert "by a person: it went wrong" in rollout.because
    score(model, 22)
    assert set(versions(22).values()) == {champion()}
    assert set(versions(21).values()) == {1, 2}


def test_a_rollback_of_the_champion_aborts_it() -> None:
    model = declared(**CANARY)
    champions.promote(MODEL, 2, **PERSON)
    third = copied_version("newer").version
    start(model, third)
    score(model, 21)
    champions.rollback(MODEL, **PERSON)
    assert (newest().state, champion()) == ("aborted", 1)
    score(model, 22)
    assert set(versions(22).values()) == {1}


def test_a_person_aborts_it_once_and_for_all_but_for_an_approval() -> None:
    model = declared(**CANARY)
    start(model)
    score(model, 21)
    outcome = champions.abort_rollout(MODEL, **PERSON)
    assert outcome.message == "the canary of version 2 beside champion 1 is aborted by a person: it went wrong"
    assert champions.abort_rollout(MODEL, **PERSON) == outcome
    assert "aborted" in start(model).message
    approvals.record_answer(MODEL, 2, request="again", verdict="approved", actor="another person", reason="it was not its fault")
    assert start(model).is_rolling_out
    assert newest().first == day(22)


def test_a_refusal_while_it_runs_aborts_it() -> None:
    model = declared(**CANARY)
    start(model)
    approvals.record_answer(MODEL, 2, request="late", verdict="refused", actor="a person", reason="not this one")
    assert advance(model) == "the canary of version 2 beside champion 1 is aborted by a person: not this one"


def test_a_pause_holds_it_where_it_is() -> None:
    model = declared(**SHADOW)
    start(model)
    score(model, 21, 22)
    pauses.pause(hours=1, actor="a person", reason="a bad feed")
    assert "version 2 is not promoted: a person paused automatic promotion" in advance(model)
    assert newest().is_running and "a person paused automatic promotion" in newest().note
    pauses.lift(actor="a person", reason="it is over")
    advance(model)
    assert champion() == 2


def test_by_default_the_version_serves_at_once() -> None:
    assert start(declared()).promoted
    assert rows_of(rollouts) == []


@pytest.mark.parametrize("other", [{"champion_version": 0}, {"criteria": [{"kind": "comparison", "verdict": "not_applicable"}]}])
def test_where_there_is_no_champion_to_compare_with_the_version_serves_at_once(
    monkeypatch: pytest.MonkeyPatch, other: dict[str, object]
) -> None:
    """It is the first one, or the gate could not compute the champion."""
    decide = promotion.decide
    monkeypatch.setattr(promotion, "decide", lambda *given: replace(decide(*given), **other))
    taken: list[int] = []
    monkeypatch.setattr(champions, "promote_judged", lambda wanted, *_, **__: taken.append(wanted.version))
    start(declared(**CANARY))
    assert taken == [2] and rows_of(rollouts) == []


def test_a_version_of_another_target_is_left_to_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    model = declared(**SHADOW)
    by_recipe = promotion.recipe_of_version

    class Other:
        def config(self, now: object) -> object:
            target = model.target.model_copy(update={"positive_above": 60.0})
            return model.model_copy(update={"target": target})

    monkeypatch.setattr(promotion, "recipe_of_version", lambda *given: Other() if given[2].version == 2 else by_recipe(*given))
    outcome = start(model)
    assert not outcome.promoted and not outcome.is_rolling_out
    assert outcome.message == (
        "version 2 is not rolled out: its target is not that of champion 1, so nothing compares them; a person may promote it"
    )


def test_a_model_whose_versions_need_approval_is_rolled_out_once_it_is_given() -> None:
    model = declared(**SHADOW).model_copy(update={"approval": Approval(mode="human")})
    version = register_candidate(Catalog(), model, copied_candidate("asked", as_of=AS_OF)).version
    with pytest.raises(champions.UnearnedError, match="needs a person's approval"):
        start(model, version)
    approvals.record_answer(MODEL, version, request="one", verdict="approved", actor="a person", reason="it is good")
    assert start(model, version).is_rolling_out


# --- at once, and killed ----------------------------------------------------------------------------------------------


def test_a_scoring_that_a_rollout_overtakes_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = declared(**CANARY)
    keep, starts = RowWriter.keep, iter([True])

    def meanwhile(writer: RowWriter, path: str) -> None:
        keep(writer, path)
        if next(starts, False):
            start(model)

    with monkeypatch.context() as patch:
        patch.setattr(RowWriter, "keep", meanwhile)
        score(model, 21)
    assert newest().first == day(21)
    assert set(versions(21).values()) == {1, 2}


def test_what_is_decided_twice_at_once_is_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = declared(**SHADOW)
    start(model)
    score(model, 21, 22)
    settle = champions.settle_rollout

    def twice(*given: object, **named: object) -> object:
        assert settle(*given, **named) is not None  # type: ignore[arg-type]
        return settle(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(champions, "settle_rollout", twice)
    assert advance(model) == ""
    assert (champion(), len(told("rollout-end")), len(newest().evidence)) == (2, 1, 1)


def test_labels_that_change_while_it_is_judged_have_it_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = declared(**SHADOW)
    start(model)
    score(model, 21, 22)
    settle, changes = champions.settle_rollout, iter([True])

    def meanwhile(*given: object, **named: object) -> object:
        if next(changes, False):
            republish("outcomes", day(22), shifted("arr_delay", 1))
            with pytest.raises(OvertakenError):
                settle(*given, **named)  # type: ignore[arg-type]
            raise OvertakenError("as above")
        return settle(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(champions, "settle_rollout", meanwhile)
    advance(model)
    assert champion() == 2


@pytest.mark.timeout(600)
def test_a_rollout_that_is_killed_at_any_write_and_done_again_is_as_an_undisturbed_one() -> None:
    killed = json.loads(run_code("from tests.unit.rollout_killed import main; main()").splitlines()[-1])
    assert (killed["wrong"], killed["outside"]) == ({}, [])
    assert killed["deaths"] >= 8
    assert set(killed["effects"]) >= {"promote.record", "promote.alias"}
    assert [each[1] for each in killed["state"]["rollouts"]] == ["promoted"]


# --- the assignment ---------------------------------------------------------------------------------------------------


def test_a_key_is_assigned_by_what_it_says_and_a_larger_share_holds_the_smaller_one() -> None:
    numbers = np.arange(20_000)
    keys = pd.DataFrame({"flight": numbers, "origin": np.where(numbers % 2, "EWR", "JFK")})
    small, large = assigned("m", 1, keys, 0.05), assigned("m", 1, keys, 0.3)
    assert small.mean() == pytest.approx(0.05, abs=0.006) and large.mean() == pytest.approx(0.3, abs=0.013)
    assert not (small & ~large).any()
    assert np.array_equal(small, assigned("m", 1, keys.astype({"flight": "float64", "origin": "category"}), 0.05))
    assert np.array_equal(small[::-1], assigned("m", 1, keys.iloc[::-1], 0.05))
    others = [assigned("m", 2, keys, 0.3), assigned("n", 1, keys, 0.3)]
    assert all((large & other).mean() == pytest.approx(0.09, abs=0.01) for other in others), "another roll-out divides anew"
    assert assigned("m", 1, pd.DataFrame({"a": [None, 1.0]}), 1.0).all()


def test_it_is_written_down_how_a_key_is_assigned() -> None:
    """Were it computed otherwise, what was scored would be scored again by other versions."""
    keys = pd.DataFrame({"carrier": ["AA", "B6", "DL", "UA"], "flight": [100, 101, 102, 103]})
    assert assigned("flight_delay", 1, keys, 0.5).tolist() == [False, True, False, True]
