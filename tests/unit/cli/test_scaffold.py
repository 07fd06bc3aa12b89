from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog
from include.evergreen.foundation.settings import Settings
from include.evergreen.testkit import CHECKS, examine
from tests.unit.cli.conftest import Ask

ORDERS = pd.DataFrame(
    {
        "district": ["north", "harbour", "north"],
        "order id": [1, 2, 3],
        "items": pd.array([2, None, 1], dtype="Int64"),
        "km": [1.5, 2.0, 0.5],
        "gift": [True, False, True],
        "on": ["2024-01-01T08:00:00Z", "2024-01-01T09:30:00+01:00", "2024-01-01 10:00Z"],
        "planned": ["2024-01-01 08:00", "2024-01-01 09:00", "2024-01-01 10:00"],
        "nothing": [None, None, None],
    }
)


@pytest.fixture(autouse=True)
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "include"
    folder.mkdir()
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(folder))
    return folder


@pytest.fixture
def delivered() -> Path:
    """Two days of orders and of what became of them, in the landing zone; returns the folder of the orders."""
    landing = Settings.from_environment().home / "landing"
    for name, frame in (
        ("orders", ORDERS),
        ("outcomes", ORDERS[["order id"]].assign(minutes=[10.5, 20.0, 30.0], late=[True, False, None], verdict=["fine", "broken", "lost"])),
    ):
        (landing / name).mkdir(parents=True)
        for day in ("2024-01-01", "2024-01-05"):
            frame.to_csv(landing / name / f"{name}-{day}.csv", index=False)
    return landing / "orders"


@pytest.fixture
def declared(ask: Ask, delivered: Path) -> None:
    for name, hours in (("orders", "-2"), ("outcomes", "24")):
        assert ask("new-dataset", name, "--like", str(delivered.parent / name / f"{name}-2024-01-01.csv"), "--known-after", hours).code == 0


def test_a_dataset_after_a_file_has_its_columns_their_types_its_key_and_its_days(ask: Ask, declared: None) -> None:
    orders = Catalog().dataset("orders")
    assert {each.name: each.type for each in orders.columns} == {
        "district": "string", "order id": "integer", "items": "integer", "km": "number", "gift": "boolean",
        "on": "timestamp", "planned": "string", "nothing": "string",
    }  # fmt: skip
    assert {each.name for each in orders.columns if each.nullable} == {"items", "nothing"}
    assert orders.keys == ("order id",)
    assert orders.source.path == "${EVERGREEN_HOME}/landing/orders/orders-{partition}.csv"  # type: ignore[union-attr]
    assert (str(orders.schedule.start), str(orders.schedule.end), orders.schedule.run_offset) == ("2024-01-01", "2024-01-05", 0)
    assert Catalog().dataset("outcomes").schedule.run_offset == -1
    assert ask("check").out == "2 datasets and 0 models are sound.\n"


def test_what_it_declares_of_a_file_that_file_can_be_ingested_with(ask: Ask, declared: None, home: Path) -> None:
    assert ask("ingest", "orders", "2024-01-01").code == 0
    assert ask("ingest", "outcomes", "2024-01-05").code == 0


def test_a_model_after_its_datasets_is_sound_and_keeps_the_promise_of_every_model_s_features(ask: Ask, declared: None) -> None:
    answer = ask("new-model", "minutes", "--rows", "orders", "--target", "outcomes.minutes")
    assert answer.out.splitlines()[1:] == ["  evergreen check", "  evergreen run minutes --as-of DATE"]
    model = Catalog().model("minutes")
    assert (model.task, model.feature_names) == ("regression", ["district", "items", "km", "gift", "planned", "nothing"])
    assert ask("check").out == "2 datasets and 1 model are sound.\n"
    assert [finding for check in CHECKS for finding in examine(Catalog(), "minutes", check)] == []


