"""The metrics of a team's own, in the model's folder: what `check` says of them, and what a recipe holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from include.evergreen.config import Catalog
from include.evergreen.training.recipes import MODULES, build_recipe
from include.evergreen.training.rehearsal import check_own_metrics
from tests.unit.training.test_own_metrics import MODULES_NOW, PROFIT


def test_the_recipe_holds_its_module_and_what_that_imports_and_check_names_the_line(include: Path, change_model: Any) -> None:
    plain = build_recipe(Catalog(include), Catalog(include).model("revenue"))
    assert MODULES not in plain.document, "else every recipe of an older release would be another"
    own = "metrics: {own: [{name: profit, function: profit.per_row, better: higher, description: Money.}]}\ngate:\n"
    path = change_model("gate:\n", own)
    (line,) = check_own_metrics(Catalog(include))
    assert line.startswith(f"{path}:14: metrics.own[0].function: profit.per_row cannot be imported (ModuleNotFoundError")
    (path.parent / "profit.py").write_text(PROFIT)
    (path.parent / "prices.py").write_text("FARE = 3.0")
    (path.parent / "unused.py").write_text("1 / 0")
    assert check_own_metrics(Catalog(include)) == []
    held = build_recipe(Catalog(include), Catalog(include).model("revenue"))
    assert (held.modules, held.document[MODULES]) == (MODULES_NOW, dict(MODULES_NOW))
    (path.parent / "prices.py").write_text("FARE = 4.0")
    assert build_recipe(Catalog(include), Catalog(include).model("revenue")).digest != held.digest
