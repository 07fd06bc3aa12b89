"""Expectation classes of a team's own, named in dataset.yaml by their import path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.evergreen.foundation.errors import ConfigError
from tests.unit.data.validation.judged import dataset, judged
from tests.unit.data.validation.test_contract import sales

pytestmark = pytest.mark.usefixtures("home")
Module = Callable[..., str]

REGEX = '''
from great_expectations.expectations.core import ExpectColumnValuesToMatchRegex


class ExpectColumnValuesToBeShop(ExpectColumnValuesToMatchRegex):
    """A shop is called by its number, which is at most {largest}."""

    regex: str = r"^shop [0-{largest}]$"
'''
METRIC = '''
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics import ColumnMapMetricProvider, column_condition_partial


class Even(ColumnMapMetricProvider):
    condition_metric_name = "{metric}"
    condition_value_keys = ("divisor",)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column, divisor, **kwargs):
        return column % divisor == 0


class ExpectColumnValuesToBeDivisible(ColumnMapExpectation):
    """Every value is divisible."""

    map_metric = "{metric}"
    success_keys = ("divisor", "mostly")
    divisor: int = 2
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """Writes a module and says its import path; none of them is left behind."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return name

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def expectation(path: str, column: str = "shop", **arguments: object) -> dict[str, object]:
    return {"expect": path, "arguments": {"column": column, **arguments}, "on_fail": "quarantine"}


def test_a_class_that_narrows_one_of_great_expectations_quarantines_what_it_refuses(module: Module) -> None:
    name = module("narrowed", REGEX.replace("{largest}", "2"))
    found = judged(dataset(expectation(f"{name}.ExpectColumnValuesToBeShop"), max_share=1), sales())
    assert found.quarantined["hour"].tolist() == [3, 7]
    assert set(found.validation.reasons()) == {f"{name}.ExpectColumnValuesToBeShop(shop)"}
    assert found.validation.checks[-1].examples == ("shop 3", "shop 3")


def test_a_class_with_a_metric_of_its_own_and_an_argument_is_evaluated_beside_the_others(module: Module) -> None:
    name = module("metric", METRIC.replace("{metric}", "column_values.divisible_in_tests"))
    path = f"{name}.ExpectColumnValuesToBeDivisible"
    between = {"expect": "expect_column_values_to_be_between", "arguments": {"column": "hour", "max_value": 8}, "on_fail": "quarantine"}
    config = dataset(expectation(path, "hour", divisor=3), between, max_share=1)
    for _ in range(2):  # the module is imported once, and must be known the second time too
        found = judged(config, sales())
        assert found.quarantined["hour"].tolist() == [1, 2, 4, 5, 7, 8, 9]
        assert [each.failed_rows for each in found.validation.checks[-2:]] == [6, 1]


def test_classes_of_one_name_in_two_modules_do_not_get_into_each_others_way(module: Module) -> None:
    strict, lenient = (module(f"shops_{largest}", REGEX.replace("{largest}", str(largest))) for largest in (1, 2))
    of_one, of_other = (dataset(expectation(f"{name}.ExpectColumnValuesToBeShop"), max_share=1) for name in (strict, lenient))
    for _ in range(2):
        assert judged(of_one, sales(4)).quarantined["hour"].tolist() == [2, 3]
        assert judged(of_other, sales(4)).quarantined["hour"].tolist() == [3]
    both = dataset(*(expectation(f"{name}.ExpectColumnValuesToBeShop") for name in (strict, lenient)), max_share=1)
    assert [each.failed_rows for each in judged(both, sales(4)).validation.checks[-2:]] == [2, 1]


def test_a_class_that_is_called_like_one_of_great_expectations_does_not_replace_it(module: Module) -> None:
    text = REGEX.replace("ExpectColumnValuesToBeShop(", "ExpectColumnValuesToNotBeNull(").replace("{largest}", "1")
    path = f"{module('called_alike', text)}.ExpectColumnValuesToNotBeNull"
    found = judged(dataset(expectation(path), max_share=1), sales(4))
    assert found.quarantined["hour"].tolist() == [2, 3]
    assert judged(dataset(), sales(4)).validation.verdict == "passed", "the implied check for missing values is Great Expectations' own"


