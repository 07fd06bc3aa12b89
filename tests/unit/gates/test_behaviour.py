from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import BehaviourCriterion, Gate
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.gates.behaviour import judge_behaviour
from include.evergreen.gates.decide import gate_digest
from include.evergreen.gates.evidence import Evidence
from include.evergreen.testkit.behaviour import direction, invariance, must_pass
from tests.unit.gates.synthetic_evidence import ROWS, evidence_of

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

ROWS_OF_TWO = pd.DataFrame({"hour": np.arange(10.0), "carrier": pd.array(["AA", "B6"] * 5, dtype="string")})
CRITERION = BehaviourCriterion(kind="behaviour")
IMPORT = "from include.evergreen.testkit.behaviour import direction, invariance, must_pass\n"


def predict(rows: pd.DataFrame) -> np.ndarray:
    """Rises with the hour; the carrier AA adds a half."""
    values: np.ndarray = rows["hour"].to_numpy() / 100 + (rows["carrier"] == "AA").to_numpy() * 0.5
    return values


@pytest.mark.parametrize(
    ("check", "passes"),
    [
        (invariance("x", lambda rows: rows.assign(hour=rows["hour"] + 1), at_most=0.011), True),
        (invariance("x", lambda rows: rows.assign(hour=rows["hour"] + 1), at_most=0.009), False),
        (invariance("x", lambda rows: rows.assign(carrier="B6"), at_most=0.0), False),
        (invariance("x", lambda rows: rows.assign(carrier="B6"), at_most=0.0, share=0.5), True),
        (direction("x", lambda rows: rows.assign(hour=rows["hour"] + 1), up=True), True),
        (direction("x", lambda rows: rows.assign(hour=rows["hour"] + 1), up=False), False),
        (must_pass("x", {"carrier": "AA"}, at_least=0.5), True),
        (must_pass("x", {"carrier": "B6"}, at_least=0.5), False),
        (must_pass("x", {"carrier": "AA", "hour": 3}, at_least=0.5, at_most=0.54), True),
    ],
)
def test_what_a_check_promises_is_what_it_holds_to(check: Any, passes: bool) -> None:
    before = ROWS_OF_TWO.copy()
    assert check.examine(predict, ROWS_OF_TWO).passed is passes
    pd.testing.assert_frame_equal(ROWS_OF_TWO, before)


def test_a_change_that_loses_rows_and_a_case_with_an_unknown_feature_are_no_checks() -> None:
    with pytest.raises(ValueError, match="must keep the rows and the columns"):
        invariance("x", lambda rows: rows.head(3), at_most=1).examine(predict, ROWS_OF_TWO)
    with pytest.raises(KeyError, match="no such feature: hours"):
        must_pass("x", {"hours": 1}, at_least=0).examine(predict, ROWS_OF_TWO)
    with pytest.raises(ValueError, match="needs at_least, at_most or both"):
        must_pass("x", {"hour": 1})
    with pytest.raises(ValueError, match="share is 2"):
        direction("x", lambda rows: rows, up=True, share=2)


@pytest.fixture
def catalog_with(tmp_path: Path) -> Any:
    """A copy of what ships, whose flight_delay has the given checks.py."""

    def written(text: str | None) -> Catalog:
        root = Catalog().root
        shutil.rmtree(tmp_path / "include", ignore_errors=True)
        shutil.copytree(root, tmp_path / "include", ignore=shutil.ignore_patterns("evergreen", "__pycache__"))
        file = tmp_path / "include" / "models" / "flight_delay" / "checks.py"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        return Catalog(tmp_path / "include")

    return written


class HourMatters:
    """Stands in for a pipeline: the chance of being late is the hour over 24."""

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        chance = rows["departure_hour"].to_numpy() / 24
        return np.stack([1 - chance, chance], axis=1)


