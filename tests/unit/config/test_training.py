from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.check import check_catalog
from include.evergreen.config.training import Choice, Train
from include.evergreen.training.recipes import build_recipe
from include.evergreen.training.rehearsal import first_setting, rehearse

GUIDES = "".join((PROJECT_ROOT / "docs/guides" / page).read_text() for page in ("training.md", "estimators.md"))
EXAMPLES = [yaml.safe_load(text)["train"] for text in re.findall(r"```yaml\n(.*?)```", GUIDES, flags=re.S)]
SEARCH = {"alpha": {"uniform": [0, 1]}}
TUNE = {"candidates": 3}


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
@pytest.mark.usefixtures("lightgbm")
def test_every_example_of_the_guides_can_be_declared_and_its_estimators_fitted_and_stored(
    flight_delay: ModelConfig, example: dict[str, Any]
) -> None:
    model = flight_delay.model_copy(update={"train": Train.model_validate(example)})
    for choice in model.train.choices:
        rehearse(model, first_setting(choice))


def test_the_guide_has_an_example_of_every_key() -> None:
    shown = {key for example in EXAMPLES for key in example}
    assert shown == Train.model_fields.keys() - {"schedule", "run_in", "docker"}  # guides/containers.md, and what ships
    searched = {key for example in EXAMPLES for each in example.get("search", {}).values() for key in each}
    assert searched == {"choice", "uniform", "log_uniform", "integers"}


def test_one_estimator_and_a_list_of_one_are_the_same_choice() -> None:
    one = Train.model_validate({"estimator": "a.B", "search": SEARCH, "tune": TUNE})
    listed = Train.model_validate({"estimators": [{"estimator": "a.B", "search": SEARCH}], "tune": TUNE})
    assert one.choices == listed.choices == (Choice.model_validate({"estimator": "a.B", "search": SEARCH}),)
    assert one.estimator_summary == "a.B"
    assert Train.model_validate({"estimators": [{"estimator": "a.B"}, {"estimator": "c.D"}], "tune": TUNE}).estimator_summary == (
        "the best of a.B, c.D"
    )


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({}, "is missing; give the import path of an estimator"),
        ({"estimator": "a.B", "estimators": [{"estimator": "c.D"}]}, "lists estimators .* remove those beside it"),
        ({"estimators": [{"estimator": "c.D"}], "parameters": {"a": 1}}, "lists estimators .* remove those beside it"),
        ({"estimators": [{"estimator": "a.B"}, {"estimator": "c.D"}]}, "is missing, and several estimators or a search leave a choice"),
        ({"estimator": "a.B", "search": SEARCH}, "is missing, and several estimators or a search leave a choice"),
        ({"estimator": "a.B", "tune": TUNE}, "has nothing to choose"),
        ({"estimator": "a.B", "search": SEARCH, "parameters": {"alpha": 1}, "tune": TUNE}, "alpha is in parameters too"),
        ({"estimator": "a.B", "search": {"a": {}}, "tune": TUNE}, "give exactly one of choice, uniform, log_uniform, integers; got none"),
        ({"estimator": "a.B", "search": {"a": {"choice": [1], "uniform": [0, 1]}}, "tune": TUNE}, "got choice, uniform"),
        ({"estimator": "a.B", "search": {"a": {"uniform": [2, 1]}}, "tune": TUNE}, "must rise from the first to the second, got 2 and 1"),
        ({"estimator": "a.B", "search": {"a": {"log_uniform": [0, 1]}}, "tune": TUNE}, "must be above 0, for its logarithm"),
        ({"estimator": "a.B", "search": SEARCH, "tune": {}}, "give a budget: candidates, seconds, or both"),
        ({"estimator": "a.B", "search": SEARCH, "tune": {"method": "halving", "seconds": 9}}, "is needed by halving"),
        ({"estimator": "a.B", "weights": {}}, "give at least one of classes, half_life, feature"),
        (
            {"estimator": "a.B", "early_stop": {"holdout": "2 days"}},
            "a.B cannot stop early; those that can: HistGradientBoostingClassifier",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(train: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Train.model_validate(train)


def test_check_finds_what_the_model_and_its_training_say_of_each_other(include: Any, change_model: Any) -> None:
    path = change_model(
        "  estimator: sklearn.linear_model.Ridge\n",
        "  estimators: [{estimator: sklearn.svm.SVR}, {estimator: Ridge}]\n  tune: {candidates: 2, metric: auc}\n"
        "  weights: {classes: balanced, feature: shop}\n  trusted_types: [Booster]\n",
    )
    lines = [line.removeprefix(f"{path}:") for line in check_catalog(Catalog(include))]
    assert lines == [
        "13: train.estimators[1].estimator: 'Ridge' is not an import path, such as sklearn.linear_model.Ridge",
        "14: train.tune.metric: unknown metric of a regression 'auc'; it is a metric of a classification; "
        "allowed: mae, rmse, r2, median_absolute_error, bias, mape, smape, wape",
        "15: train.weights.classes: is for classification, and this is a regression; remove it",
        "15: train.weights.feature: unknown numeric feature 'shop'; allowed: none",
        "16: train.trusted_types[0]: 'Booster' is not an import path, such as lightgbm.sklearn.LGBMClassifier",
    ]


def test_what_is_trusted_changes_no_recipe_and_how_it_is_tuned_does(catalog: Catalog, flight_delay: ModelConfig) -> None:
    def declaring(**changes: Any) -> ModelConfig:
        declared = {**flight_delay.train.model_dump(mode="json", exclude_defaults=True), **changes}
        return flight_delay.model_copy(update={"train": Train.model_validate(declared)})

    assert build_recipe(catalog, declaring(trusted_types=["a.B"])) == build_recipe(catalog, flight_delay)
    searched = declaring(parameters={}, search={"C": {"log_uniform": [1, 2]}}, tune=TUNE)
    assert build_recipe(catalog, searched) != build_recipe(catalog, flight_delay)
    assert build_recipe(catalog, searched).config(flight_delay).train == searched.train