def test_what_one_dataset_imports_is_not_known_by_name_to_another(module: Module) -> None:
    judged(dataset(expectation(f"{module('imported', REGEX.replace('{largest}', '9'))}.ExpectColumnValuesToBeShop")), sales())
    with pytest.raises(ConfigError, match="knows no expectation 'expect_column_values_to_be_shop'"):
        judged(dataset({"expect": "expect_column_values_to_be_shop", "arguments": {"column": "shop"}}), sales())


def test_a_metric_that_would_replace_another_is_refused_each_time_and_leaves_the_other_as_it_was(module: Module) -> None:
    name = module("replacing", METRIC.replace("{metric}", "column_values.between"))
    between = {"expect": "expect_column_values_to_be_between", "arguments": {"column": "hour", "max_value": 8}, "on_fail": "quarantine"}
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"replacing defines metrics that exist already: column_values.between.*names of their own"):
            judged(dataset(expectation(f"{name}.ExpectColumnValuesToBeDivisible", "hour")), sales())
    assert judged(dataset(between, max_share=1), sales()).quarantined["hour"].tolist() == [9]


def test_a_class_about_the_partition_as_a_whole_gets_all_columns_and_cannot_quarantine(module: Module) -> None:
    name = module(
        "whole",
        "from great_expectations.expectations.core import ExpectTableColumnCountToEqual\n\n\n"
        "class ExpectColumns(ExpectTableColumnCountToEqual):\n    pass\n",
    )
    declared = {"expect": f"{name}.ExpectColumns", "arguments": {"value": 3}, "on_fail": "warn"}
    assert judged(dataset(declared), sales()).validation.verdict == "passed"
    with pytest.raises(ConfigError, match="whole.ExpectColumns judges the partition as a whole"):
        judged(dataset({**declared, "on_fail": "quarantine"}), sales())


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (None, "include.no_such.ExpectColumnValuesToBeShop", "there is no module 'include.no_such'. Write the import path"),
        ("", "broken.ExpectColumnValuesToBeShop", "broken has no expectation 'ExpectColumnValuesToBeShop'.* found there: none"),
        ("class ExpectThis: ...", "broken.ExpectThis", "It must be a subclass of one of Great Expectations' classes"),
        ("1 / 0", "broken.ExpectThis", "broken fails when it is imported: ZeroDivisionError: division by zero. Fix it first"),
        ("raise SystemExit(0)", "broken.ExpectThis", "broken fails when it is imported: SystemExit"),
        ("import nothing_like_it", "broken.ExpectThis", "there is no module 'nothing_like_it'"),
        ("def f(:", "broken.ExpectThis", "broken fails when it is imported: SyntaxError"),
        (REGEX.replace("{largest}", "2"), "broken.ExpectColumnValuesToBe", "found there: .*, ExpectColumnValuesToBeShop"),
        (
            "from great_expectations.expectations.expectation import ColumnMapExpectation\n"
            "class ExpectThis(ColumnMapExpectation):\n    map_metric = 'column_values.unheard_of'\n",
            "broken.ExpectThis",
            "cannot be computed: .*column_values.unheard_of",
        ),
    ],
)  # fmt: skip
def test_a_path_that_leads_to_no_expectation_is_the_authors_fault(module: Module, text: str | None, path: str, words: str) -> None:
    if text is not None:
        module("broken", text)
    with pytest.raises(ConfigError, match=f"sales: .*{words}"):
        judged(dataset(expectation(path)), sales())


@pytest.mark.parametrize(
    "text",
    [
        "raise MemoryError('Unable to allocate 3.7 TiB')",
        REGEX.replace("{largest}", "2")
        + "\n    def get_validation_dependencies(self, **_):\n        raise MemoryError('Unable to allocate 3.7 TiB')\n",
    ],
)
def test_a_machine_without_memory_is_no_fault_of_the_author(module: Module, text: str) -> None:
    path = f"{module('hungry', text)}.ExpectColumnValuesToBeShop"
    with pytest.raises(MemoryError):
        judged(dataset(expectation(path)), sales())
