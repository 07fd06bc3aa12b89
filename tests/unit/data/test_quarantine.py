from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable

import pandas as pd
import pytest

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Knowledge, Quarantine
from include.evergreen.data import ingestion
from include.evergreen.data.conditions import Conditions, parse_conditions
from include.evergreen.data.partitions import PartitionVersion, current_partition, read_partition
from include.evergreen.data.quarantine import REASON_COLUMN, masked, quarantined_rows, waiting
from include.evergreen.data.release import Released, release
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import canonical_json
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.grain import Partition
from include.evergreen.state import storage
from include.evergreen.state.database.tables import ledger, partition_versions, quarantine_releases
from tests.unit.flights import BAD_WIND, change_landing, january, landing_file, reversed_rows, rows_of
from tests.unit.warm import run_code

pytestmark = pytest.mark.usefixtures("landed")
DAY = january(5)
WINDY = Conditions({"wind_speed": 1048.0})


@pytest.fixture
def weather(catalog) -> DatasetConfig:
    return catalog.dataset("weather")


def test_a_released_row_is_accepted_and_leaves_the_quarantine(weather: DatasetConfig) -> None:
    _deliver({3: {"wind_speed": "1048"}, 9: {"temp": "500"}})
    before = _ingest(weather)
    released = _release(weather, WINDY)
    assert (released.rows, released.remaining) == (1, 1)
    assert (before.version, before.rows, before.quarantined) == (1, 70, 2)
    after = released.version
    assert (after.version, after.rows, after.quarantined, after.source_rows) == (2, 71, 1, 72)
    assert read_partition(after)["wind_speed"].max() == 1048
    assert storage.read_frame(after.quarantine_path)["temp"].tolist() == [500]


@pytest.mark.parametrize("chosen", [WINDY, None], ids=["some", "all"])
@pytest.mark.parametrize("keys", [("origin", "time_hour"), ()], ids=["by keys", "in the order of the source"])
def test_ingesting_again_after_a_release_makes_no_new_version(
    weather: DatasetConfig, keys: tuple[str, ...], chosen: Conditions | None
) -> None:
    dataset = weather.model_copy(update={"keys": keys})
    _deliver({3: {"wind_speed": "1048"}, 9: {"temp": "500"}})
    _ingest(dataset)
    after = _release(dataset, chosen).version
    assert ingestion.ingest(dataset, DAY, "live") == (after, False)
    assert ingestion.ingest(dataset, DAY, "backfill") == (after, False)


def test_a_release_survives_other_changes_of_the_partition_and_rows_in_another_order(weather: DatasetConfig) -> None:
    _deliver({3: {"wind_speed": "1048"}})
    _ingest(weather)
    after = _release(weather, None).version
    change_landing("weather", DAY, reversed_rows)
    assert _ingest(weather) == after
    _deliver({20: {"temp": "33"}})
    corrected = _ingest(weather)
    assert (corrected.version, corrected.quarantined) == (3, 0)


def test_a_released_row_that_changes_at_the_source_is_judged_anew(weather: DatasetConfig) -> None:
    _deliver({3: {"wind_speed": "1048"}})
    _ingest(weather)
    _release(weather, None)
    _deliver({3: {"wind_speed": "1049"}})
    assert _ingest(weather).quarantined == 1


def test_a_release_is_for_its_partition_alone(weather: DatasetConfig) -> None:
    _deliver({3: {"wind_speed": "1048"}})
    _ingest(weather)
    _release(weather, None)
    assert _ingest(weather, BAD_WIND).quarantined == 1


def test_a_partition_that_is_mended_at_the_source_has_an_empty_quarantine(weather: DatasetConfig) -> None:
    sound = landing_file("weather", DAY).read_text()
    _deliver({3: {"wind_speed": "1048"}})
    assert _ingest(weather).quarantined == 1
    landing_file("weather", DAY).write_text(sound)
    mended = _ingest(weather)
    assert (mended.version, mended.rows, mended.quarantined) == (2, 72, 0)
    assert waiting("weather") == []


def test_rows_that_share_their_key_are_never_released(weather: DatasetConfig) -> None:
    change_landing("weather", DAY, lambda rows: pd.concat([rows, rows.iloc[[3]].assign(temp="33")]))
    before = _ingest(weather)
    with pytest.raises(DataError, match="2 of the 2 chosen rows .* share it with another row.*Nothing was released"):
        _release(weather, None)
    assert current_partition("weather", DAY) == before
    assert rows_of(quarantine_releases) == []


