"""What is declared of several classes, and what cannot work: refused by `check`, with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.check import check_catalog
from include.evergreen.config.classes import MOST_RANKED
from include.evergreen.config.metrics import metrics_of, observation_names, observation_range
from include.evergreen.serving.likeliest import KEPT
from include.evergreen.training.recipes import build_recipe, signature_digest
from tests.unit.config.conftest import DATASET, MODEL

KIND = "  - {name: kind, type: string, description: What was sold most}\nkeys"
SEVERAL = (
    MODEL.replace("task: regression", "task: multiclass")
    .replace("column: amount}", "column: kind}")
    .replace("Ridge", "LogisticRegression")
    .replace("metric: mae, at_most: 15", "metric: log_loss, at_most: 1")
)

Declared = Callable[..., list[str]]


@pytest.fixture
def declared(include: Path) -> Declared:
    """Writes the model, one text of it being another, and says what `check` says."""

    def write(old: str = "", new: str = "", *, column: str = KIND, expectations: str = "") -> list[str]:
        (include / "datasets/sales/dataset.yaml").write_text(DATASET.replace("keys", column, 1) + expectations)
        assert not old or SEVERAL.count(old) == 1
        (include / "models/revenue/model.yaml").write_text(SEVERAL.replace(old, new) if old else SEVERAL)
        return check_catalog(Catalog(include))

    return write


TARGET = "column: kind}"
CRITERION = "{kind: absolute, metric: log_loss, at_most: 1}"


@pytest.mark.parametrize(
    "change",
    [
        ("", ""),
        (TARGET, "column: kind, classes: [bread, milk]}"),
        (TARGET, "column: kind, within: 3 days}"),
        (CRITERION, "{kind: absolute, metric: 'recall:bread', at_least: 0.5}"),
        (CRITERION, "{kind: slices, by: shop, judge: difference, metric: 'recall:bread', max_difference: 0.1}"),
        ("drift.shop, above: 0.2", "performance.macro_f1, below: 0.5"),
        ("drift.shop, above: 0.2", "performance.recall:bread, below: 0.5"),
        ("drift.shop, above: 0.2", "labels.new_class_share, above: 0.01"),
        ("drift.shop, above: 0.2", "estimated.log_loss, above: 0.2"),
        ("drift.shop, above: 0.2", "concept_drift.score, above: 1"),
        ("gate:", "monitor: {estimate: false}\ngate:"),
        ("gate:", "metrics: {own: [{name: profit, function: profit.per_row, better: higher, description: Money}]}\ngate:"),
        ("  window: 60 days", "  window: 60 days\n  weights: {classes: balanced}"),
    ],
)
def test_several_classes_are_sound(declared: Declared, change: tuple[str, str]) -> None:
    assert declared(*change) == []


@pytest.mark.parametrize("kind", ["integer", "boolean", "string"])
def test_a_column_of_any_type_with_few_values_has_classes(declared: Declared, kind: str) -> None:
    assert declared(column=KIND.replace("string", kind)) == []


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        ((TARGET, "column: kind, positive: bread}"), 8, "target.positive: is for classification, and this is a multiclass; remove it"),
        ((TARGET, "column: kind, absent: negative}"), 8, "target.absent: negative is for classification, and this is a multiclass"),
        ((TARGET, "column: kind, classes: [bread]}"), 8, "target.classes"),
        ((TARGET, "column: kind, classes: [bread, bread]}"), 8, "target.classes: given twice: bread; keep one of each"),
        ((TARGET, "column: kind, classes: [1, 2]}"), 8, "target.classes[0]: 1 is no string, as kind is; write it in quotes"),
        ((TARGET, "column: amount}"), 8, "target.column: amount is a number, of which there are too many for classes"),
        (("gate:", "metrics: {decision_threshold: 0.4}\ngate:"), 14, "metrics.decision_threshold: is for classification"),
        (("gate:", "metrics: {costs: {false_positive: 1, false_negative: 2}}\ngate:"), 14, "metrics.costs: is for classification"),
        (("gate:", "metrics: {quantile: 0.4}\ngate:"), 14, "metrics.quantile: is for regression, and this is a multiclass"),
        (
            ("gate:", "metrics: {own: [{name: macro_f1, function: profit.per_row, better: higher, description: Money}]}\ngate:"),
            14,
            "metrics.own[0].name: 'macro_f1' is one of ours; give your metric another name",
        ),
        (("gate:", "monitor: {slices: [amount]}\ngate:"), 14, "monitor.slices[0]: unknown feature 'amount'"),
        ((TARGET, "column: kind, min_class_rows: 0}"), 8, "target.min_class_rows"),
        ((CRITERION, "{kind: absolute, metric: auc, at_least: 0.5}"), 16, "it is a metric of a classification"),
        ((CRITERION, "{kind: absolute, metric: 'recall:a&b', at_least: 0.5}"), 16, "'recall:a&b' names no class"),
        ((CRITERION, "{kind: baseline, metric: 'recall:bread'}"), 16, "is no measure against a constant"),
        ((CRITERION, "{kind: baseline, metric: auc_ovr, margin: 0.5}"), 16, "the auc_ovr of a constant is 0.5, and the best is 1"),
        (
            (CRITERION, "{kind: slices, by: shop, judge: disparate_impact}"),
            16,
            "disparate_impact is for classification, and this is a multiclass; allowed: worst, difference, such as of metric: recall:CLASS",
        ),
        ((CRITERION, "{kind: slices, by: shop, judge: equal_opportunity, max_difference: 0.1}"), 16, "equal_opportunity is for"),
        (("drift.shop, above: 0.2", "estimated.accuracy, above: 1.2"), 19, "1.2 can never be passed: estimated.accuracy is at most 1"),
        (("drift.shop, above: 0.2", "prediction_drift.score, above: 0.9"), 19, "0.9 can never be passed"),
    ],
)
def test_what_cannot_work_is_refused_with_its_line(declared: Declared, change: tuple[str, str], line: int, told: str) -> None:
    [problem] = declared(*change)
    assert told in problem
    assert f"model.yaml:{line}" in problem


def test_classes_are_named_for_ever_and_so_not_by_what_is_personal(declared: Declared) -> None:
    [problem] = declared(column=KIND.replace("sold most", "sold most, personal: true"))
    assert "target.column: kind is personal, and decisions, cards and reports name classes by its values; choose another column" in problem


def test_classes_that_no_row_can_have_are_refused(declared: Declared) -> None:
    of_column = "{column: kind, value_set: [bread, milk]}"
    expectations = f"expectations:\n  - {{expect: expect_column_values_to_be_in_set, arguments: {of_column}, on_fail: quarantine}}\n"
    [problem] = declared(TARGET, "column: kind, classes: [bread, milks]}", expectations=expectations)
    assert "target.classes[1]: no row would ever be of it: kind of sales is never 'milks'; did you mean 'milk'?" in problem


def test_the_recall_of_a_class_that_is_not_declared_is_refused(include: Path, declared: Declared) -> None:
    text = SEVERAL.replace(TARGET, "column: kind, classes: [bread, milk]}").replace(
        "metric: log_loss, at_most: 1", "metric: 'recall:milks', at_least: 0.5"
    )
    declared()
    (include / "models/revenue/model.yaml").write_text(text)
    [problem] = check_catalog(Catalog(include))
    assert "'milks' is none of target.classes; did you mean 'milk'? allowed: bread, milk" in problem


def test_classes_are_for_several_alone(include: Path, declared: Declared) -> None:
    declared()
    (include / "models/revenue/model.yaml").write_text(MODEL.replace("column: amount}", "column: amount, classes: [1, 2]}"))
    [problem] = check_catalog(Catalog(include))
    assert "model.yaml:8: target.classes: is for multiclass, and this is a regression; remove it" in problem


def _model(include: Path, declared: Declared, *change: str) -> ModelConfig:
    assert declared(*change) == []
    return Catalog(include).model("revenue")


def test_a_rule_may_watch_what_is_observed_and_no_more(include: Path, declared: Declared) -> None:
    model = _model(include, declared, TARGET, "column: kind, classes: [bread, milk]}")
    names = observation_names(model)
    assert {"performance.recall:bread", "performance.recall:milk", "labels.new_class_share", "target_drift.score"} <= set(names)
    assert {"estimated.log_loss", "estimated.auc_ovr", "estimated.recall:milk", "concept_drift.score"} <= set(names)
    many = model.target.model_copy(update={"classes": tuple(f"class {number}" for number in range(MOST_RANKED + 1))})
    of_many = observation_names(model.model_copy(update={"target": many}))
    assert "estimated.log_loss" in of_many and "performance.auc_ovr" in of_many
    assert "estimated.auc_ovr" not in of_many
    assert MOST_RANKED == KEPT
    assert observation_range(model, "labels.new_class_share") == (0, 1)
    assert observation_range(model, "prediction_drift.score")[1] < 1


def test_of_many_classes_only_what_gate_and_rules_name_has_a_recall(include: Path, declared: Declared) -> None:
    many = ", ".join(f"k{number}" for number in range(1000))
    model = _model(include, declared, TARGET, f"column: kind, classes: [{many}]}}")
    assert not [name for name in metrics_of(model) if name.startswith("recall:")]


def test_what_is_learnt_of_one_class_or_the_other_changes_no_recipe_of_before(include: Path, declared: Declared) -> None:
    plain = _model(include, declared)
    assert "classes" not in build_recipe(Catalog(include), plain).document["declared"]["target"]
    more = plain.model_copy(update={"target": plain.target.model_copy(update={"classes": ("bread", "milk")})})
    assert signature_digest(more) != signature_digest(plain)
    assert more.asks_the_same == plain.asks_the_same
