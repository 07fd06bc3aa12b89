"""Feature lineage is found by experiment, on synthetic rows."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog
from include.evergreen.features.lineage import FeatureOrigin, feature_list, lineage
from include.evergreen.foundation.errors import ConfigError

module = importlib.import_module("include.evergreen.features.lineage")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """What ships, in a folder where a test may rewrite it."""
    for kind in ("datasets", "models"):
        shutil.copytree(PROJECT_ROOT / "include" / kind, tmp_path / "include" / kind)
    return Catalog(tmp_path / "include")


def test_the_shipped_features_come_from_these_columns_and_days_and_no_others(catalog: Catalog) -> None:
    found = lineage(catalog, catalog.model("flight_delay"))
    own_origin = FeatureOrigin("schedules", ("origin",), 0, 0)
    assert found == {
        "carrier": (FeatureOrigin("schedules", ("carrier",), 0, 0),),
        "origin": (own_origin,),
        "departure_hour": (FeatureOrigin("schedules", ("sched_dep_time",), 0, 0),),
        "distance": (FeatureOrigin("schedules", ("distance",), 0, 0),),
        "origin_late_rate_1d": (own_origin, FeatureOrigin("outcomes", ("origin", "arr_delay"), 1, 1)),
        "carrier_late_rate_7d": (FeatureOrigin("schedules", ("carrier",), 0, 0), FeatureOrigin("outcomes", ("carrier", "arr_delay"), 1, 7)),
        "cancelled_rate_1d": (own_origin, FeatureOrigin("outcomes", ("origin", "dep_delay"), 1, 1)),
        "wind_speed_1d": (own_origin, FeatureOrigin("weather", ("origin", "wind_speed"), 1, 1)),
        "precip_1d": (own_origin, FeatureOrigin("weather", ("origin", "precip"), 1, 1)),
        "visib_1d": (own_origin, FeatureOrigin("weather", ("origin", "visib"), 1, 1)),
    }


def test_figures_over_windows_that_are_joined_come_from_both_with_their_keys(catalog: Catalog) -> None:
    keys = ("carrier", "flight", "origin")
    assert lineage(catalog, catalog.model("air_time"))["minutes_per_mile_7d"] == (
        FeatureOrigin("schedules", (*keys, "distance"), 1, 7),  # the window has the day's own schedule too, which makes no difference
        FeatureOrigin("outcomes", (*keys, "air_time"), 1, 7),
    )


def test_a_column_that_is_read_and_does_not_matter_is_no_origin(catalog: Catalog) -> None:
    _rewrite(catalog, "rows['distance']", "rows['distance'] + 0 * len(read.window('weather', span='3 days', columns=['temp', 'humid']))")
    assert lineage(catalog, catalog.model("air_time"))["distance"] == (FeatureOrigin("schedules", ("distance",), 0, 0),)


def test_a_feature_that_comes_from_nothing_has_no_origin(catalog: Catalog) -> None:
    _rewrite(catalog, "rows['distance']", "1.0")
    assert lineage(catalog, catalog.model("air_time"))["distance"] == ()


def test_rows_that_say_themselves_when_they_were_known_have_origins(catalog: Catalog) -> None:
    """Other knowledge times would make other rows; a feature may still be computed from them."""
    path = catalog.dataset_path("schedules")
    text = path.read_text().replace("corrections: rule", "column: published").replace(
        "keys: [carrier", "  - {name: published, type: timestamp, description: When}\nkeys: [carrier"
    )  # fmt: skip
    path.write_text(text)
    _rewrite(catalog, "rows['distance']", "rows['distance'] + rows['published'].dt.second")
    assert lineage(catalog, catalog.model("air_time"))["distance"] == (FeatureOrigin("schedules", ("distance", "published"), 0, 0),)


WIDE = 40


def test_of_many_columns_halves_are_tried_and_the_same_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PROJECT_ROOT / "tests" / "shapes" / "many_features", tmp_path / "include")
    catalog = Catalog(tmp_path / "include")
    dataset = catalog.dataset_path("machines")
    keep = [line for line in dataset.read_text().splitlines(keepends=True) if "sensor_" not in line or int(line[18:21]) <= WIDE]
    dataset.write_text("".join(keep))
    code = (
        "import numpy as np\n\n\ndef features(read):\n    rows = read.rows()\n    sensors = rows.filter(like='sensor_')\n"
        "    given = sensors.copy()\n    given['sensor_001'] = 1.0\n    given['sensor_002'] = sensors.mean(axis=1)\n"
        "    given['sensor_003'] = sensors['sensor_005'] + sensors['sensor_020']\n"
        "    given['sensor_004'] = np.where(sensors['sensor_011'] > sensors['sensor_012'], sensors['sensor_013'], rows['machine'])\n"
        "    return given\n"
    )
    catalog.features_path("failure").write_text(code)
    model = catalog.model("failure")
    found = lineage(catalog, model)
    columns = {name: {column for origin in origins for column in origin.columns} for name, origins in found.items()}
    assert columns["sensor_001"] == set()
    assert columns["sensor_002"] == {f"sensor_{number:03}" for number in range(1, WIDE + 1)}
    assert columns["sensor_003"] == {"sensor_005", "sensor_020"}
    assert columns["sensor_004"] == {"sensor_011", "sensor_012", "sensor_013", "machine"}
    assert columns["sensor_005"] == {"sensor_005"}
    monkeypatch.setattr(module, "MOST_TRIED_ALONE", WIDE + 1)
    assert lineage(catalog, model) == found


def test_of_two_hundred_columns_with_a_feature_each_few_trials_find_all(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(PROJECT_ROOT / "tests" / "shapes" / "many_features")
    trials, changed_by = [], module._Trial.changed_by
    monkeypatch.setattr(module._Trial, "changed_by", lambda *given, **more: trials.append(given) or changed_by(*given, **more))
    found = lineage(catalog, catalog.model("failure"))
    assert found == {f"sensor_{number:03}": (FeatureOrigin("machines", (f"sensor_{number:03}",), 0, 0),) for number in range(1, 201)}
    assert len(trials) < 25


def test_of_the_partitions_of_a_window_its_ends_alone_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(PROJECT_ROOT / "tests" / "shapes" / "half_hours")
    tried, changed_by = [], module._Trial.changed_by

    def noted(trial: module._Trial, dataset: str, columns: set[str], days: set[str] | None, among: set[str] | None = None) -> set[str]:
        if days is not None and dataset == "loads":
            tried.extend(days)
        return changed_by(trial, dataset, columns, days, among)

    monkeypatch.setattr(module._Trial, "changed_by", noted)
    (origin,) = [each for each in lineage(catalog, catalog.model("next_load"))["usual_load"] if each.dataset == "loads"]
    assert origin.oldest_day - origin.newest_day == 11, "twelve half-hours"
    assert len(tried) == 2


def test_origins_in_words() -> None:
    assert FeatureOrigin("weather", ("temp",), 0, 0).description == "weather.temp, day 0"
    assert FeatureOrigin("weather", ("temp", "humid"), 1, 1).description == "weather.{temp, humid}, day -1"
    assert FeatureOrigin("weather", ("temp",), 2, 8).description == "weather.temp, days -8 to -2"


def test_the_list_says_who_else_has_a_feature_and_whether_it_is_the_same(catalog: Catalog) -> None:
    _rewrite(catalog, "rows['sched_dep_time'] // 100", "rows['sched_arr_time'] // 100")
    listed = feature_list(catalog, "air_time", lambda *_: None)
    assert list(listed["models"]) == ["air_time"]
    also_in = {each["name"]: each["also_in"] for each in listed["models"]["air_time"]}
    assert also_in["carrier"] == [{"model": "flight_delay", "same": True}]
    assert also_in["departure_hour"] == [{"model": "flight_delay", "same": False}]
    assert also_in["distance_squared"] == []


def test_the_list_says_of_each_column_which_features_come_from_it(catalog: Catalog) -> None:
    columns = feature_list(catalog, None, lambda *_: None)["columns"]
    assert columns["outcomes.arr_delay"] == ["flight_delay.origin_late_rate_1d", "flight_delay.carrier_late_rate_7d"]
    assert columns["weather.wind_speed"] == ["air_time.wind_speed_1d", "flight_delay.wind_speed_1d"]
    assert "weather.temp" not in columns


def test_a_model_that_is_wrong_is_named_and_fails_no_other(catalog: Catalog) -> None:
    _rewrite(catalog, "rows['distance']", "rows['far']")
    listed = feature_list(catalog, None, lambda *_: None)
    assert list(listed["models"]) == ["flight_delay"]
    assert "features.py: features() failed" in listed["problems"]["air_time"]
    assert feature_list(catalog, "flight_delay", lambda *_: None)["problems"].keys() == {"air_time"}
    with pytest.raises(ConfigError, match="features.. failed"):
        feature_list(catalog, "air_time", lambda *_: None)


def _rewrite(catalog: Catalog, old: str, new: str) -> None:
    path = catalog.features_path("air_time")
    text = path.read_text().replace('"', "'")
    assert old in text
    path.write_text(text.replace(f": {old},", f": {new},"))
