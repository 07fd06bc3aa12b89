"""docs/guides/contracts.md: every example is taken as it stands and put to work."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from include.evergreen import PROJECT_ROOT
from include.evergreen.config.datasets import (
    Column,
    Correlation,
    DatasetConfig,
    Expectation,
    Freshness,
    Quarantine,
    Reference,
    Retention,
    Volume,
)
from tests.unit.data.validation.judged import DATASET, judged

pytestmark = pytest.mark.usefixtures("home")
GUIDE = (PROJECT_ROOT / "docs/guides/contracts.md").read_text()
CONTRACT_KEYS = {
    "columns": Column,
    "expectations": Expectation,
    "volume": Volume,
    "freshness": Freshness,
    "references": Reference,
    "correlations": Correlation,
    "quarantine": Quarantine,
    "retention": Retention,
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def examples() -> dict[str, Any]:
    """All YAML examples as one contract."""
    merged: dict[str, Any] = {}
    for block in blocks("yaml"):
        for key, value in yaml.safe_load(block).items():
            merged[key] = [*merged[key], *value] if isinstance(merged.get(key), list) else value
    return merged


def contract() -> DatasetConfig:
    return DatasetConfig.model_validate({**DATASET, **examples()})


def orders() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "order_id": pd.array([123, 11, 45, 101, 2020], dtype="Int64"),  # the last digits of 123, 11 are sound; and of 101
            "shop": pd.array(["Lyon", "Metz", "Lyon", "Nice", "Metz"], dtype="string"),
            "customer": pd.array(["a@b.fr", None, "c@d.fr", "e@f.fr", "g@h.fr"], dtype="string"),
            "sold_at": pd.date_range("2013-02-09", periods=5, freq="h", tz="UTC"),
            "pieces": pd.array([1, 2, 1, 3, 1], dtype="Int64"),
            "price": [10.0, 20.0, 30.0, 40.0, 60.0],
            "gift": pd.array([True, None, False, None, None], dtype="boolean"),
        }
    )


@pytest.fixture
def team_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetConfig:
    """The guide's contract with its Python example where it can be imported from."""
    (tmp_path / "guide_orders.py").write_text(blocks("python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "guide_orders", __import__("guide_orders"))
    declared = examples()
    for each in declared["expectations"]:
        each["expect"] = each["expect"].replace("include.expectations.orders", "guide_orders")
    return DatasetConfig.model_validate({**DATASET, **declared, "quarantine": {"max_share": 1}})


def test_the_guides_examples_are_one_sound_contract() -> None:
    assert contract().quarantine.max_share == 0.02
    assert len(contract().expectations) == 7


def test_every_key_of_a_contract_stands_in_an_example() -> None:
    shown = examples()
    for key, kind in CONTRACT_KEYS.items():
        given = shown[key] if isinstance(shown[key], list) else [shown[key]]
        if key == "freshness":  # one of the two ways to give a deadline is in a block, the other in the text
            given = [*given, *(yaml.safe_load(text)[key] for text in re.findall(r"`(freshness: \{.*?\})`", GUIDE))]
        assert {field.alias or name for name, field in kind.model_fields.items()} == set().union(*given), key
    assert {"undeclared_columns", "keys"} <= shown.keys()


def test_the_guides_contract_is_evaluated_with_the_class_that_it_shows(team_module: DatasetConfig) -> None:
    found = judged(team_module, orders())
    assert dict(zip(found.quarantined["order_id"], found.validation.reasons(), strict=True)) == {
        45: "guide_orders.ExpectColumnValuesToBeOrderNumber(order_id)",
        2020: "guide_orders.ExpectColumnValuesToBeOrderNumber(order_id)",
        101: "expect_column_values_to_be_in_set(shop)",
    }
    failed = {each.expectation for each in found.validation.checks if each.failed}
    assert "expect_column_values_to_be_between" in failed, "an order of one piece for 60"
    not_evaluated = {each.expectation for each in found.validation.checks if each.status == "not_evaluated"}
    assert not_evaluated == {"volume", "reference", "correlation"}