@pytest.mark.parametrize(
    ("grain", "cron", "window"), [("hour", "10 * * * *", "60 days"), ("week", "0 6 * * 1", "24 weeks"), ("month", "0 6 3 * *", "24 months")]
)
def test_a_model_of_any_grain_has_lengths_that_its_partitions_have(ask: Ask, declared: None, grain: str, cron: str, window: str) -> None:
    for name in ("orders", "outcomes"):
        path = Catalog().dataset_path(name)
        path.write_text(re.sub(r'cron: "[^"]*"', f'cron: "{cron}", grain: {grain}', path.read_text()))
    assert ask("new-model", "minutes", "--rows", "orders", "--target", "outcomes.minutes").code == 0
    assert str(Catalog().model("minutes").train.window) == window
    assert not [line for line in ask("check").err.splitlines() if "train." in line]


@pytest.mark.parametrize(
    ("options", "above"), [(["--target", "outcomes.late"], 0), (["--target", "outcomes.minutes", "--positive-above", "15"], 15)]
)
def test_a_boolean_or_a_bound_makes_a_classification(ask: Ask, declared: None, options: list[str], above: float) -> None:
    assert ask("new-model", "late", "--rows", "orders", *options).code == 0
    model = Catalog().model("late")
    assert (model.task, model.target.positive_above) == ("classification", above)
    assert ask("check").code == 0


def test_a_text_is_one_of_several_classes(ask: Ask, declared: None) -> None:
    assert ask("new-model", "verdicts", "--rows", "orders", "--target", "outcomes.verdict").code == 0
    assert Catalog().model("verdicts").task == "multiclass"
    assert ask("check").code == 0


def test_without_a_file_there_is_a_form_to_fill_in_that_is_sound(ask: Ask, include: Path) -> None:
    assert ask("new-dataset", "visits").code == 0
    assert ask("check").out == "1 dataset and 0 models are sound.\n"
    first = (include / "datasets/visits/dataset.yaml").read_text().splitlines()[0]
    schema = include / "datasets/visits" / first.partition("$schema=")[2]
    assert schema.resolve() == PROJECT_ROOT / "include/evergreen/config/dataset.schema.json"


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_what_stands_as_a_comment_is_sound_when_it_is_put_in(ask: Ask, declared: None, include: Path, kind: str) -> None:
    ask("new-model", "minutes", "--rows", "orders", "--target", "outcomes.minutes")
    file = include / f"{kind}s" / {"dataset": "orders", "model": "minutes"}[kind] / f"{kind}.yaml"
    text = re.sub(r"^( *)# ( *)(?=- |expectations:|retrain:|rules:)", r"\1\2", file.read_text(), flags=re.MULTILINE)
    file.write_text(text.replace("column: NAME", "column: km"))
    written = yaml.safe_load(file.read_text())
    assert "expectations" in written if kind == "dataset" else len(written["gate"]["criteria"]) == 3 and "retrain" in written
    assert ask("check").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new-dataset", "Visits"], "'Visits' is no name for a dataset; write lower-case letters"),
        (["new-dataset", "../visits"], "'../visits' is no name for a dataset"),
        (["new-dataset", "orders"], "is there already; choose another name"),
        (["new-dataset", "visits", "--like", "/no/such/file.csv"], "/no/such/file.csv cannot be read as CSV: "),
        (["new-dataset", "visits", "--like", "/dev/null"], "/dev/null cannot be read as CSV: "),
        (["new-model", "m", "--rows", "order", "--target", "outcomes.minutes"], "unknown dataset 'order'; did you mean 'orders'?"),
        (
            ["new-model", "m", "--rows", "orders", "--target", "outcomes.verdict", "--positive-above", "1"],
            "the target outcomes.verdict is a string; new-model begins with an integer, a number, a boolean or a text, and a text is",
        ),
        (["new-model", "m", "--rows", "orders", "--target", "outcomes"], "the target 'outcomes' names no column; write DATASET.COLUMN"),
        (
            ["new-model", "m", "--rows", "orders", "--target", "outcomes.minute"],
            "outcomes has no column 'minute'; did you mean 'minutes'? it has: order id, minutes, late, verdict",
        ),
    ],
)
def test_what_cannot_be_declared_is_refused_and_nothing_is_written(
    ask: Ask, declared: None, include: Path, arguments: list[str], words: str
) -> None:
    before = sorted(include.rglob("*"))
    answer = ask(*arguments)
    assert answer.code == 2
    assert words in answer.err
    assert sorted(include.rglob("*")) == before
