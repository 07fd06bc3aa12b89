"""Of two deliveries of a day the one that was read later counts, whoever publishes last: on both databases."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.data import ingestion
from include.evergreen.data.conditions import Conditions
from include.evergreen.data.ingestion import Fetched, Validated, fetch, publish, validate_partition
from include.evergreen.data.partitions import OlderDeliveryError, PartitionVersion, current_partition, known_partitions, read_partition
from include.evergreen.data.release import release
from include.evergreen.data.validation import latest_validation
from include.evergreen.foundation.grain import Partition
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import dataset_totals, ledger, partition_versions
from tests.unit.flights import change_landing, january, landing_file, rows_of

DAY = january(5)
WINDY = Conditions({"wind_speed": 1048.0})

pytestmark = pytest.mark.usefixtures("landed", "either_database")


@pytest.fixture
def weather(catalog: Catalog) -> DatasetConfig:
    return catalog.dataset("weather")


def test_publishing_an_older_run_again_after_a_corrected_one_changes_nothing_and_names_what_stays(weather: DatasetConfig) -> None:
    older = _validated(weather)
    first, _ = publish(weather, DAY, older, "live")
    _deliver(temp="33")
    second, _ = ingestion.ingest(weather, DAY, "live")
    before = _everything()
    for _ in range(2):
        with pytest.raises(match="weather 2013-01-05: .* is older than that of version 2, .* stays current"):
            publish(weather, DAY, older, "live")
    assert _everything() == before
    assert current_partition("weather", DAY) == second
    assert known_partitions("weather", as_of=first.knowledge_time, first=DAY, last=DAY) == [second]  # weather's corrections: rule


def test_of_two_ingestions_side_by_side_the_one_that_read_later_is_current_in_either_order(weather: DatasetConfig) -> None:
    older, newer = _two_deliveries(weather)
    published, _ = publish(weather, DAY, newer, "live")
    with pytest.raises(OlderDeliveryError):
        publish(weather, DAY, older, "live")
    assert _current().digest == published.digest == newer["digest"]

    other = january(6)
    older, newer = _two_deliveries(weather, other)
    assert publish(weather, other, older, "live")[0].version == 1
    assert publish(weather, other, newer, "live")[0].version == 2
    assert current_partition("weather", other).digest == newer["digest"]  # type: ignore[union-attr]


def test_a_backfill_that_read_earlier_does_not_replace_a_live_correction(catalog: Catalog) -> None:
    outcomes = catalog.dataset("outcomes")
    older, newer = _two_deliveries(outcomes, arr_delay="99")
    corrected, _ = publish(outcomes, DAY, newer, "live")
    with pytest.raises(OlderDeliveryError):
        publish(outcomes, DAY, older, "backfill")
    assert current_partition("outcomes", DAY) == corrected


def test_a_delivery_that_said_again_what_is_current_counts_as_the_newest(weather: DatasetConfig) -> None:
    """Between two deliveries of the same rows a wrong one was read, and is published last."""
    first, _ = ingestion.ingest(weather, DAY, "live")
    good = landing_file("weather", DAY).read_text()
    _deliver(temp="33")
    wrong = _validated(weather)
    landing_file("weather", DAY).write_text(good)
    assert ingestion.ingest(weather, DAY, "live") == (first, False)
    with pytest.raises(OlderDeliveryError):
        publish(weather, DAY, wrong, "live")
    assert current_partition("weather", DAY) == first


def test_what_was_published_is_published_again_after_a_kill_without_a_word(weather: DatasetConfig) -> None:
    validated = _validated(weather)
    first, is_new = publish(weather, DAY, validated, "live")
    assert is_new
    assert publish(weather, DAY, validated, "live") == (first, False)


def test_an_older_delivery_of_what_is_current_does_not_make_it_older(weather: DatasetConfig) -> None:
    older, newer = _validated(weather), _validated(weather)
    publish(weather, DAY, newer, "live")
    current = _current()
    assert publish(weather, DAY, older, "live") == (current, False)
    assert _current().delivered_at == current.delivered_at


def test_a_version_is_the_same_however_it_was_delivered_and_entered(weather: DatasetConfig) -> None:
    version, _ = ingestion.ingest(weather, DAY, "live")
    assert dataclasses.replace(version, knowledge={"first": "arrival"}, delivered_at=None, entry=99) == version
    assert dataclasses.replace(version, digest="another") != version


def test_the_validation_of_an_older_delivery_does_not_hide_that_of_a_newer_one(weather: DatasetConfig) -> None:
    older = fetch(weather, DAY)
    _deliver(temp="500")
    _validated(weather)
    assert _verdict() == "quarantined"
    validate_partition(weather, DAY, older, "live")
    assert _verdict() == "quarantined"
    _deliver(temp="33")
    _validated(weather)
    assert _verdict() == "passed"


def test_rows_that_were_released_since_a_delivery_was_validated_stay_released(weather: DatasetConfig) -> None:
    """Clearing `publish` of the same run, or of one that has newer rows, does not take a person's release back."""
    _deliver(wind_speed="1048")
    validated = _validated(weather)
    publish(weather, DAY, validated, "live")
    _deliver(temp="33", row=9)
    newer = _validated(weather)
    released = release(weather, DAY, WINDY, actor="a person", reason="measured twice")

    assert publish(weather, DAY, validated, "live") == (released.version, False)
    with_both, is_new = publish(weather, DAY, newer, "live")
    assert (with_both.version, is_new, with_both.quarantined) == (3, True, 0)
    rows = read_partition(with_both)
    assert rows["wind_speed"].max() == 1048
    assert (rows["temp"] == 33).any()
    assert [row.kind for row in rows_of(ledger)] == ["publication", "quarantine-release", "publication", "publication"]


