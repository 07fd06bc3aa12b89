from __future__ import annotations

import json

from tests.unit.cli.conftest import Ask


def test_the_table_shows_each_feature_with_its_description_and_where_it_comes_from(ask: Ask) -> None:
    answer = ask("features", "flight_delay")
    assert answer.code == 0
    line = next(line for line in answer.out.splitlines() if "carrier_late_rate_7d" in line)
    assert "numeric" in line and "Share of the airline's arrivals" in line
    assert "outcomes.{carrier, arr_delay}, days -7 to -1" in answer.out
    shared = next(line for line in answer.out.splitlines() if line.split()[:1] == ["distance"])
    assert shared.split()[-1] == "air_time"


def test_the_json_has_all_models_and_the_features_of_each_column(ask: Ask) -> None:
    answer = ask("features", "--json")
    listed = json.loads(answer.out)
    assert answer.code == 0
    assert list(listed) == ["models", "columns", "problems"]
    assert [each["name"] for each in listed["models"]["air_time"]][:2] == ["distance", "distance_squared"]
    assert listed["columns"]["schedules.distance"] == [
        "air_time.distance",
        "air_time.distance_squared",
        "air_time.minutes_per_mile_7d",
        "flight_delay.distance",
    ]


def test_it_needs_neither_data_nor_a_database(ask: Ask) -> None:
    """The home of this test is empty: nothing was prepared."""
    assert ask("features", "air_time").code == 0


def test_an_unknown_model_is_named_with_a_guess(ask: Ask) -> None:
    answer = ask("features", "air_tim")
    assert (answer.code, answer.out) == (2, "")
    assert "unknown model 'air_tim'; did you mean 'air_time'?" in answer.err
