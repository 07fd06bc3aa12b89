"""Fairness by a personal column: nothing that people read of a decision names a small group. Cards are made of the decision."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.cli import main
from include.evergreen.config import Catalog
from include.evergreen.config.check import check_catalog
from include.evergreen.gates.decide import decide
from include.evergreen.gates.evidence import gather
from include.evergreen.gates.report import markdown, render
from include.evergreen.state.database.tables import decisions, ledger
from include.evergreen.training.candidate import Candidate
from tests.unit.flights import rows_of
from tests.unit.lifecycle import include_with

BY = "{kind: slices, by: dest, judge: difference, metric: mae, max_difference: 1000, allow_personal: true, min_rows: 40}"


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What ships, with a personal destination and a gate of air_time that compares by it."""
    include = include_with(tmp_path, monkeypatch)
    schedules, model = include / "datasets/schedules/dataset.yaml", include / "models/air_time/model.yaml"
    schedules.write_text(schedules.read_text().replace("{name: dest, ", "{name: dest, personal: true, "))
    model.write_text(model.read_text().replace("  criteria:\n", f"  criteria:\n    - {BY}\n"))
    other = include / "models/flight_delay/model.yaml"
    other.write_text(other.read_text().replace("by: dest,", "by: dest, allow_personal: true,"))
    return include


def test_no_reader_of_a_decision_learns_of_a_group_that_is_too_small(
    include: Path, candidate: Candidate, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO")
    catalog = Catalog()
    assert check_catalog(catalog) == []
    model = catalog.model("air_time")
    rows = gather(catalog, model, candidate, None).column("dest", allow_personal=True).astype("string").value_counts()
    small, large = list(rows[rows < 20].index), list(rows[rows >= 40].index)
    assert len(small) > 3
    decision = decide(catalog, model, candidate)
    main(["decisions", "air_time"])
    main(["decisions", "air_time", "--json"])
    records = str([tuple(row) for table in (decisions, ledger) for row in rows_of(table)])
    report = render(decision)
    read = [records, caplog.text, capsys.readouterr().out, report, markdown(decision)]
    assert f"dest={large[0]}" in records and f"dest={large[0]}" in report
    assert not [name for name in small for text in read if f"dest={name}" in text]
    assert all(each["rows"] >= 20 for each in decision.criteria[0]["details"]["slices"])


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            ", allow_personal: true",
            "",
            "'dest' is personal, and the names of slices are kept for ever; choose a column that is not",
        ),
        ("by: dest", "by: origin", "criteria[0].allow_personal: 'origin' is not personal; remove it"),
    ],
)
def test_check_asks_for_the_declaration_and_refuses_an_idle_one(include: Path, before: str, after: str, words: str) -> None:
    model = include / "models/air_time/model.yaml"
    model.write_text(model.read_text().replace(BY, BY.replace(before, after)))
    (problem,) = check_catalog(Catalog())
    assert words in problem


def test_an_identifier_of_persons_makes_no_groups(include: Path) -> None:
    for name in ("schedules", "outcomes"):
        dataset = include / f"datasets/{name}/dataset.yaml"
        dataset.write_text(dataset.read_text().replace("keys: [carrier, flight, origin]", "keys: [dest]"))
    assert any("'dest' is personal and the key of schedules, so its values name persons" in problem for problem in check_catalog(Catalog()))