def test_a_delivery_that_is_older_than_the_released_one_does_not_replace_it(weather: DatasetConfig) -> None:
    _deliver(wind_speed="1048")
    older = _validated(weather)
    _deliver(temp="33", row=9)
    ingestion.ingest(weather, DAY, "live")
    released = release(weather, DAY, WINDY, actor="a person", reason="measured twice")
    with pytest.raises(match="Version 2 stays current"):
        publish(weather, DAY, older, "live")
    assert current_partition("weather", DAY) == released.version


def test_a_run_that_was_fetched_by_an_earlier_release_is_published_by_when_its_rows_arrived(weather: DatasetConfig) -> None:
    fetched: Fetched = {name: value for name, value in fetch(weather, DAY).items() if name != "began"}  # type: ignore[assignment]
    validated = validate_partition(weather, DAY, fetched, "live")
    earlier: Validated = {  # type: ignore[assignment]
        name: value for name, value in validated.items() if name not in {"began", "undeclared", "released"}
    }
    first, _ = publish(weather, DAY, earlier, "live")
    with writing() as connection:
        connection.execute(partition_versions.update().values(delivered_at=None))
    with pytest.raises(OlderDeliveryError):
        publish(weather, DAY, {**validated, "digest": "another"}, "live")
    assert current_partition("weather", DAY) == first


# --- deliveries -------------------------------------------------------------------------------------------------------


def _validated(dataset: DatasetConfig, day: Partition = DAY) -> Validated:
    return validate_partition(dataset, day, fetch(dataset, day), "live")


def _two_deliveries(dataset: DatasetConfig, day: Partition = DAY, **cells: str) -> tuple[Validated, Validated]:
    older = fetch(dataset, day)
    change_landing(dataset.name, day, lambda rows: rows.assign(**(cells or {"temp": "33"})))
    newer = fetch(dataset, day)
    validated = validate_partition(dataset, day, newer, "live")
    return validate_partition(dataset, day, older, "live"), validated


def _deliver(*, row: int = 3, **cells: str) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        for name, value in cells.items():
            rows.loc[row, name] = value
        return rows

    change_landing("weather", DAY, change)


def _verdict() -> str:
    validation = latest_validation("weather", DAY)
    assert validation is not None
    return str(validation["verdict"])


def _current() -> PartitionVersion:
    version = current_partition("weather", DAY)
    assert version is not None
    return version


def _everything() -> list[object]:
    return [rows_of(table) for table in (partition_versions, dataset_totals)]
