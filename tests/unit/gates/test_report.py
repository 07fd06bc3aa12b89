from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from markdown_it import MarkdownIt

from include.evergreen.gates.criteria import CriterionResult
from include.evergreen.gates.decision import Decision
from include.evergreen.gates.report import markdown, render

SLICES: dict[str, Any] = {
    "by": "origin",
    "worse_than_champion": [],
    "slices": [{"slice": "origin=<b>LGA|x", "rows": 12, "value": 0.61, "interval": [0.5, 0.7], "champion": None, "judged": False}],
}
BINS = {"bins": [{"predicted": 0.1, "observed": 0.12, "rows": 100, "interval": [0.08, 0.2]}]}
CHECKS = {"checks": [{"check": "later is later", "passed": True, "value": 1.0, "message": "all go up"}]}
RESULTS = [
    CriterionResult("absolute", "auc", 0.6412, 0.55, "passed", "auc is 0.6412", (0.58, 0.69)),
    CriterionResult("slices", "auc", 0.61, 0.5, "passed", "the worst auc", None, SLICES),
    CriterionResult("calibration", "calibration_error", 0.02, 0.1, "passed", "off by 0.02", (0.01, 0.03), BINS),
    CriterionResult("behaviour", "checks_passed", 1.0, 1.0, "failed", "1 of 2", None, CHECKS),
]
NOON = dt.datetime(2013, 2, 4, 12, tzinfo=dt.UTC)
DECISION = Decision(
    1, "flight_delay", "abcdef0123456789", 3, "", '2013-02-04', 2, "enabled", "rejected",
    [result.as_record() for result in RESULTS], NOON,
)  # fmt: skip


def test_the_page_shows_every_criterion_with_value_interval_threshold_and_verdict() -> None:
    page = render(DECISION)
    assert "flight_delay as of 2013-02-04: rejected" in page
    assert "judged against champion version 3" in page
    for cell in (
        "absolute auc",
        "0.6412",
        "0.58 to 0.69",
        "0.55",
        "Slices by origin: auc",
        "Calibration",
        "Behaviour",
        "not judged: too few rows",
    ):
        assert cell in page


def test_a_value_of_the_data_is_never_markup() -> None:
    assert "<b>LGA" not in render(DECISION)
    assert "&lt;b&gt;LGA|x" in render(DECISION)
    assert "origin=<b>LGA" not in markdown(DECISION)
    assert "LGA\\|x" in markdown(DECISION)


MARKUP = (
    "**bold** *i* __init__ _i_ `code` [a](http://x) ![i](x) [r]: y <b>x</b> <!-- &amp; a|b \\ \\* "
    "~~gone~~ #1 # ends # a_b\n# new\n\n- list\n\n---"
)


def shown(text: str) -> tuple[str, set[str]]:
    """What a reader of the Markdown sees, and the kinds of markup in it."""
    inline = [token for block in MarkdownIt("commonmark").enable("table").parse(text) for token in block.children or []]
    return "".join(token.content for token in inline), {token.type for token in inline}


def test_nothing_that_a_decision_quotes_is_markup_for_the_approver() -> None:
    """What an error said, a value of the data, a check's name: wherever it stands."""
    [part], check = SLICES["slices"], {"check": MARKUP, "passed": False, "message": MARKUP}
    details = {"by": MARKUP, "slices": [{**part, "slice": MARKUP}], "checks": [check]}
    quoting = [
        CriterionResult("champion", "auc", None, None, "not_applicable", MARKUP),
        CriterionResult("slices", MARKUP, 0.6, 0.5, "passed", MARKUP, None, details),
    ]
    seen, kinds = shown(markdown(dataclasses.replace(DECISION, criteria=[result.as_record() for result in quoting])))
    assert kinds == {"text", "strong_open", "strong_close"}, "its own title alone is bold"
    assert seen.count(" ".join(MARKUP.splitlines())) == 9


def test_the_markdown_is_the_same_as_tables() -> None:
    lines = markdown(DECISION).splitlines()
    assert "| absolute auc | 0.6412 | 0.58 to 0.69 | 0.55 | passed | auc is 0.6412 |" in lines
    assert "| 0.1 | 0.12 | 0.08 to 0.2 | 100 |" in lines


def test_a_dry_run_says_what_it_would_have_been() -> None:
    dry = dataclasses.replace(DECISION, mode="dry_run", verdict="blessed")
    for text in (render(dry), markdown(dry)):
        assert "dry_run: rejected is what it would have been" in text
