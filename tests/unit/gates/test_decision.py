from __future__ import annotations

import datetime as dt

import pytest

from include.evergreen.gates.decision import COMPARISON, Decision


def decision(*criteria: tuple[str, str, str], verdict: str = "not_evaluated") -> Decision:
    said = [{"kind": kind, "verdict": verdict, "message": message} for kind, verdict, message in criteria]
    when = dt.datetime(2013, 1, 2, tzinfo=dt.UTC)
    return Decision(1, "m", "key", 1, "gate", when.date(), 1, "enforce", verdict, said, when)


def test_what_is_broken_is_every_criterion_that_was_not_evaluated_and_a_champion_that_could_not_be_computed() -> None:
    judged = decision(
        ("absolute", "passed", "auc is .8"),
        ("stability", "not_evaluated", "no fit has an auc"),
        (COMPARISON, "not_applicable", "its artifact is gone"),
        ("champion", "not_applicable", "there is no champion"),
        ("size", "failed", "it is too large"),
    )
    assert judged.broken == ["no fit has an auc", "its artifact is gone"]


@pytest.mark.parametrize(
    ("verdict", "kind", "is_open"),
    [
        ("not_evaluated", "absolute", True),
        ("blessed", "absolute", False),
        ("blessed", COMPARISON, True),
        ("rejected", "absolute", False),
        ("rejected", COMPARISON, False),
    ],
)
def test_what_was_not_decided_or_blessed_without_its_comparison_may_be_asked_again(verdict: str, kind: str, is_open: bool) -> None:
    assert decision((kind, "not_applicable", ""), verdict=verdict).is_open is is_open
