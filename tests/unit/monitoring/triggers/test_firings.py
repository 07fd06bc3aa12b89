from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.monitoring import Retrain, Rule
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import (
    Firing,
    answer_firing,
    ask_training,
    awaited_firing,
    due_firing,
    fail_firing,
    fire_by_hand,
    fire_if_tripped,
    list_firings,
    models_to_look_at,
    tripped,
)
from include.evergreen.state import ledger, pauses
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates, decisions, firings, snapshots
from include.evergreen.state.database.tables import ledger as entries
from tests.unit.flights import january, rows_of
from tests.unit.warm import start_code

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def model(air_time: ModelConfig) -> ModelConfig:
    """Fires on two bad days of three, or on one very bad one, and then not for a week."""
    rules = (
        Rule(metric="performance.mae", above=20, k=2, n=3),
        Rule(metric="drift.share", above=0.5, k=1, n=1),
    )
    return air_time.model_copy(update={"retrain": Retrain(rules=rules, cooldown=Span(7, "day"))})


def test_nothing_fires_without_a_reason(model: ModelConfig) -> None:
    assert fire_if_tripped(model) is None
    _observe(1, 10)
    assert (tripped(model), fire_if_tripped(model), list_firings("air_time")) == (None, None, [])


def test_a_firing_is_recorded_with_its_evidence_and_in_the_ledger(model: ModelConfig) -> None:
    _observe(1, 25)
    _observe(2, 30)
    fired = fire_if_tripped(model)
    assert fired is not None
    assert (fired.rule, fired.as_of, fired.version) == ("performance.mae>20 (2 of 3)", january(2), 1)
    assert fired.message == "performance.mae>20 (2 of 3): 2013-01-01: 25.000, 2013-01-02: 30.000"
    assert [each["value"] for each in fired.evidence["observations"]] == [25, 30]
    entry = rows_of(entries)[-1]
    assert (entry.kind, entry.model, json.loads(str(entry.body))["evidence"]) == ("firing", "air_time", fired.evidence)
    assert ledger.verify() == []


def test_a_firing_by_hand_is_recorded_with_who_and_why_and_trains_as_one_of_a_rule(model: ModelConfig) -> None:
    with pytest.raises(ConfigError, match="Nothing was observed of air_time"):
        fire_by_hand(model, actor="ann", reason="a new tariff")
    _observe(1, 10)
    _observe(2, 10)
    with pytest.raises(ConfigError, match="the reason has 2 characters"):
        fire_by_hand(model, actor="ann", reason="no")
    fired = fire_by_hand(model, actor="ann", reason="a new tariff")
    assert (fired.rule, fired.as_of, fired.partition, fired.message) == (
        "fired by hand", january(2), january(2), "fired by hand, by ann: a new tariff",
    )  # fmt: skip
    assert due_firing("air_time") == fired, "the sensor that stands armed hears of it"
    assert rows_of(entries)[-1].kind == "firing" and ledger.verify() == []
    with pytest.raises(ConfigError, match="has fired as of 2013-01-02 already, and its training was not triggered yet"):
        fire_by_hand(model, actor="bob", reason="a new tariff")
    _decide(fired, "blessed")
    with pytest.raises(ConfigError, match="was fired by hand as of 2013-01-02 already"):
        fire_by_hand(model, actor="bob", reason="a new tariff")
    _observe(3, 30)
    _observe(4, 30)
    assert fire_if_tripped(model) is None, "the cool-down begins with it"
    assert fire_by_hand(model, actor="bob", reason="a new tariff").as_of == january(4), "and does not hold a person"
    assert len(list_firings("air_time")) == 2


def test_a_pause_holds_a_firing_by_hand_too(model: ModelConfig) -> None:
    _observe(1, 10)
    pauses.pause(hours=1, actor="ann", reason="a release")
    with pytest.raises(ConfigError, match="air_time does not fire: .* End the pause first"):
        fire_by_hand(model, actor="bob", reason="a new tariff")
    assert list_firings("air_time") == []


def test_looking_alone_fires_nothing(model: ModelConfig) -> None:
    _observe(1, 30)
    _observe(2, 30)
    evidence = tripped(model)
    assert evidence is not None
    assert evidence.as_of == january(2)
    assert rows_of(firings) == []


def test_a_pause_holds_what_trips_and_it_fires_when_the_pause_is_over(model: ModelConfig) -> None:
    _observe(1, 30)
    _observe(2, 30)
    pauses.pause(hours=1, actor="ada", reason="a bad feed")
    assert fire_if_tripped(model) is None
    assert rows_of(firings) == []
    pauses.lift(actor="ada", reason="it is mended")
    assert fire_if_tripped(model) is not None


def test_the_same_evidence_fires_once(model: ModelConfig) -> None:
    _observe(1, 30)
    _observe(2, 30)
    assert fire_if_tripped(model) is not None
    assert (tripped(model), fire_if_tripped(model)) == (None, None)
    assert (len(rows_of(firings)), len(rows_of(entries))) == (1, 1)


