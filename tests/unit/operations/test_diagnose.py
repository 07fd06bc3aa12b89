from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.ingestion import ingest
from include.evergreen.data.partitions import current_partition
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.operations.diagnose import why
from include.evergreen.operations.rescoring import rescore
from include.evergreen.state.stage_status import find_stage
from tests.unit.lifecycle import AS_OF, MODEL, day, include_with, landing, settle_cycled, shorten

NEXT = DAILY.shift(AS_OF, 1)
RESCORE_NEXT = "`evergreen rescore flight_delay --from 2013-01-21 --to 2013-01-21`"


@pytest.fixture(autouse=True)
def _cycled() -> None:
    settle_cycled()


def deliver(dataset: str, partition: Partition) -> None:
    ingest(Catalog().dataset(dataset), partition, "live")


def test_a_day_that_is_done_says_what_was_done(catalog: Catalog, flight_delay: ModelConfig) -> None:
    schedules, weather, outcomes, labels, score, monitor, following = why(catalog, flight_delay, AS_OF)
    assert schedules.startswith("schedules/2013-01-20 is there since ")
    assert schedules.endswith("version 1, 120 rows, none in quarantine.")
    assert weather.startswith("weather/2013-01-19 is there") and outcomes.startswith("outcomes/2013-01-19 is there")
    assert "it could be known since 2013-01-21 05:00 UTC" in labels
    assert score.startswith("The score stage is done since ") and "120 rows scored by version 1" in score
    assert monitor.startswith("The monitor stage is done since ") and "drift.share" in monitor
    assert following.startswith("Next: ingest outcomes/2013-01-20") and "All else is done" in following


def test_truth_that_came_after_monitoring_asks_for_monitoring_again(catalog: Catalog, flight_delay: ModelConfig) -> None:
    deliver("outcomes", AS_OF)
    assert "outcomes/2013-01-20 came after monitoring, so monitor again" in why(catalog, flight_delay, AS_OF)[-1]
    rescore(catalog, flight_delay, AS_OF, AS_OF)
    assert why(catalog, flight_delay, AS_OF)[-1] == "Next: nothing; all is done."


def test_an_input_that_changed_after_scoring_asks_for_scoring_again(catalog: Catalog, flight_delay: ModelConfig) -> None:
    file = landing("schedules", AS_OF)
    file.write_text(file.read_text().replace(",ORD,600,", ",ORD,615,"))
    deliver("schedules", AS_OF)
    assert "schedules/2013-01-20 changed after scoring, so score and monitor again" in why(catalog, flight_delay, AS_OF)[-1]


def test_a_day_that_waits_says_for_what_and_since_when(catalog: Catalog, flight_delay: ModelConfig) -> None:
    deliver("schedules", NEXT)
    rescore(catalog, flight_delay, NEXT, NEXT)
    record = find_stage(MODEL, "score", NEXT)
    assert record is not None
    lines = why(catalog, flight_delay, NEXT)
    assert f"The score stage is waiting for weather/2013-01-20, outcomes/2013-01-20, since {record.since:%Y-%m-%d %H:%M} UTC." in lines
    assert "no ingestion of it came as far as validation" in lines[1]
    assert lines[-1].startswith("Next: ingest weather/2013-01-20, outcomes/2013-01-20 (in Airflow")
    assert lines[-1].endswith(f"{RESCORE_NEXT}.")


def test_a_day_that_no_task_was_started_for_says_what_it_waits_for_and_since_when(catalog: Catalog, flight_delay: ModelConfig) -> None:
    deliver("schedules", NEXT)
    came = current_partition("schedules", NEXT)
    assert came
    deliver("weather", AS_OF)
    lines = why(catalog, flight_delay, NEXT)
    assert f"The score stage is waiting for outcomes/2013-01-20, since {came.recorded_at:%Y-%m-%d %H:%M} UTC." in lines
    assert "The monitor stage has not run." in lines
    deliver("outcomes", AS_OF)
    last = current_partition("outcomes", AS_OF)
    assert last
    lines = why(catalog, flight_delay, NEXT)
    assert f"The score stage has not run, though its inputs are complete since {last.recorded_at:%Y-%m-%d %H:%M} UTC." in lines
    assert lines[-1] == f"Next: all inputs are there, so score and monitor: {RESCORE_NEXT}."