def evidence(model: ModelConfig, catalog: Catalog) -> Evidence:
    columns = {each.name: np.tile(np.arange(7.0), ROWS // 7) if each.kind == "numeric" else "AA" for each in model.features}
    found = evidence_of(model, np.zeros(ROWS), np.zeros(ROWS), columns=columns)
    found.catalog, found.pipeline = catalog, HourMatters()  # type: ignore[assignment]
    return found


def test_all_checks_must_pass_and_those_that_fail_are_named(flight_delay: ModelConfig, catalog_with: Any) -> None:
    text = IMPORT + (
        "later = lambda rows: rows.assign(departure_hour=rows['departure_hour'] + 1)\n"
        "CHECKS = [direction('later is later', later, up=True), direction('later is earlier', later, up=False)]\n"
    )
    result = judge_behaviour(CRITERION, evidence(flight_delay, catalog_with(text)))
    assert (result.verdict, result.value, result.threshold) == ("failed", 1.0, 2.0)
    assert result.message.startswith("1 of 2 checks of checks.py pass; 'later is earlier' failed: 0.0% of 700 predictions do not go up")
    assert [each["passed"] for each in result.details["checks"]] == [True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no such file; the behaviour criterion of flight_delay needs it"),
        ("import nothing_of_this_name", "cannot be imported: ModuleNotFoundError"),
        ("CHECKS = (", "cannot be imported: SyntaxError"),
        ("CHECKS = []", "must set CHECKS to a list of checks"),
        ("exit()", "cannot be imported: SystemExit"),
        (IMPORT + "CHECKS = [invariance('odd', lambda rows: exit(), at_most=1)]", "the check 'odd' cannot be tried: SystemExit"),
        ("CHECKS = [1]", "must set CHECKS to a list of checks"),
        (IMPORT + "CHECKS = [invariance('odd', lambda rows: rows['no'], at_most=1)]", "the check 'odd' cannot be tried: KeyError: 'no'"),
    ],
)
def test_a_checks_file_that_cannot_be_used_is_named_and_rejects_nobody(
    flight_delay: ModelConfig, catalog_with: Any, text: str | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=r"checks\.py") as refused:
        judge_behaviour(CRITERION, evidence(flight_delay, catalog_with(text)))
    assert words in str(refused.value)


def test_other_checks_are_another_question_and_where_none_are_asked_for_their_text_is_of_no_account(
    flight_delay: ModelConfig, catalog_with: Any
) -> None:
    asked = flight_delay.model_copy(update={"gate": Gate(criteria=(CRITERION,))})
    absolute = Gate.model_validate({"criteria": [{"kind": "absolute", "metric": "auc", "at_least": 0.5}]})
    silent = flight_delay.model_copy(update={"gate": absolute})
    digests = [[gate_digest(catalog_with(text), model) for text in ("A = 1", "A = 2")] for model in (asked, silent)]
    assert digests[0][0] != digests[0][1]
    assert digests[1][0] == digests[1][1]


def test_checks_may_import_a_module_beside_them_whose_text_is_part_of_the_question(flight_delay: ModelConfig, catalog_with: Any) -> None:
    text = IMPORT + "from hours import later\nCHECKS = [direction('later is later', later, up=True)]\n"
    model, catalog = flight_delay.model_copy(update={"gate": Gate(criteria=(CRITERION,))}), catalog_with(text)
    module = catalog.model_path("flight_delay").with_name("hours.py")
    module.write_text("def later(rows):\n    return rows.assign(departure_hour=rows['departure_hour'] + 1)\n")
    assert judge_behaviour(CRITERION, evidence(flight_delay, catalog)).verdict == "passed"
    asked = gate_digest(catalog, model)
    module.write_text("def later(rows):\n    return rows.assign(departure_hour=rows['departure_hour'] - 1)\n")
    assert judge_behaviour(CRITERION, evidence(flight_delay, catalog)).verdict == "failed"
    assert gate_digest(catalog, model) != asked


def test_how_often_one_is_alerted_is_no_part_of_the_question(flight_delay: ModelConfig, catalog: Catalog) -> None:
    often = flight_delay.model_copy(update={"gate": flight_delay.gate.model_copy(update={"alert_after_rejections": 9})})
    dry = flight_delay.model_copy(update={"gate": flight_delay.gate.model_copy(update={"mode": "dry_run"})})
    assert gate_digest(catalog, flight_delay) == gate_digest(catalog, often) != gate_digest(catalog, dry)