def test_no_other_fires_within_the_cool_down_whatever_the_rule(model: ModelConfig) -> None:
    for day in range(1, 11):
        _observe(day, 30, drift=0.9)
        fire_if_tripped(model)
    assert [each.as_of for each in list_firings("air_time")] == [january(1), january(9)]  # a week of days lies between


def test_each_rejected_candidate_in_a_row_doubles_the_cool_down_and_another_verdict_ends_it(model: ModelConfig) -> None:
    fired = []
    for day in range(1, 32):
        _observe(day, 30, drift=0.9)
        if firing := fire_if_tripped(model.model_copy(update={"retrain": model.retrain.model_copy(update={"cooldown": Span(2, "day")})})):
            fired.append(day)
            _decide(firing, "blessed" if len(fired) == 3 else "rejected")
    assert fired == [1, 6, 15, 18, 23]


def test_without_a_cool_down_every_new_day_may_fire_and_no_day_twice(model: ModelConfig) -> None:
    eager = model.model_copy(update={"retrain": model.retrain.model_copy(update={"cooldown": Span(0, "day")})})
    for day in (2, 1, 3, 3):
        _observe(day, 30, drift=0.9)
        fire_if_tripped(eager)
    assert [each.as_of for each in list_firings("air_time")] == [january(2), january(3)]


def test_backfilled_observations_never_fire(model: ModelConfig) -> None:
    for day in range(1, 10):
        _observe(day, 99, drift=0.9, origin="backfill")
        assert fire_if_tripped(model) is None


def test_the_first_rule_that_trips_is_the_one_that_fires(model: ModelConfig) -> None:
    _observe(1, 10, drift=0.9)
    fired = fire_if_tripped(model)
    assert fired is not None
    assert fired.rule == "drift.share>0.5 (1 of 1)"


def test_models_cool_down_apart(model: ModelConfig, flight_delay: ModelConfig) -> None:
    other = flight_delay.model_copy(update={"retrain": model.retrain})
    for name in ("air_time", "flight_delay"):
        _observe(1, 30, drift=0.9, model=name)
    assert fire_if_tripped(model) is not None
    assert fire_if_tripped(other) is not None
    assert [each.model for each in list_firings("flight_delay")] == ["flight_delay"]


def test_a_firing_that_was_killed_before_its_ledger_entry_did_not_happen(model: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    _observe(1, 30, drift=0.9)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ledger, "bind", _killed)
        fire_if_tripped(model)
    assert rows_of(firings) == []
    assert fire_if_tripped(model) is not None


def test_two_processes_that_ask_at_once_record_one_firing(home: Path) -> None:
    """Both have seen the rule trip, and stand at the write lock, before either may go on."""
    for day in (1, 2):
        _observe(day, 99)
    code = (
        "from include.evergreen.config import Catalog\n"
        "from include.evergreen.monitoring.triggers import firings\n"
        "lock = firings.writing\n"
        "def writing():\n"
        "    print('at the lock', flush=True)\n"
        "    return lock()\n"
        "firings.writing = writing\n"
        "print(firings.fire_if_tripped(Catalog().model('air_time')) is not None)"
    )
    with writing():
        processes = [start_code(code) for _ in range(2)]
        assert [process.stdout.readline() for process in processes if process.stdout] == ["at the lock\n"] * 2
    outcomes = [process.communicate()[0].strip() for process in processes]
    assert sorted(outcomes) == ["False", "True"]
    assert (len(rows_of(firings)), len(rows_of(entries))) == (1, 1)
    assert ledger.verify() == []


def _observe(day: int, error: float, *, drift: float = 0.1, origin: str = "live", model: str = "air_time") -> None:
    figures = {"performance.mae": error, "drift.share": drift}
    partition = january(day)
    observed = [Observation(model, partition, name, value, 1, origin, 900) for name, value in figures.items()]
    record_observations(model, partition, observed)


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


# --- its training -----------------------------------------------------------------------------------------------------


def test_a_firing_is_due_until_its_training_was_asked_for_and_answered_by_the_training_alone(model: ModelConfig) -> None:
    fired = _fired(model, day=2)
    assert due_firing("air_time") == fired
    run_id = ask_training(fired.id)
    assert run_id == f"firing__{fired.id}__2013-01-02"
    assert (ask_training(fired.id), due_firing("air_time")) == (run_id, None)  # a repetition asks for the same
    awaited = awaited_firing("air_time")
    assert awaited is not None
    answer_firing("air_time", "another run")
    assert awaited_firing("air_time") == awaited
    answer_firing("air_time", run_id)
    assert (awaited_firing("air_time"), due_firing("air_time"), ask_training(fired.id)) == (None, None, None)


