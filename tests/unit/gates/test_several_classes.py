"""Each criterion judges predictions of several classes: on made-up evidence, without home or database."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import Gate
from include.evergreen.features.columns import TARGET
from include.evergreen.gates.criteria import CriterionResult
from include.evergreen.gates.evaluate import JUDGES
from include.evergreen.gates.evidence import Evidence
from include.evergreen.serving.likeliest import likeliest
from include.evergreen.testkit.behaviour import direction, invariance, must_pass
from include.evergreen.training.metrics import Measures
from include.evergreen.training.recipes import modules_now
from tests.shapes.living import FOLDER
from tests.unit.gates.synthetic_evidence import ROWS, evidence_of

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

CLASSES = ("bread", "fish", "milk")
random = np.random.default_rng(0)
CHANCES = random.dirichlet([2, 0.4, 1], ROWS)
LABELS = np.array([random.choice(3, p=row) for row in CHANCES]).astype(float)
LINES = np.where(np.arange(ROWS) % 4 == 0, "north", "south")


@pytest.fixture(scope="module")
def model() -> ModelConfig:
    return Catalog(FOLDER / "seven_classes").model("defects")


def evidence_with(model: ModelConfig, predicted: np.ndarray, champion: np.ndarray | None = None, **columns: Any) -> Evidence:
    measures = Measures.trained(model, {"classes": list(CLASSES)}, modules_now(Catalog(FOLDER / "seven_classes"), model))
    given = champion if champion is None else likeliest(champion)
    evidence = evidence_of(model, LABELS, likeliest(predicted), given, columns={"line": LINES, **columns}, measures=measures)
    texts = np.array(CLASSES, dtype=object)[LABELS.astype(int)]
    evidence.catalog = Catalog(FOLDER / "seven_classes")
    evidence.fit_rows = pd.DataFrame({TARGET: pd.array(texts, dtype="string")})
    return evidence


def judged(evidence: Evidence, **declared: Any) -> CriterionResult:
    (criterion,) = Gate.model_validate({"criteria": [declared]}).criteria
    return JUDGES[criterion.kind](criterion, evidence)


def test_a_good_version_passes_and_a_worse_one_does_not(model: ModelConfig) -> None:
    worse = 0.5 * CHANCES + 0.5 / 3
    criterion = {"kind": "champion", "metric": "log_loss", "margin": 0.02}
    assert judged(evidence_with(model, CHANCES, CHANCES), **criterion).verdict == "passed"
    assert judged(evidence_with(model, worse, CHANCES), **criterion).verdict == "failed"
    better = judged(evidence_with(model, CHANCES, worse), kind="champion", metric="log_loss", must="better")
    assert better.verdict == "passed" and better.value is not None and better.value < 0


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "auc_ovr"])
def test_what_knows_something_is_better_than_the_shares_of_the_classes(model: ModelConfig, metric: str) -> None:
    found = judged(evidence_with(model, CHANCES), kind="baseline", metric=metric)
    assert found.verdict == "passed", found.message
    assert "of which bread has the most" in found.message
    shares = np.bincount(LABELS.astype(int)) / ROWS
    assert found.details["answer"] == pytest.approx(shares[0])
    nothing = judged(evidence_with(model, np.tile(shares, (ROWS, 1))), kind="baseline", metric=metric)
    assert (nothing.verdict, nothing.value) == ("failed", 0.0)


def test_every_metric_has_an_interval_is_compared_and_divided_into_slices(model: ModelConfig) -> None:
    evidence = evidence_with(model, CHANCES, CHANCES[::-1].copy())
    for name, metric in evidence.candidate.measures.metrics.items():
        if name == "recall:hole":  # which the gate names, and no row is of
            continue
        bound = {"at_least": 0} if metric.sign > 0 else {"at_most": 99}
        shown = judged(evidence, kind="absolute", metric=name, **bound)
        assert (shown.verdict, shown.interval is not None) == ("passed", True), name
        assert judged(evidence, kind="champion", metric=name, margin=0.9).interval is not None, name
        worst = judged(evidence, kind="slices", by="line", judge="worst", metric=name, **bound)
        assert [part["interval"] is not None for part in worst.details["slices"]] == [True, True], name
        assert judged(evidence, kind="slices", by="line", judge="difference", metric=name, max_difference=9).verdict == "passed", name


def test_the_recall_of_a_class_is_held_to_a_bound_and_compared_between_groups(model: ModelConfig) -> None:
    evidence = evidence_with(model, CHANCES)
    called = CHANCES.argmax(axis=1)
    expected = metrics.recall_score(LABELS, called, labels=[1], average="macro")
    bound = judged(evidence, kind="absolute", metric="recall:fish", at_least=0.1)
    assert (bound.verdict, bound.value) == ("passed", pytest.approx(expected))
    assert bound.interval is not None and bound.interval[0] < expected < bound.interval[1]
    unfair = CHANCES.copy()
    unfair[(LINES == "north") & (LABELS == 0)] = [0, 0.2, 0.8]
    by_line = {"kind": "slices", "by": "line", "judge": "difference", "metric": "recall:bread", "max_difference": 0.2}
    assert judged(evidence, **by_line).verdict == "passed"
    found = judged(evidence_with(model, unfair), **by_line)
    assert found.verdict == "failed", found.message
    assert "line=north" in found.message


def test_of_people_no_recall_of_few_rows_of_a_class_is_shown(model: ModelConfig) -> None:
    few = np.where(np.arange(ROWS) < 60, "a", "b")
    evidence = evidence_with(model, CHANCES, line=few)
    (criterion,) = Gate.model_validate(
        {
            "criteria": [
                {
                    "kind": "slices",
                    "by": "line",
                    "judge": "worst",
                    "metric": "recall:fish",
                    "at_least": 0.0,
                    "allow_personal": True,
                    "min_rows": 2,
                }
            ]
        }
    ).criteria
    of_fish = int((LABELS[:60] == 1).sum())
    assert of_fish < 20
    shown = {each["slice"]: each["value"] for each in JUDGES["slices"](criterion, evidence).details["slices"]}
    assert shown["line=a"] is None
    assert shown["line=b"] is not None


def test_it_is_calibrated_when_the_likeliest_class_is_right_as_often_as_it_says(model: ModelConfig) -> None:
    good = judged(evidence_with(model, CHANCES), kind="calibration", at_most=0.08)
    assert good.verdict == "passed", good.message
    sharpened = CHANCES**6 / (CHANCES**6).sum(axis=1, keepdims=True)
    assert judged(evidence_with(model, sharpened), kind="calibration", at_most=0.08).verdict == "failed"
    assert good.details["bins"][0]["predicted"] >= 1 / 3


def test_a_gate_asks_for_a_class_that_no_row_is_of(model: ModelConfig) -> None:
    found = judged(evidence_with(model, CHANCES), kind="absolute", metric="recall:hole", at_least=0.1)
    assert found.verdict == "not_evaluated"
    assert "no row of hole" in found.message


def predict(rows: pd.DataFrame) -> pd.DataFrame:
    """The more pressure, the more likely it is a dent."""
    dent = rows["pressure"].to_numpy() / 10
    return pd.DataFrame({"dent": dent, "scratch": 1 - dent}, index=rows.index)


ONE_UP = {"change": lambda rows: rows.assign(pressure=rows["pressure"] + 1)}


@pytest.mark.parametrize(
    ("check", "passes"),
    [
        (invariance("x", **ONE_UP, at_most=0.11), True),
        (invariance("x", **ONE_UP, at_most=0.09), False),
        (invariance("x", **ONE_UP, at_most=0.09, of="dent"), False),
        (direction("x", **ONE_UP, up=True, of="dent"), True),
        (direction("x", **ONE_UP, up=True, of="scratch"), False),
        (must_pass("x", {"pressure": 9.0}, at_least=0.8, of="dent"), True),
        (must_pass("x", {"pressure": 9.0}, at_least=0.8, of="scratch"), False),
    ],
)
def test_a_teams_check_names_the_class_that_it_is_about(check: Any, passes: bool) -> None:
    assert check.examine(predict, pd.DataFrame({"pressure": np.arange(5.0)})).passed == passes


def test_a_check_that_names_no_class_or_one_that_is_not_there_is_refused() -> None:
    rows = pd.DataFrame({"pressure": np.arange(5.0)})
    with pytest.raises(ValueError, match="of='dust' is no class of the version; give one of: dent, scratch"):
        direction("x", **ONE_UP, up=True, of="dust").examine(predict, rows)
    with pytest.raises(ValueError, match="of=None is no class"):
        must_pass("x", {"pressure": 9.0}, at_least=0.8).examine(predict, rows)
    with pytest.raises(ValueError, match="the model is not of several classes"):
        direction("x", **ONE_UP, up=True, of="dent").examine(lambda given: given["pressure"].to_numpy(), rows)