def test_a_day_that_no_champion_may_score_says_so_though_no_task_was_started(catalog: Catalog, flight_delay: ModelConfig) -> None:
    lines = why(catalog, flight_delay, day(10))
    assert "The score stage has not run: no champion with an as_of up to 2013-01-10." in lines
    assert f"The monitor stage is waiting for predictions of {MODEL}/2013-01-10, since " in "\n".join(lines)


def test_a_day_whose_inputs_have_come_since_asks_for_scoring(catalog: Catalog, flight_delay: ModelConfig) -> None:
    rescore(catalog, flight_delay, NEXT, NEXT)
    for dataset, partition in (("schedules", NEXT), ("weather", AS_OF), ("outcomes", AS_OF)):
        deliver(dataset, partition)
    assert why(catalog, flight_delay, NEXT)[-1] == f"Next: all inputs are there, so score and monitor: {RESCORE_NEXT}."
    rescore(catalog, flight_delay, NEXT, NEXT, stages=["score"])
    assert "it is scored and not monitored" in why(catalog, flight_delay, NEXT)[-1]


def test_an_input_that_validation_stopped_says_why(catalog: Catalog, flight_delay: ModelConfig) -> None:
    shorten("schedules", NEXT, rows=50)
    with pytest.raises(DataError):
        deliver("schedules", NEXT)
    lines = why(catalog, flight_delay, NEXT)
    assert lines[0].startswith("schedules/2013-01-21 is not there: validation stopped it at ")
    assert "expect_table_row_count_to_be_between(min_value=100, max_value=5000): found 50" in lines[0]
    assert "fix schedules/2013-01-21 at its source, or the expectation in the dataset.yaml of schedules" in lines[-1]


def test_a_later_delivery_that_was_stopped_shows_beside_the_one_that_stays(catalog: Catalog, flight_delay: ModelConfig) -> None:
    shorten("schedules", AS_OF, rows=50)
    with pytest.raises(DataError):
        deliver("schedules", AS_OF)
    line = why(catalog, flight_delay, AS_OF)[0]
    assert "version 1, 120 rows" in line and "A later delivery was stopped by validation, so this one stays:" in line


def test_a_skipped_day_says_why_and_what_would_help(catalog: Catalog, flight_delay: ModelConfig) -> None:
    rescore(catalog, flight_delay, day(10), day(10))
    *_, score, _monitor, following = why(catalog, flight_delay, day(10))
    assert score.startswith("The score stage is skipped since ") and "no champion with an as_of up to 2013-01-10" in score
    assert following.startswith("Next: train and promote a version as of 2013-01-10 or earlier")


def test_a_day_outside_the_schedules_says_that_it_will_not_come(catalog: Catalog, flight_delay: ModelConfig) -> None:
    before, after = why(catalog, flight_delay, day(1)), why(catalog, flight_delay, "2014-01-01")
    assert before[1] == "weather/2012-12-31 is not there and will not come: its schedule starts on 2013-01-01."
    assert after[0] == "schedules/2014-01-01 is not there and will not come: its schedule ended on 2013-12-31."
    assert "nothing brings weather/2012-12-31, unless the dataset.yaml of weather changes" in before[-1]
    assert "The score stage has not run: no champion with an as_of up to 2013-01-01." in before


def test_a_day_that_is_still_to_come_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flight_delay: ModelConfig) -> None:
    schedules = include_with(tmp_path, monkeypatch) / "datasets" / "schedules" / "dataset.yaml"
    schedules.write_text(schedules.read_text().replace("end: 2013-12-31", "end: 2199-12-31"))
    lines = why(Catalog(), flight_delay, "2199-01-02")
    assert lines[0] == "schedules/2199-01-02 is not there yet: it will be known from 2199-01-01 23:00 UTC."
    assert "wait for schedules/2199-01-02 until 2199-01-01 23:00 UTC" in lines[-1]


def test_a_dataset_with_a_broken_yaml_is_named_and_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flight_delay: ModelConfig
) -> None:
    weather = include_with(tmp_path, monkeypatch) / "datasets" / "weather" / "dataset.yaml"
    weather.write_text(weather.read_text().replace("owner:", "ownr:"))
    schedules, weather_line, *_ = why(Catalog(), flight_delay, day(21))
    assert schedules.startswith("schedules/2013-01-21 is not there: it could be known")
    assert "the dataset's declaration is broken" in weather_line and "dataset.yaml:2: owner" in weather_line
