from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config.catalog import Catalog
from include.evergreen.config.check import check_catalog
from include.evergreen.config.metrics import METRICS, OF_SUPPLY, observation_names
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.span import Span

Change = Callable[..., Path]


def test_everything_that_ships_is_sound() -> None:
    assert check_catalog(Catalog()) == []


def test_without_a_root_the_catalog_is_the_one_that_the_package_lies_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVERGREEN_INCLUDE", raising=False)
    assert Catalog().root == PROJECT_ROOT / "include"


def test_the_environment_may_name_another_root(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(include))
    assert Catalog().model_names() == ["revenue"]


def test_a_root_that_is_not_there_is_refused_and_never_an_empty_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="nowhere: no such folder; set EVERGREEN_INCLUDE"):
        Catalog()


def test_a_dataset_that_is_no_input_is_named_with_those_that_are() -> None:
    model = Catalog().model("air_time")
    assert model.input("weather").lag == Span(1, "day")
    for asked in (model.input, partial(model.newest, partition="2013-01-05")):
        with pytest.raises(
            ConfigError, match="air_time: 'revenue' is not among the inputs of model.yaml; allowed: schedules, weather, outcomes"
        ):
            asked("revenue")


def test_names_are_sorted_and_listed_without_parsing(include: Path) -> None:
    for name in ("b", "a"):
        (include / "models" / name).mkdir()
        (include / "models" / name / "model.yaml").write_text("this: [broken")
    (include / "models" / "no_yaml").mkdir()
    catalog = Catalog(include)
    assert catalog.model_names() == ["a", "b", "revenue"]
    assert catalog.dataset_names() == ["sales"]


def test_a_bad_yaml_fails_only_itself(include: Path) -> None:
    (include / "models/broken").mkdir()
    (include / "models/broken/model.yaml").write_text("this: [broken")
    catalog = Catalog(include)
    assert catalog.model("revenue").name == "revenue"
    assert [model.name for model in catalog.models_reading("sales")] == ["revenue"]
    with pytest.raises(ConfigError, match="not valid YAML"):
        catalog.model("broken")


