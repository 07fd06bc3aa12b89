from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.approval import Approval
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.registry import approvals
from include.evergreen.state import ledger
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import approvals as answers
from include.evergreen.state.database.tables import ledger as entries
from tests.unit.flights import rows_of


def with_approval(model: ModelConfig, mode: str, *when: str) -> ModelConfig:
    return model.model_copy(update={"approval": Approval.model_validate({"mode": mode, "when": when})})


def asked(model: ModelConfig, *, semver: str = "1.2.3", is_first: bool = False, worse: tuple[str, ...] = ()) -> str:
    criteria: list[dict[str, Any]] = [{"kind": "absolute"}, {"kind": "slices", "details": {"worse_than_champion": list(worse)}}]
    return approvals.why_ask(model, semver=semver, is_first=is_first, criteria=criteria)


def test_auto_asks_nobody_and_human_asks_each_time(air_time: ModelConfig) -> None:
    assert asked(with_approval(air_time, "auto"), semver="2.0.0", is_first=True, worse=("origin=LGA",)) == ""
    assert asked(with_approval(air_time, "human")) == "a person approves each version of this model"


def test_human_when_asks_on_the_declared_occasions_alone_and_says_which(air_time: ModelConfig) -> None:
    every = with_approval(air_time, "human_when", "first_model", "slice_worse", "major_version")
    assert asked(every) == ""
    assert "there is no champion" in asked(every, is_first=True)
    assert "worse than the champion on origin=JFK, origin=LGA" in asked(every, worse=("origin=LGA", "origin=JFK"))
    assert asked(every, semver="2.0.0") == "2.0.0 is a major version"
    assert asked(every, semver="10.0.10") == ""
    assert asked(every, is_first=True, semver="1.0.0").count(";") == 1
    first_alone = with_approval(air_time, "human_when", "first_model")
    assert asked(first_alone, semver="2.0.0", worse=("origin=LGA",)) == ""


def test_human_when_asks_for_one_that_passed_without_a_comparison_with_the_champion(air_time: ModelConfig) -> None:
    message = "there is no champion that was not fitted on the holdout"
    criteria = [{"kind": "champion", "verdict": "not_applicable", "message": message}]
    every = with_approval(air_time, "human_when", "not_compared")
    assert approvals.why_ask(every, "1.2.3", False, criteria) == message
    assert approvals.why_ask(every, "1.2.3", True, criteria) == ""
    assert approvals.why_ask(every, "1.2.3", False, [{**criteria[0], "verdict": "passed"}]) == ""


def test_an_answer_is_recorded_with_the_name_and_in_the_ledger(trained: Path) -> None:
    answer = approvals.record_answer("air_time", 1, request="run#1", verdict="approved", actor="grace", reason="looks sound")
    assert answer.message == f"approved by grace at {answer.recorded_at:%Y-%m-%d %H:%M} UTC: looks sound"
    entry = rows_of(entries)[-1]
    body = json.loads(str(entry.body))
    assert (entry.kind, entry.model, body["version"], body["actor"], body["semver"]) == ("approval", "air_time", 1, "grace", "1.0.0")
    approvals.record_answer("air_time", 1, request="run#2", verdict="refused", actor="ada", reason="")
    assert rows_of(entries)[-1].kind == "refusal"
    assert ledger.verify() == []


def test_a_request_keeps_its_first_answer_and_the_newest_request_counts(trained: Path) -> None:
    first = approvals.record_answer("air_time", 1, request="run#1", verdict="refused", actor="ada", reason="not yet")
    again = approvals.record_answer("air_time", 1, request="run#1", verdict="approved", actor="mallory", reason="a retry that lies")
    assert again == first == approvals.find_answer("air_time", 1, "run#1")
    assert [entry.kind for entry in rows_of(entries)].count("approval") == 0
    newer = approvals.record_answer("air_time", 1, request="run#2".ljust(250, "-"), verdict="approved", actor="ada", reason="now it is")
    with reading() as connection:
        assert approvals.newest_answer(connection, "air_time", 1) == newer
        assert approvals.newest_answer(connection, "air_time", 2) is None
        assert approvals.newest_answer(connection, "flight_delay", 1) is None


@pytest.mark.parametrize("because", ["", "there is no champion"])
@pytest.mark.parametrize("verdict", ["", "refused", "approved"])
def test_only_an_approval_that_is_required_and_not_given_blocks_the_promotion(because: str, verdict: Any) -> None:
    answer = approvals.Answer(1, "m", 1, "run#1", verdict, "ada", "", dt.datetime(2013, 1, 2, tzinfo=dt.UTC)) if verdict else None
    assert approvals.ApprovalStatus(because, answer).blocks_promotion is (because != "" and verdict != "approved")


@pytest.mark.parametrize(
    ("version", "verdict", "request_id", "words"),
    [
        (7, "approved", "run#1", "has no version 7"),
        (1, "maybe", "run#1", "neither approved nor refused"),
        (1, "approved", "", "0 characters"),
        (1, "approved", "r" * 251, "has 251 characters; give 1 to 250"),
    ],
)
def test_an_answer_to_no_question_is_refused_and_nothing_is_recorded(
    trained: Path, version: int, verdict: Any, request_id: str, words: str
) -> None:
    before = rows_of(entries)
    with pytest.raises(ConfigError, match=words):
        approvals.record_answer("air_time", version, request=request_id, verdict=verdict, actor="ada", reason="")
    assert rows_of(answers) == []
    assert rows_of(entries) == before