def test_a_row_without_its_key_is_never_released(weather: DatasetConfig) -> None:
    _deliver({3: {"origin": ""}})
    _ingest(weather)
    with pytest.raises(DataError, match="1 of the 1 chosen rows lack their key"):
        _release(weather, None)


def test_a_released_row_whose_key_comes_twice_later_is_quarantined_again(weather: DatasetConfig) -> None:
    _deliver({3: {"wind_speed": "1048"}})
    _ingest(weather)
    _release(weather, None)
    change_landing("weather", DAY, lambda rows: pd.concat([rows, rows.iloc[[3]].assign(wind_speed="7")]))
    assert _ingest(weather).quarantined == 2


def test_released_rows_do_not_count_against_the_share_that_stops_a_partition(weather: DatasetConfig) -> None:
    _deliver({row: {"wind_speed": "1048"} for row in range(3)})
    _ingest(weather)
    after = _release(weather, None).version
    narrow = weather.model_copy(update={"quarantine": Quarantine(max_share=0.01)})
    assert ingestion.ingest(narrow, DAY, "live") == (after, False)


def test_the_ledger_says_who_released_what_and_why_without_a_value(weather: DatasetConfig) -> None:
    _deliver({3: {"wind_speed": "1048"}})
    _ingest(weather)
    _release(weather, None)
    [entry] = [row for row in rows_of(ledger) if row.kind == "quarantine-release"]
    [row] = rows_of(quarantine_releases)
    assert (
        json.loads(entry.body).items()
        >= {
            "dataset": "weather",
            "partition": "2013-01-05",
            "version": 2,
            "released": 1,
            "remaining": 0,
            "reasons": {"expect_column_values_to_be_between(wind_speed)": 1},
            "actor": "a person",
            "reason": "it was a storm",
        }.items()
    )
    assert (row.actor, row.reason) == ("a person", "it was a storm")
    [digest] = row.rows["digests"]
    assert digest not in entry.body
    assert hashlib.sha256(canonical_json({"digests": [digest]}).encode()).hexdigest() not in entry.body, "it has a salt"


def test_what_a_release_adds_is_known_when_it_is_released_unless_corrections_follow_the_rule(weather: DatasetConfig) -> None:
    _deliver({3: {"wind_speed": "1048"}, 9: {"temp": "500"}})
    first = _ingest(weather)
    assert _release(weather, WINDY).version.knowledge_time == first.knowledge_time  # weather's corrections go by the rule
    arrival = weather.model_copy(update={"knowledge": Knowledge(hours_after_partition=24)})
    assert clock.now() - _release(arrival, None).version.knowledge_time < dt.timedelta(minutes=5)


def test_a_release_of_nothing_says_so(weather: DatasetConfig) -> None:
    with pytest.raises(DataError, match="weather 2013-01-05 was never published.*Ingest it first"):
        _release(weather, None)
    _deliver({3: {"wind_speed": "1048"}})
    _ingest(weather)
    with pytest.raises(DataError, match="none of the 1 quarantined rows of version 1 meets all conditions"):
        _release(weather, Conditions({"wind_speed": 3.0}))
    for reason, length in ((" ok ", 2), ("x" * 501, 501)):
        with pytest.raises(ConfigError, match=f"weather 2013-01-05: the reason has {length} characters; give 5 to 500"):
            release(weather, DAY, None, actor="a person", reason=reason)
    release(weather, DAY, None, actor="a person", reason="  it was a storm\n")
    assert {row.reason for row in rows_of(quarantine_releases)} == {"it was a storm"}
    with pytest.raises(DataError, match="no row of version 2, the current one, is quarantined"):
        _release(weather, None)