def test_a_training_that_failed_opens_the_rule_to_newer_evidence_at_once(model: ModelConfig) -> None:
    fired = _fired(model, day=2)
    _training_failed(fired.id)
    assert (tripped(model), fire_if_tripped(model)) == (None, None)  # the same evidence waits for its repetition
    _observe(3, 30)
    again = fire_if_tripped(model)
    assert again is not None
    assert (again.as_of, due_firing("air_time")) == (january(3), again)
    run_id = ask_training(again.id)
    assert run_id
    answer_firing("air_time", run_id)
    _observe(4, 30)
    assert fire_if_tripped(model) is None  # one whose training exists cools down as ever


def test_the_training_of_the_same_evidence_is_asked_for_again_later_and_later(model: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    fired, start = _fired(model, day=2), clock.now()
    hours = 0.0
    for attempt, wait in enumerate((1, 2, 4, 8, 16, 24, 24), start=1):
        run_id = ask_training(fired.id)
        assert run_id == f"firing__{fired.id}__2013-01-02{f'__{attempt}' if attempt > 1 else ''}"
        fail_firing(fired.id, run_id)
        monkeypatch.setattr(clock, "now", lambda at=start + dt.timedelta(hours=hours + wait - 0.1): at)
        assert due_firing("air_time") is None
        hours += wait
        monkeypatch.setattr(clock, "now", lambda at=start + dt.timedelta(hours=hours + 0.1): at)
        due = due_firing("air_time")
        assert due is not None and due.id == fired.id
    assert len(rows_of(firings)) == 1
    assert ledger.verify() == []


@pytest.mark.parametrize("has_failed", [False, True])
def test_a_clock_that_is_set_back_makes_nothing_wait_for_it_to_catch_up(
    model: ModelConfig, has_failed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fired = _fired(model, day=2)
    if has_failed:
        _training_failed(fired.id)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now - dt.timedelta(days=365))
    due = due_firing("air_time")
    assert due is not None and due.id == fired.id
    assert models_to_look_at() == {"air_time"}


def test_a_failure_that_comes_after_the_answer_or_from_an_earlier_attempt_is_none(model: ModelConfig) -> None:
    fired = _fired(model, day=2)
    first = _training_failed(fired.id)
    second = ask_training(fired.id)
    assert second
    fail_firing(fired.id, first)
    awaited = awaited_firing("air_time")
    assert awaited is not None and awaited.training_run_id == second
    answer_firing("air_time", second)
    fail_firing(fired.id, second)
    assert list_firings("air_time")[0].failed_at is None


def test_a_failed_training_that_somebody_cleared_still_answers(model: ModelConfig) -> None:
    fired = _fired(model, day=2)
    answer_firing("air_time", _training_failed(fired.id))
    assert (due_firing("air_time"), ask_training(fired.id)) == (None, None)


def test_the_state_of_its_training_is_told(model: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    fired = _fired(model, day=2)
    monkeypatch.setattr(clock, "now", lambda: dt.datetime(2013, 1, 5, 7, 30, tzinfo=dt.UTC))
    name = f"firing__{fired.id}__2013-01-02"
    told = [list_firings("air_time")[0].training]
    _training_failed(fired.id)
    told.append(list_firings("air_time")[0].training)
    answer_firing("air_time", name)
    told.append(list_firings("air_time")[0].training)
    assert told == [
        "its training was not triggered yet",
        f"its training {name} failed at 2013-01-05 07:30 UTC and is triggered again from 2013-01-05 08:30 UTC",
        f"its training {name} was decided at 2013-01-05 07:30 UTC",
    ]


def _fired(model: ModelConfig, *, day: int) -> Firing:
    _observe(day - 1, 30)
    _observe(day, 30)
    fired = fire_if_tripped(model)
    assert fired is not None
    return fired


def _training_failed(firing_id: int) -> str:
    run_id = ask_training(firing_id)
    assert run_id is not None
    fail_firing(firing_id, run_id)
    return run_id


def _decide(firing: Firing, verdict: str) -> None:
    """The gate decides on the candidate of the firing's training."""
    training, now = str(ask_training(firing.id)), clock.now()
    common = {"model": firing.model, "as_of": firing.as_of, "recorded_at": now}
    candidate = dict.fromkeys(
        ("recipe_digest", "signature_digest", "mlflow_run_id", "artifact_uri", "artifact_digest", "reference_path"), ""
    )
    decision = {"champion_version": 1, "gate_digest": "", "attempt": 1, "mode": "enforce", "verdict": verdict, "criteria": []}
    with writing() as connection:
        connection.execute(snapshots.insert().values(**common, digest=training, window_days=1, rows=1, members={}, frame_path=""))
        connection.execute(
            candidates.insert().values(**common, **candidate, run_key=training, snapshot_digest=training, metrics={}, facts={})
        )
        connection.execute(decisions.insert().values(**common, **decision, run_key=training))
    answer_firing(firing.model, training)
