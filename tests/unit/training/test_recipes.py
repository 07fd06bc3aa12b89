from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.monitoring import Monitor
from include.evergreen.features.build import code_now, load_code
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.span import Span
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import recipes
from include.evergreen.training.recipes import FEATURES, build_recipe, find_recipe, keep_recipe
from tests.unit.flights import rows_of, with_other_features


def test_a_recipe_gives_back_the_model_that_was_declared_then(catalog: Catalog, air_time: ModelConfig, tmp_path: Path) -> None:
    kept = build_recipe(catalog, air_time)
    now = with_other_features(catalog, tmp_path / "include").model("air_time")
    assert now.feature_names != air_time.feature_names
    assert kept.config(now).model_dump() == air_time.model_dump()


def test_what_is_no_part_of_a_training_is_as_it_is_declared_now(catalog: Catalog, air_time: ModelConfig) -> None:
    kept = build_recipe(catalog, air_time)
    now = air_time.model_copy(update={"owner": "another team", "monitor": Monitor(window=Span(3, "day"))})
    assert kept.config(now).model_dump() == now.model_dump()


@pytest.mark.parametrize("change", [{"schedule": None}, {"run_in": "docker", "docker": {"image": "evergreen"}}, {"holdout": "7 days"}])
def test_when_and_where_a_training_runs_and_a_default_that_is_said_change_no_recipe(
    catalog: Catalog, air_time: ModelConfig, change: dict[str, object]
) -> None:
    train = type(air_time.train).model_validate({**air_time.train.model_dump(mode="json"), **change})
    assert build_recipe(catalog, air_time.model_copy(update={"train": train})).digest == build_recipe(catalog, air_time).digest


@pytest.mark.parametrize("change", [{"seed": 1}, {"parameters": {"alpha": 2.0}}, {"window": Span(61, "day")}])
def test_what_changes_a_training_changes_the_recipe(catalog: Catalog, air_time: ModelConfig, change: dict[str, object]) -> None:
    train = air_time.train.model_copy(update=change)
    changed = build_recipe(catalog, air_time.model_copy(update={"train": train}))
    assert changed.digest != build_recipe(catalog, air_time).digest
    assert changed.features_digest == build_recipe(catalog, air_time).features_digest


def test_another_text_of_features_py_is_another_recipe_with_other_features(catalog: Catalog, air_time: ModelConfig, tmp_path: Path) -> None:
    changed = with_other_features(catalog, tmp_path / "include")
    changed.features_path("air_time").write_text(catalog.features_path("air_time").read_text() + "# a word\n")
    assert build_recipe(changed, air_time).digest != build_recipe(catalog, air_time).digest
    assert build_recipe(changed, air_time).features_digest != build_recipe(catalog, air_time).features_digest


def test_a_module_beside_features_py_is_part_of_the_recipe_and_a_version_keeps_its_own(
    catalog: Catalog, air_time: ModelConfig, tmp_path: Path
) -> None:
    changed = with_other_features(catalog, tmp_path / "include")
    path = changed.features_path("air_time")
    path.write_text(f"from helper import WORD\n{path.read_text()}")
    (path.parent / "helper.py").write_text("WORD = 1")
    recipe = build_recipe(changed, air_time)
    assert recipe.modules == recipe.code.beside == (("helper", "WORD = 1"),)
    (path.parent / "helper.py").write_text("WORD = 2")
    later = build_recipe(changed, air_time)
    assert (later.digest != recipe.digest, later.features_digest != recipe.features_digest) == (True, True)
    kept, now = load_code(recipe.code), load_code(code_now(changed, air_time))
    assert (kept.__globals__["WORD"], now.__globals__["WORD"]) == (1, 2)  # type: ignore[attr-defined]


def test_a_recipe_is_kept_once_and_found_as_it_was(home: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    recipe = build_recipe(catalog, air_time)
    for _ in range(2):
        with writing() as connection:
            keep_recipe(connection, recipe)
    assert len(rows_of(recipes)) == 1
    assert find_recipe(recipe.digest) == recipe
    assert recipe.digest == document_digest(recipe.document)
    assert recipe.code.text == catalog.features_path("air_time").read_text()
    assert find_recipe("0" * 64) is None


def test_a_kept_recipe_with_one_character_changed_is_refused(home: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    recipe = build_recipe(catalog, air_time)
    with writing() as connection:
        keep_recipe(connection, recipe)
        text = connection.execute(sa.select(recipes.c.document)).scalar_one()
        connection.execute(recipes.update().values(document=text.replace(f'"{FEATURES}":"', f'"{FEATURES}":" ')))
    with pytest.raises(DataError, match=f"air_time: recipe {recipe.digest[:12]} was changed in the database"):
        find_recipe(recipe.digest)
