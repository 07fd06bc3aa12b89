"""Two hundred features in a few lines: of a dataset's columns, or numbered."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.config.check import check_catalog
from include.evergreen.config.models import Feature
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.training.recipes import build_recipe
from tests.unit.config.conftest import Change

SENSORS = "".join(f"  - {{name: sensor_{n}, type: number, description: Sensor {n} in volts}}\n" for n in range(1, 201))
MORE = (
    SENSORS
    + "  - {name: place, type: string, personal: true, description: Where}\n"
    + "  - {name: seen, type: timestamp, timezone: UTC, description: When}\n"
)
ONE = "  - {name: shop, kind: categorical, description: Which shop}\n"


@pytest.fixture
def declare(include: Path, change_model: Change, change_dataset: Change) -> Change:
    """Give the model groups in the place of its features, and its dataset two hundred and two more columns."""
    change_dataset("keys: [shop]", f"{MORE}keys: [shop]")

    def declared(*groups: str) -> Path:
        path = change_model(ONE, "".join(f"  - {group}\n" for group in groups))
        path.write_text(path.read_text().replace("features:", "features_from:").replace("drift.shop", "drift.share"))
        return path

    return declared


def test_the_columns_of_a_dataset_are_features_of_their_kind_and_description(include: Path, declare: Change) -> None:
    declare("{columns_of: sales, without: [seen]}")
    catalog = Catalog(include)
    assert check_catalog(catalog) == []
    model = catalog.model("revenue")
    assert len(model.features) == 201, "neither the key nor the target"
    assert model.features[0] == Feature(name="sensor_1", kind="numeric", description="Sensor 1 in volts")
    assert model.features[-1] == Feature(name="place", kind="categorical", description="Where", personal=True)
    written = build_recipe(catalog, model).document["declared"]
    assert ("features_from" in written, len(written["features"])) == (False, 201), "a version keeps each of them"


def test_another_column_of_the_dataset_is_another_feature_at_once(include: Path, declare: Change, change_dataset: Change) -> None:
    declare("{columns_of: sales, matching: [sensor_*]}")
    assert len(Catalog(include).model("revenue").features) == 200
    change_dataset("keys: [shop]", "  - {name: sensor_x, type: number, description: One more}\nkeys: [shop]")
    assert Catalog(include).model("revenue").features[-1].name == "sensor_x"


def test_numbered_features_have_their_number_in_name_and_description(include: Path, declare: Change) -> None:
    declare(
        '{numbered: "lag_{1..168}h", kind: numeric, description: "Load {} hours before"}',
        '{numbered: "d{08..10}", kind: categorical, description: Day}',
    )
    features = Catalog(include).model("revenue").features
    assert features[23] == Feature(name="lag_24h", kind="numeric", description="Load 24 hours before")
    assert [feature.name for feature in features[-3:]] == ["d08", "d09", "d10"]


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("{columns_of: sale}", ".columns_of: 'sale' is not among the inputs; did you mean 'sales'? allowed: sales"),
        ("{columns_of: sales, matching: [sensors_*]}", ".matching: 'sensors_*' matches no column of sales; it has: shop, amount, sensor_1"),
        ("{columns_of: sales, without: [sean]}", ".without: 'sean' matches no column of sales"),
        ("{columns_of: sales}", ".matching: seen is a timestamp, and no feature as it stands; leave it out by without: [seen]"),
        ("{columns_of: sales, matching: [shop, amount]}", ".matching: leaves no column of sales but its keys and the target"),
        ('{numbered: "lag_{3..1}", kind: numeric, description: x}', ".numbered: {3..1} must rise"),
        ('{numbered: "lag_{1..3}", kind: numeric}', ".description: is missing; numbered features have no column to take it from"),
        ('{numbered: "lag_{1..3}", kind: numeric, description: x, without: [a]}', ".without: is for columns_of; remove it"),
        ('{numbered: "lag_1", kind: numeric, description: x}', ".numbered: "),
        ("{kind: numeric}", ": give exactly one of columns_of, a dataset, and numbered"),
    ],
)
def test_a_group_that_gives_no_features_is_refused_with_its_line(include: Path, declare: Change, group: str, words: str) -> None:
    path = declare(group)
    with pytest.raises(ConfigError) as refused:
        Catalog(include).model("revenue")
    assert str(refused.value).startswith(f"{path}:10: features_from[0]{words}"), refused.value
    assert check_catalog(Catalog(include)) == [str(refused.value)]


def test_what_is_wrong_with_one_of_a_groups_features_is_laid_at_the_groups(include: Path, declare: Change) -> None:
    path = declare("{columns_of: sales, matching: [place], personal: false}")
    (line,) = check_catalog(Catalog(include))
    assert line.startswith(f"{path}:9: features[0].name: 'place' is a personal column of sales; set personal: true")


def test_a_broken_dataset_of_a_group_is_told_once(include: Path, declare: Change, change_dataset: Change) -> None:
    declare("{columns_of: sales, matching: [sensor_*]}")
    path = change_dataset("owner: shop\n", "")
    (line,) = check_catalog(Catalog(include))
    assert line.startswith(f"{path}:1: owner: missing required key 'owner'")


def test_a_feature_of_two_groups_is_named(include: Path, declare: Change) -> None:
    path = declare("{columns_of: sales, matching: [sensor_1*]}", '{numbered: "sensor_{10..12}", kind: numeric, description: x}')
    with pytest.raises(ConfigError, match=f"{path}:11: features_from\\[1\\]: declares sensor_10, sensor_11, sensor_12 once more"):
        Catalog(include).model("revenue")


def test_a_model_without_any_feature_is_refused(include: Path, change_model: Change) -> None:
    change_model("features:\n" + ONE, "")
    with pytest.raises(ConfigError, match="features: is empty; declare at least one, here or by features_from"):
        Catalog(include).model("revenue")