def test_an_unknown_name_gets_a_guess_and_what_is_known(include: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'revenu'; did you mean 'revenue'\? known: revenue;"):
        Catalog(include).model("revenu")
    with pytest.raises(ConfigError, match="unknown dataset 'xyz'; known: sales;"):
        Catalog(include).dataset("xyz")


def test_a_long_list_of_known_names_is_capped(include: Path) -> None:
    for number in range(30):
        (include / f"datasets/d{number:02}").mkdir()
        (include / f"datasets/d{number:02}/dataset.yaml").touch()
    with pytest.raises(ConfigError, match="d08, d09 and 21 more;"):
        Catalog(include).dataset("xyz")


@pytest.mark.parametrize("name", ["", ".", "..", "../models/revenue", "/etc", "revenue/", "a\0b"])
def test_a_name_cannot_reach_outside_its_folder(include: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="unknown model"):
        Catalog(include).model(name)


def test_a_file_is_parsed_once_until_it_changes(include: Path, change_model: Change) -> None:
    first = Catalog(include).model("revenue")
    assert Catalog(include).model("revenue") is first
    path = change_model("window: 60 days", "window: 61 days")
    os.utime(path, ns=(1, 1))
    assert Catalog(include).model("revenue").train.window == Span(61, "day")


def test_paths_beside_a_model(include: Path) -> None:
    catalog = Catalog(include)
    assert catalog.features_path("revenue") == include / "models/revenue/features.py"
    with pytest.raises(ConfigError, match="unknown model 'other'"):
        catalog.features_path("other")


def test_models_reading_a_dataset_are_those_that_take_it_as_input_or_target(include: Path) -> None:
    catalog = Catalog(PROJECT_ROOT / "include")
    assert [model.name for model in catalog.models_reading("weather")] == ["air_time", "flight_delay"]
    assert Catalog(include).models_reading("weather") == []


class TestCheckFinds:
    def test_nothing_in_a_sound_folder(self, include: Path) -> None:
        assert check_catalog(Catalog(include)) == []

    def test_every_problem_of_every_file(self, include: Path, change_model: Change, change_dataset: Change) -> None:
        dataset = change_dataset("owner: shop\n", "")
        model = change_model("owner: shop\n", "")
        assert check_catalog(Catalog(include)) == [
            f"{dataset}:1: owner: missing required key 'owner' (Who answers for it: shown in Airflow); add it",
            f"{model}:1: owner: missing required key 'owner' (Who answers for it: shown in Airflow and on its cards); add it",
        ]

    def test_an_input_that_is_no_dataset(self, include: Path, change_model: Change) -> None:
        path = change_model("  - {dataset: sales}\n", "  - {dataset: sales}\n  - {dataset: sale}\n")
        assert check_catalog(Catalog(include)) == [
            f"{path}:8: inputs[1].dataset: unknown dataset 'sale'; did you mean 'sales'? allowed: sales"
        ]

    def test_a_target_that_is_no_dataset(self, include: Path, change_model: Change) -> None:
        path = change_model("target: {dataset: sales", "target: {dataset: sale")
        assert check_catalog(Catalog(include)) == [
            f"{path}:8: target.dataset: unknown dataset 'sale'; did you mean 'sales'? allowed: sales"
        ]

    def test_a_target_that_is_no_column(self, include: Path, change_model: Change) -> None:
        path = change_model("column: amount", "column: amounts")
        assert check_catalog(Catalog(include)) == [
            f"{path}:8: target.column: unknown column of sales 'amounts'; did you mean 'amount'? allowed: shop, amount"
        ]

    @pytest.mark.parametrize(
        ("kind", "positive", "words"),
        [
            ("string", 'positive: "yes"', ""),
            ("boolean", "positive: true", ""),
            ("boolean", "positive: false", ""),
            ("boolean", "positive_above: 0", ""),
            ("integer", "positive: 3", ""),
            ("string", "positive: true", 'positive: True is no string, as sold is; write it in quotes, such as "true"'),
            ("string", "positive: 1", 'positive: 1 is no string, as sold is; write it in quotes, such as "1"'),
            ("boolean", 'positive: "true"', "positive: 'true' is no boolean, as sold is; write true or false"),
            ("boolean", "positive: 1", "positive: 1 is no boolean, as sold is; write true or false"),
            ("integer", 'positive: "3"', "positive: '3' is no integer, as sold is; write a whole number"),
            ("integer", "positive: true", "positive: True is no integer, as sold is; write a whole number"),
            ("number", "positive: 3", "positive: sold is a number, which is hardly ever just one value; use positive_above"),
            ("string", "positive_above: 3", "positive_above: sold is a string, and no figure; use task: classification, and positive: "),
            ("timestamp", "positive: 3", "column: sold is a timestamp, and a target is an integer, a number, a boolean or a text"),
            (
                "integer",
                "positive: 3, positive_above: 2",
                "positive: says which value is positive, and positive_above from where on; give one",
            ),
        ],
    )
    def test_what_is_positive_is_of_the_targets_type(
        self, include: Path, change_model: Change, kind: str, positive: str, words: str
    ) -> None:
        dataset = include / "datasets/sales/dataset.yaml"
        dataset.write_text(dataset.read_text().replace("keys: [shop]", f"  - {{name: sold, type: {kind}, description: x}}\nkeys: [shop]"))
        change_model("task: regression", "task: classification")
        change_model("metric: mae, at_most: 15", "metric: auc, at_least: 0.5")
        path = change_model("column: amount}", f"column: sold, {positive}}}")
        lines = check_catalog(Catalog(include))
        assert [line.removeprefix(f"{path}:8: target.")[: len(words)] for line in lines] == ([words] if words else [])

    def test_what_is_positive_and_never_comes(self, include: Path, change_model: Change) -> None:
        dataset = include / "datasets/sales/dataset.yaml"
        expected = 'expectations:\n  - {expect: expect_column_values_to_be_in_set, arguments: {column: shop, value_set: ["yes", "no"]}}'
        dataset.write_text(f"{dataset.read_text()}{expected}\n")
        change_model("task: regression", "task: classification")
        change_model("metric: mae, at_most: 15", "metric: auc, at_least: 0.5")
        path = change_model("column: amount}", 'column: shop, positive: "Yes"}')
        (line,) = check_catalog(Catalog(include))
        assert line.startswith(
            f"{path}:8: target.positive: no row would ever be positive: shop of sales is never 'Yes'; did you mean 'yes'?"
        )
        assert line.endswith("allowed: yes, no")

    def test_a_target_that_is_no_figure(self, include: Path, change_model: Change) -> None:
        path = change_model("column: amount", "column: shop")
        assert check_catalog(Catalog(include)) == [
            f"{path}:8: target.column: shop is a string, and no figure; use task: classification, and positive: the text that is positive; "
            f"or task: multiclass"
        ]

    def test_rows_and_a_truth_that_no_key_brings_together(self, include: Path, change_dataset: Change) -> None:
        change_dataset("keys: [shop]\n", "")
        assert check_catalog(Catalog(include)) == [
            f"{include}/models/revenue/model.yaml:8: target.dataset: rows of sales find their labels in sales by the keys of sales, which "
            "must be among those of sales; got none and none. Declare keys in both dataset.yaml"
        ]

    @pytest.mark.parametrize(
        ("keys", "types", "problem"),
        [
            ("[shop, day]", "string", ""),
            ("[day, shop]", "string", ""),
            ("[shop]", "string", ""),
            ("[day]", "integer", ""),
            ("[shop]", "integer", ""),
            (
                "[shop, day, till]",
                "string",
                "among those of sales (shop, day); till is not, so one row may find several labels. Score rows that ",
            ),
            ("[shop, till]", "string", "among those of sales (shop, day); till is not. Score rows that have the key, or take the labels "),
            (
                "[shop]",
                "timestamp",
                "of types that compare: shop is a string in sales and a timestamp in takings. Declare one type in both",
            ),
            ("[shop]", "boolean", "of types that compare: shop is a string in sales and a boolean in takings. Declare one type in both"),
        ],
    )
    def test_a_truth_whose_keys_are_not_all_keys_of_the_rows_or_never_have_their_values(
        self, include: Path, change_dataset: Change, change_model: Change, keys: str, types: str, problem: str
    ) -> None:
        more = (
            "  - {name: day, type: integer, description: Of the month}\n  - {name: till, type: integer, description: x}\nkeys: [shop, day]"
        )
        text = change_dataset("keys: [shop]", more).read_text().replace("name: sales", "name: takings").replace("[shop, day]", keys)
        path = include / "datasets/takings/dataset.yaml"
        path.parent.mkdir()
        path.write_text(text.replace("name: shop, type: string", f"name: shop, type: {types}"))
        model = change_model("target: {dataset: sales", "target: {dataset: takings")
        rule = f"{model}:8: target.dataset: rows of sales find their labels in takings by the keys of takings, which must be {problem}"
        assert [line[: len(rule)] for line in check_catalog(Catalog(include))] == ([rule] if problem else [])

    def test_a_wait_for_labels_that_leaves_too_few_days_of_the_window(self, include: Path, change_model: Change) -> None:
        path = change_model("column: amount}", "column: amount, within: 50 days}")
        assert check_catalog(Catalog(include)) == [
            f"{path}:12: train.window: 60 days is too short: labels come within 50 days (target.within) and are known when "
            f"their day begins, so 11 of the 60 days before as_of have all their labels, and train.min_history asks for 14; use at least "
            "63 days"
        ]
        change_model("window: 60 days", "window: 63 days")
        assert check_catalog(Catalog(include)) == []

    def test_labels_whose_schedule_makes_none_within_the_wait(self, include: Path, change_dataset: Change, change_model: Change) -> None:
        text = change_dataset('cron: "0 0 * * *"', 'cron: "0 0 1 * *"').read_text()
        path = include / "datasets/takings/dataset.yaml"
        path.parent.mkdir()
        path.write_text(text.replace("name: sales", "name: takings").replace('"0 0 1 * *"', '"0 0 15 * *"'))
        change_model("window: 60 days", "window: 366 days\n  min_history: 120 days")
        model = change_model("target: {dataset: sales, column: amount", "target: {dataset: takings, column: amount, within: 13 days")
        assert check_catalog(Catalog(include)) == [
            f"{model}:8: target.within: 13 days is too short: the schedule of takings (0 0 15 * *) makes no partition within 13 days of "
            "any of sales (0 0 1 * *), so no row would ever have a label; use more, or correct the schedules"
        ]
        change_model("within: 13 days", "within: 14 days")
        assert check_catalog(Catalog(include)) == []

    def test_absent_labels_of_a_figure(self, include: Path, change_model: Change) -> None:
        path = change_model("column: amount}", "column: amount, absent: negative}")
        assert check_catalog(Catalog(include))[0].startswith(
            f"{path}:8: target.absent: negative is for classification, and this is a regression; allowed: unlabelled"
        )

    def test_a_rule_that_watches_how_many_labels_have_come(self, include: Path, change_model: Change) -> None:
        path = change_model("metric: drift.shop", "metric: labels.share")
        assert check_catalog(Catalog(include)) == [
            f"{path}:19: retrain.rules[0].metric: labels.share says how many labels have come, and no training brings more; "
            "choose another metric"
        ]

    def test_a_broken_dataset_once_and_not_again_in_each_model(self, include: Path, change_dataset: Change) -> None:
        path = change_dataset("owner: shop\n", "")
        assert check_catalog(Catalog(include)) == [
            f"{path}:1: owner: missing required key 'owner' (Who answers for it: shown in Airflow); add it"
        ]

    def test_a_model_without_features(self, include: Path) -> None:
        path = include / "models/revenue/features.py"
        path.unlink()
        (line,) = check_catalog(Catalog(include))
        assert line.startswith(f"{path}: there is no such file; model 'revenue' needs it")

    @pytest.mark.parametrize("estimator", ["Ridge", "sklearn..Ridge", "sklearn.linear-model.Ridge", "a.class", "a.B()"])
    def test_an_estimator_that_cannot_be_imported_by_its_spelling(self, include: Path, change_model: Change, estimator: str) -> None:
        path = change_model("sklearn.linear_model.Ridge", f'"{estimator}"')
        assert check_catalog(Catalog(include)) == [
            f"{path}:13: train.estimator: {estimator!r} is not an import path, such as sklearn.linear_model.Ridge"
        ]

    @pytest.mark.parametrize(
        ("estimator", "words"),
        [
            ("sklearn.linear_model.Rigde", "cannot be imported here: sklearn.linear_model has no 'Rigde'; did you mean 'Ridge'?"),
            ("sklearn.linear_models.Ridge", "cannot be imported here (No module named 'sklearn.linear_models'); "),
            ("no_such_library.Model", "cannot be imported here (No module named 'no_such_library'); install it, or "),
            ("os.path.sep", "is a str, and no class or function that makes an estimator"),
        ],
    )
    def test_an_estimator_that_does_not_exist_or_is_not_installed(
        self, include: Path, change_model: Change, estimator: str, words: str
    ) -> None:
        path = change_model("sklearn.linear_model.Ridge", estimator)
        (line,) = check_catalog(Catalog(include))
        assert line.startswith(f"{path}:13: train.estimator: '{estimator}' {words}")

    def test_no_fault_in_an_estimator_that_only_the_container_has(self, include: Path, change_model: Change) -> None:
        change_model("sklearn.linear_model.Ridge", "no_such_library.Model\n  run_in: docker\n  docker: {image: has-it}")
        assert check_catalog(Catalog(include)) == []

    def test_features_that_do_not_compile(self, include: Path) -> None:
        path = include / "models/revenue/features.py"
        path.write_text("import pandas as pd\n\ndef features(read)\n    return read.rows()\n")
        assert check_catalog(Catalog(include)) == [f"{path}:3: expected ':'; correct the file"]
        path.write_text("a = 'b\0'")
        (line,) = check_catalog(Catalog(include))
        assert line.startswith(f"{path}:1: ") and "null bytes" in line

    def test_a_column_of_an_input_by_the_name_that_windows_give_to_the_day(self, include: Path) -> None:
        dataset = include / "datasets/sales/dataset.yaml"
        declared = dataset.read_text()
        dataset.write_text(declared.replace("keys: [shop]", "  - {name: partition, type: string, description: x}\nkeys: [shop]"))
        (line,) = check_catalog(Catalog(include))
        path = include / "models/revenue/model.yaml"
        assert line.startswith(f"{path}:7: inputs[0].dataset: sales has a column 'partition', by which read.window() calls the day")
        named = "  - {name: sales_partition, from: partition, type: string, description: x}\nkeys: [shop]"
        dataset.write_text(declared.replace("keys: [shop]", named))
        assert check_catalog(Catalog(include)) == []

    @pytest.mark.parametrize("name", ["target", "partition", "key:shop", "prediction", "share"])
    def test_no_fault_in_what_a_feature_is_called(self, include: Path, change_model: Change, name: str) -> None:
        change_model("- {name: shop, kind: categorical", f'- {{name: "{name}", kind: categorical')
        change_model("drift.shop", "drift.feature:share" if name == "share" else f"drift.{name}")
        assert check_catalog(Catalog(include)) == []

    def test_a_criterion_on_a_metric_of_another_task(self, include: Path, change_model: Change) -> None:
        path = change_model("metric: mae", "metric: auc")
        assert check_catalog(Catalog(include)) == [
            f"{path}:16: gate.criteria[0].metric: unknown metric of a regression 'auc'; it is a metric of a classification; allowed: "
            "mae, rmse, r2, median_absolute_error, bias, mape, smape, wape"
        ]

    @pytest.mark.parametrize(
        ("criterion", "words"),
        [
            (
                "by: shop, judge: disparate_impact",
                "judge: disparate_impact is for classification, and this is a regression; allowed: worst",
            ),
            ("by: shp, judge: worst, metric: mae, at_most: 1", "by: unknown feature or column of sales 'shp'; did you mean 'shop'?"),
        ],
    )
    def test_slices_that_could_never_be_judged(self, include: Path, change_model: Change, criterion: str, words: str) -> None:
        path = change_model("kind: absolute, metric: mae, at_most: 15", f"kind: slices, {criterion}")
        (line,) = check_catalog(Catalog(include))
        assert line.startswith(f"{path}:16: gate.criteria[0].{words}")

    def test_slices_by_a_personal_column_whose_values_decisions_would_keep(
        self, include: Path, change_model: Change, change_dataset: Change
    ) -> None:
        path = change_model("kind: absolute, metric: mae, at_most: 15", "kind: slices, by: amount, judge: worst, metric: mae, at_most: 1")
        change_dataset('description: "Amount, ${NOT_A_VARIABLE}"', "personal: true, description: Amount")
        lines = check_catalog(Catalog(include))
        assert f"{path}:16: gate.criteria[0].by: 'amount' is personal, and the names of slices are kept for ever" in lines[0]

    def test_a_gate_that_asks_for_checks_that_nobody_wrote_and_checks_that_no_gate_asks_for(
        self, include: Path, change_model: Change
    ) -> None:
        checks = include / "models" / "revenue" / "checks.py"
        checks.write_text("CHECKS = []")
        assert check_catalog(Catalog(include)) == [
            f"{checks}: is never tried; add {{kind: behaviour}} to gate.criteria of model 'revenue', or remove the file"
        ]
        change_model("{kind: absolute, metric: mae, at_most: 15}", "{kind: behaviour}")
        assert check_catalog(Catalog(include)) == []
        checks.unlink()
        assert check_catalog(Catalog(include)) == [
            f"{checks}: there is no such file; the behaviour criterion of model 'revenue' needs it, write it"
        ]

    @pytest.mark.parametrize(
        ("task", "criterion", "words"),
        [
            ("classification", "kind: absolute, metric: auc, at_least: 1.01", "at_least: 1.01 can never be met: auc is at most 1"),
            ("classification", "kind: absolute, metric: accuracy, at_least: 80", "at_least: 80 can never be met: accuracy is at most 1"),
            ("classification", "kind: absolute, metric: brier, at_most: -0.1", "at_most: -0.1 can never be met: brier is at least 0"),
            ("classification", "kind: champion, metric: auc, must: better, margin: 1", "margin: 1 can never be met: auc is from 0 to 1"),
            ("classification", "kind: baseline, metric: brier, margin: 1", "margin: 1 can never be met: brier is from 0 to 1"),
            ("classification", "kind: baseline, metric: auc, margin: 0.5", "margin: 0.5 can never be met: the auc of a constant is 0.5"),
            ("regression", "kind: absolute, metric: r2, at_least: 90", "at_least: 90 can never be met: r2 is at most 1"),
            ("regression", "kind: absolute, metric: mae, at_most: -1", "at_most: -1 can never be met: mae is at least 0"),
            (
                "regression",
                "kind: slices, by: shop, judge: worst, metric: r2, at_least: 2",
                "at_least: 2 can never be met: r2 is at most 1",
            ),
            ("classification", "kind: absolute, metric: mcc, at_least: 2", "at_least: 2 can never be met: mcc is at most 1"),
            (
                "classification",
                "kind: absolute, metric: cost, at_most: 2",
                "metric: cost needs metrics.costs; declare it, or choose another",
            ),
            ("classification", "kind: baseline, metric: recall", "metric: recall is no measure against a constant: calling every row"),
            ("regression", "kind: absolute, metric: pinball, at_most: 2", "metric: pinball needs metrics.quantile; declare it"),
            ("regression", "kind: absolute, metric: smape, at_least: 3", "at_least: 3 can never be met: smape is at most 2"),
            ("regression", "kind: absolute, metric: bias, at_least: 3", "at_least: bias is best at 0, and this asks for a large one"),
            ("regression", "kind: absolute, metric: bias, at_most: -3", "at_most: -3 can never be met: |bias| is at least 0"),
            ("regression", "kind: baseline, metric: bias", "metric: bias is no measure against a constant: the mean of what"),
            ("regression", "kind: champion, metric: mse, margin: 3", "metric: unknown metric of a regression 'mse'; did you mean 'rmse'?"),
            ("regression", "kind: absolute, metric: bias, at_most: 3", ""),
            ("classification", "kind: absolute, metric: auc, at_least: 1", ""),
            ("classification", "kind: baseline, metric: log_loss, margin: 2", ""),
            ("classification", "kind: champion, metric: auc, margin: 1", ""),
            ("regression", "kind: absolute, metric: r2, at_most: -3", ""),
            ("regression", "kind: absolute, metric: mae, at_most: 0", ""),
        ],
    )
    def test_a_threshold_of_the_gate_that_no_candidate_could_meet(
        self, include: Path, change_model: Change, task: str, criterion: str, words: str
    ) -> None:
        change_model("task: regression", f"task: {task}")
        if task == "classification":
            change_model("column: amount}", "column: amount, positive_above: 3}")
        path = change_model("kind: absolute, metric: mae, at_most: 15", criterion)
        lines = check_catalog(Catalog(include))
        assert [line.removeprefix(f"{path}:16: gate.criteria[0].")[: len(words)] for line in lines] == ([words] if words else [])

    @pytest.mark.parametrize(
        ("rule", "words"),
        [
            ("drift.share, above: 1", "above: 1 can never be passed: drift.share is at most 1"),
            ("quality.quarantined_share, above: 5", "above: 5 can never be passed: quality.quarantined_share is at most 1"),
            ("performance.mae, below: 0", "below: 0 can never be passed: performance.mae is at least 0"),
            ("performance.r2, above: 1", "above: 1 can never be passed: performance.r2 is at most 1"),
            ("drift.shop, above: 0.9", "above: 0.9 can never be passed: drift.shop is at most 0.832555"),
            ("prediction_drift.score, below: 0", "below: 0 can never be passed: prediction_drift.score is at least 0"),
            ("prediction_drift.score, above: 9", ""),
            ("performance.r2, below: -5", ""),
            ("performance.mae, above: learned", ""),
            ("performance.mae, above: 1.1, relative_to: promotion", ""),
            ("estimated.mae, above: 1.1, relative_to: promotion", ""),
            (
                "performance.mae, above: 0, relative_to: promotion",
                "above: 0 is a share of the figure at promotion; give one above 0, such as 1.2",
            ),
            (
                "drift.share, above: 1.1, relative_to: promotion",
                "relative_to: drift.share has no figure at promotion; choose a metric of performance or estimated, or above: learned",
            ),
            (
                "performance.bias, above: 1.1, relative_to: promotion",
                "relative_to: bias is about 0, of which a share says nothing; give above as a figure, or above: learned",
            ),
            (
                "performance.mae, above: learned, relative_to: promotion",
                "relative_to: is for a share, and learned learns the bound; give one of the two",
            ),
            ("performance.mae, above: 9, learn_from: 9", "learn_from: is for above: learned or below: learned; remove it"),
        ],
    )
    def test_a_rule_that_could_never_trip(self, include: Path, change_model: Change, rule: str, words: str) -> None:
        path = change_model("drift.shop, above: 0.2", rule)
        lines = check_catalog(Catalog(include))
        assert [line.removeprefix(f"{path}:19: retrain.rules[0].") for line in lines] == ([words] if words else [])

    @pytest.mark.parametrize("metric", ["performance.auc", "drift.shopp", "drift", "quality.nulls", "mae"])
    def test_a_rule_on_what_is_never_observed(self, include: Path, change_model: Change, metric: str) -> None:
        path = change_model("metric: drift.shop", f"metric: {metric}")
        (line,) = check_catalog(Catalog(include))
        assert line.startswith(f"{path}:19: retrain.rules[0].metric: unknown observation of a regression {metric!r}; ")
        assert "allowed: drift.share, drift.multivariate, performance.mae" in line

    def test_no_fault_in_any_observation_of_the_model(self, include: Path, change_model: Change) -> None:
        names = observation_names(Catalog(include).model("revenue"))
        assert names == [
            "drift.share",
            "drift.multivariate",
            *(f"performance.{metric}" for metric in METRICS["regression"] if metric != "pinball"),
            *(f"estimated.{name}" for name, metric in METRICS["regression"].items() if metric.is_estimated and name != "pinball"),
            "concept_drift.score",
            *OF_SUPPLY,
            "prediction_drift.score",
            "target_drift.score",
            "drift.shop",
        ]
        rules = "".join(f"    - {{metric: {name}, above: 0.5, k: 1, n: 1}}\n" for name in names)
        change_model("    - {metric: drift.shop, above: 0.2, k: 1, n: 1}\n", rules)
        assert check_catalog(Catalog(include)) == []

    @pytest.mark.parametrize("name", ["estimated.mae", "concept_drift.score"])
    def test_a_rule_on_estimates_that_are_switched_off(self, include: Path, change_model: Change, name: str) -> None:
        rule = f"    - {{metric: {name}, above: 0.5, k: 1, n: 1}}\n"
        change_model("    - {metric: drift.shop, above: 0.2, k: 1, n: 1}\n", f"{rule}monitor: {{estimate: false}}\n")
        [problem] = check_catalog(Catalog(include))
        assert f"unknown observation of a regression '{name}'" in problem

    @pytest.mark.parametrize(
        ("metrics", "key", "words"),
        [
            ("{costs: {false_positive: 1, false_negative: 9}}", "costs", "is for classification, and this is a regression; remove it"),
            ("{decision_threshold: 0.3}", "decision_threshold", "is for classification, and this is a regression; remove it"),
            ("{quantile: 1}", "quantile", "must be less than 1, got 1"),
            ("{own: [{name: mae, function: a.b, better: lower, description: x}]}", "own[0].name", "'mae' is one of ours; give"),
            ("{own: [{name: auc, function: a.b, better: lower, description: x}]}", "own[0].name", "'auc' is one of ours; give"),
            (
                "{own: [{name: profit, function: profit, better: lower, description: x}]}",
                "own[0].function",
                "'profit' is not an import path",
            ),
            (
                "{own: [{name: p, function: a.b, better: up, description: x}]}",
                "own[0].better",
                "'up' is not allowed; allowed: higher, lower, zero",
            ),
        ],
    )
    def test_metrics_that_cannot_be_meant(self, include: Path, change_model: Change, metrics: str, key: str, words: str) -> None:
        path = change_model("gate:\n", f"metrics: {metrics}\ngate:\n")
        (line,) = check_catalog(Catalog(include))
        assert line.startswith(f"{path}:14: metrics.{key}: {words}"), line

    @pytest.mark.parametrize(
        ("metrics", "words"),
        [
            ("{quantile: 0.3}", "metrics.quantile: is for regression, and this is a classification; remove it"),
            ("{costs: {false_positive: 0, false_negative: 0}}", "metrics.costs: give a cost above 0 to false_positive, to false_negative"),
            ("{learned_threshold: {best: cost}}", "metrics.learned_threshold.best: cost needs metrics.costs"),
            ("{learned_threshold: {best: recall}}", "metrics.learned_threshold.best: "),
            ("{learned_threshold: {best: f1, folds: 9}}", "metrics.learned_threshold.folds: 9 needs more days to fit on than the 7 "),
            (
                "{learned_threshold: {best: f1}, decision_threshold: 0.3}",
                "metrics.learned_threshold: learns what decision_threshold declares",
            ),
        ],
    )
    def test_decisions_that_cannot_be_meant(self, include: Path, change_model: Change, metrics: str, words: str) -> None:
        change_model("task: regression", "task: classification")
        change_model("column: amount}", "column: amount, positive_above: 3}")
        change_model("metric: mae, at_most: 15", "metric: auc, at_least: 0.5")
        path = change_model("gate:\n", f"metrics: {metrics}\ngate:\n")
        (line,) = check_catalog(Catalog(include))
        assert line.startswith(f"{path}:14: {words}"), line

    def test_tuning_by_decisions_at_a_threshold_that_is_learned_afterwards(self, include: Path, change_model: Change) -> None:
        change_model("task: regression", "task: classification")
        change_model("column: amount}", "column: amount, positive_above: 3}")
        change_model("metric: mae, at_most: 15", "metric: auc, at_least: 0.5")
        forest = "estimators: [{estimator: sklearn.svm.SVC}, {estimator: sklearn.linear_model.LogisticRegression}]"
        change_model("estimator: sklearn.linear_model.Ridge", f"{forest}\n  tune: {{candidates: 2, metric: f1}}")
        path = change_model("gate:\n", "metrics: {learned_threshold: {best: f1}}\ngate:\n")
        assert check_catalog(Catalog(include)) == [
            f"{path}:14: train.tune.metric: f1 depends on the decision threshold, which is learned after tuning; allowed: auc, log_loss, "
            f"brier, average_precision, or declare metrics.decision_threshold"
        ]

    def test_a_rule_on_a_metric_of_what_is_not_declared(self, include: Path, change_model: Change) -> None:
        path = change_model("metric: drift.shop", "metric: performance.pinball")
        assert check_catalog(Catalog(include)) == [
            f"{path}:19: retrain.rules[0].metric: pinball needs metrics.quantile; declare it, or choose another metric"
        ]

    def test_an_expectation_on_a_column_that_is_not_declared(self, include: Path, change_dataset: Change) -> None:
        path = change_dataset(
            "keys: [shop]\n",
            "keys: [shop]\nexpectations:\n  - {expect: expect_column_to_exist, arguments: {column: shops}}\n",
        )
        assert check_catalog(Catalog(include)) == [
            f"{path}:12: expectations[0].arguments.column: unknown column 'shops'; did you mean 'shop'? allowed: shop, amount"
        ]

    @pytest.mark.parametrize("arguments", ["{column_A: shop, column_B: shops}", "{column_list: [shop, shops]}"])
    def test_an_expectation_on_several_columns_of_which_one_is_not_declared(
        self, include: Path, change_dataset: Change, arguments: str
    ) -> None:
        path = change_dataset("keys: [shop]\n", f"keys: [shop]\nexpectations:\n  - {{expect: expect_any_thing, arguments: {arguments}}}\n")
        (line,) = check_catalog(Catalog(include))
        assert line.startswith(f"{path}:12: expectations[0].arguments.column_")
        assert line.endswith(": unknown column 'shops'; did you mean 'shop'? allowed: shop, amount")

    @pytest.mark.parametrize(
        ("reference", "problem"),
        [
            ("{columns: [shop], dataset: sale}", "dataset: unknown dataset 'sale'; did you mean 'sales'? allowed: sales"),
            ("{columns: [shop], dataset: sales, to: [place]}", "to: unknown column of sales 'place'; allowed: shop, amount"),
            (
                "{columns: [shop], dataset: sales, to: [amount]}",
                "to: shop is a string and amount of sales a number; both must be of one type",
            ),
        ],
    )
    def test_a_reference_that_could_never_be_evaluated(self, include: Path, change_dataset: Change, reference: str, problem: str) -> None:
        path = change_dataset("keys: [shop]\n", f"keys: [shop]\nreferences:\n  - {reference}\n")
        assert check_catalog(Catalog(include)) == [f"{path}:12: references[0].{problem}"]

    def test_a_folder_that_nothing_reads(self, include: Path) -> None:
        (include / "models/lost").mkdir()
        (include / "models/lost/model.yml").touch()
        (include / "models/__pycache__").mkdir()
        assert check_catalog(Catalog(include)) == [f"{include}/models/lost: has no model.yaml; add one, or remove the folder"]


def test_a_dag_parse_pays_for_nothing_heavy() -> None:
    heavy = ["pandas", "numpy", "sklearn", "mlflow", "airflow", "sqlalchemy", "jsonschema", "croniter"]
    program = (
        "import sys; from include.evergreen.config import Catalog; Catalog().model_names();"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
