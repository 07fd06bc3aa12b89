"""Which alert a failed attempt belongs to: what has one cause has one key, and only what stops live data is critical."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evergreen.operations.noticing import Attempt, Instance, Standing, Subject, Word, cause_of, longest_expected
from include.evergreen.operations.noticing.causes import BY_HAND, is_everywhere

SERVING = Subject(model="flight_delay", stage="score", stops_live=True)
IDLE = Subject(model="air_time", stage="score")
DATASET = Subject(dataset="weather", stage="ingest", stops_live=True, readers=("air_time", "flight_delay"))


def attempt(dag_id: str = "flight_delay.score", task_id: str = "score", **more: object) -> Attempt:
    return Attempt(Instance(dag_id, task_id, "run 1"), 1, **{"state": "failed", **more})  # type: ignore[arg-type]


def test_a_server_that_is_down_is_one_cause_for_all_who_need_it_whatever_the_numbers_in_its_message() -> None:
    one = cause_of(attempt(), Word("TransientError", "mlflow:5000 did not answer within 30.1 s"), SERVING)
    other = cause_of(attempt("air_time.score"), Word("TransientError", "mlflow:5000 did not answer within 29 s"), IDLE)
    assert one.key == other.key and one.kind == "task"
    assert (one.severity, other.severity) == ("critical", "warning")


def test_the_same_words_from_two_models_code_are_two_causes() -> None:
    word = Word("KeyError", "'temp'")
    assert cause_of(attempt(), word, SERVING).key != cause_of(attempt("air_time.score"), word, IDLE).key


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TransientError", True),
        ("OSError", True),
        ("ConnectionRefusedError", True),
        ("TimeoutError", True),
        ("ReadTimeout", True),
        ("ConnectError", True),
        ("OperationalError", True),
        ("FileNotFoundError", False),
        ("ValueError", False),
        ("DataError", False),
    ],
)
def test_what_did_not_answer_is_the_same_everywhere(name: str, expected: bool) -> None:
    assert is_everywhere(name) is expected


def test_a_death_is_told_by_task_and_says_what_airflow_says() -> None:
    cause = cause_of(attempt(), Word("", "Task did not emit heartbeat"), SERVING)
    assert (cause.key, cause.severity) == ("died/flight_delay.score/score", "critical")
    assert "without a word" in cause.what and "did not emit heartbeat" in cause.what


def test_a_death_that_airflow_tries_again_wakes_nobody() -> None:
    assert cause_of(attempt(state="retrying"), Word(), SERVING).severity == "warning"


def test_what_a_person_marked_as_failed_wakes_nobody() -> None:
    assert cause_of(attempt(), Word(BY_HAND, "A person marked it as failed."), SERVING).severity == "warning"


def test_data_that_does_not_pass_is_an_alert_of_its_dataset() -> None:
    cause = cause_of(attempt("weather.ingest", "validate"), Word("DataError", "weather/2013-02-08: 12% of the rows failed"), DATASET)
    assert (cause.key, cause.severity) == ("validation/weather", "critical")
    assert cause_of(attempt("weather.ingest", "fetch"), Word("DataError", "no such file"), DATASET).kind == "task"


@given(st.sampled_from(["failed", "retrying", "silent"]), st.text(max_size=30), st.sampled_from([SERVING, IDLE, DATASET, Subject()]))
def test_all_failures_of_a_backfill_are_one_warning(state: str, text: str, subject: Subject) -> None:
    cause = cause_of(attempt(state=state, backfill="7"), Word("ValueError" if text else "", text), subject)
    assert (cause.key, cause.severity) == ("backfill/7", "warning")


@given(st.text(max_size=300), st.text(max_size=300))
def test_every_key_fits_the_table(dag_id: str, task_id: str) -> None:
    for word in (Word(), Word("ValueError", dag_id)):
        assert len(cause_of(attempt(dag_id, task_id), word, Subject()).key) <= 250


def test_a_task_is_well_when_it_succeeded_or_its_silent_worker_is_heard_again() -> None:
    assert Standing("success", 2).is_well(1) and Standing("skipped", 1).is_well(1)
    assert not Standing("running", 2, is_heard=True).is_well(1), "it was cleared, and has not succeeded yet"
    assert Standing("running", 1, is_heard=True).is_well(1)
    assert not Standing("upstream_failed", 2).is_well(1) and not Standing("", 1).is_well(1)


@given(st.lists(st.floats(1, 5000), min_size=5, max_size=20))
def test_no_run_like_those_of_the_past_is_stuck(seconds: list[float]) -> None:
    expected = longest_expected(seconds)
    assert expected is not None and expected >= 600
    assert expected >= 3 * sorted(seconds)[len(seconds) // 2] - 1e-6 or expected >= 600


def test_one_slow_run_of_the_past_moves_nothing_and_too_short_a_past_says_nothing() -> None:
    usual = [300.0, 310.0, 290.0, 305.0, 295.0]
    assert longest_expected([*usual, 100_000.0]) == pytest.approx(longest_expected(usual), rel=0.1)
    assert longest_expected(usual[:4]) is None