def test_a_partition_published_in_the_meantime_is_not_overwritten(weather: DatasetConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    _deliver({3: {"wind_speed": "1048"}})
    _ingest(weather)
    keep = ingestion.keep_quarantined

    def ingested_meanwhile(*args: object) -> dict[str, object]:
        monkeypatch.undo()
        _deliver({3: {"wind_speed": "1049"}})
        _ingest(weather)
        return keep(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(ingestion, "keep_quarantined", ingested_meanwhile)
    with pytest.raises(TransientError, match="published anew in the meantime"):
        _release(weather, None)
    assert [row.version for row in rows_of(partition_versions)] == [1, 2]
    assert rows_of(quarantine_releases) == []


def test_waiting_rows_are_counted_by_reason_since_they_began_to_wait(weather: DatasetConfig) -> None:
    _deliver({3: {"wind_speed": "1048", "temp": "500"}, 4: {"temp": "500"}})
    first = _ingest(weather)
    _deliver({40: {"temp": "501"}})
    _ingest(weather)
    [found] = waiting("weather")
    assert (found.partition, found.version, found.rows, found.source_rows, found.since) == (DAY, 2, 3, 72, first.recorded_at)
    assert found.reasons == {"expect_column_values_to_be_between(temp)": 3, "expect_column_values_to_be_between(wind_speed)": 1}


def test_personal_columns_are_masked_where_people_look(weather: DatasetConfig) -> None:
    personal = tuple(each.model_copy(update={"personal": each.name in {"temp", "humid"}}) for each in weather.columns)
    dataset = weather.model_copy(update={"columns": personal})
    _deliver({3: {"wind_speed": "1048", "humid": "", "temp": "44"}})
    _ingest(dataset)
    [row] = masked(dataset, quarantined_rows("weather", DAY)[1])
    assert (row["temp"], row["humid"], row["wind_speed"]) == ("(personal: not shown)", None, 1048.0)
    assert row[REASON_COLUMN] == "expect_column_values_to_be_between(wind_speed)"


KILLED_AT_A_LINE = """
import datetime as dt
from include.evergreen.data import release
from include.evergreen.config import Catalog
from include.evergreen.data.partitions import current_partition
from include.evergreen.data.quarantine import waiting
from tests.unit.killing import Killing
weather, day = Catalog().dataset("weather"), '2013-01-05'
killing = Killing(
    lambda: release.release(weather, day, None, actor="a person", reason="it was a storm"),
    ("data/release.py", "data/ingestion.py", "data/partitions/store.py", "data/partitions/files.py", "state/storage.py", "state/ledger/"),
)
expected = current_partition("weather", day)
done = 0
for point in killing.points:
    killing.die(point)
    if waiting("weather"):
        assert current_partition("weather", day).version == 1, point
        killing.live()
    else:
        done += 1
    found = current_partition("weather", day)
    assert (found.digest, found.quarantine_digest, found.version) == (expected.digest, expected.quarantine_digest, 2), point
assert 0 < done < len(killing.points)
print(len(killing.points), len(killing.lines))
"""


def test_a_release_that_is_killed_at_any_line_is_done_wholly_or_not_at_all(weather: DatasetConfig) -> None:
    _deliver({3: {"wind_speed": "1048"}})
    _ingest(weather)
    points, lines = map(int, run_code(KILLED_AT_A_LINE).split())
    assert points >= 8
    assert lines > 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wind_speed", "has no '='. Write column=value"),
        ("windspeed=3", "has no column 'windspeed'. Its columns: origin, time_hour"),
        ("wind_speed=strong", "wind_speed is a number, and 'strong' is none. Write a decimal number such as"),
        ("wind_speed=nan", "wind_speed is a number, and 'nan' is none"),
        ("time_hour=2013-01-05T05:00", "time_hour is a timestamp"),
    ],
)
def test_a_condition_that_cannot_be_met_says_what_can(weather: DatasetConfig, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_conditions(weather, [text])
    assert words in str(caught.value)


def test_conditions_are_typed_as_the_columns_are(weather: DatasetConfig) -> None:
    parsed = parse_conditions(weather, ["time_hour=2013-01-05T05:00+01:00", "wind_speed=3", "origin=EWR", "temp="])
    assert parsed.values == {"time_hour": dt.datetime(2013, 1, 5, 4, tzinfo=dt.UTC), "wind_speed": 3.0, "origin": "EWR", "temp": None}


def _deliver(changes: dict[int, dict[str, str]]) -> None:
    change_landing("weather", DAY, _with(changes))


def _with(changes: dict[int, dict[str, str]]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        for row, cells in changes.items():
            for column, value in cells.items():
                rows.loc[row, column] = value
        return rows

    return change


def _ingest(dataset: DatasetConfig, partition: Partition = DAY) -> PartitionVersion:
    return ingestion.ingest(dataset, partition, "live")[0]


def _release(dataset: DatasetConfig, chosen: Conditions | None) -> Released:
    return release(dataset, DAY, chosen, actor="a person", reason="it was a storm")
