from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.ingestion import ingest
from include.evergreen.data.partitions import current_partition, current_partitions
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.monitoring import list_observations
from include.evergreen.operations.rescoring import LONGEST_RANGE, StageOutcome, rescore
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.state.stage_status import list_stages
from tests.unit.flights import change_landing
from tests.unit.lifecycle import AS_OF, MODEL, day, everything, settle_cycled

NEXT = DAILY.shift(AS_OF, 1)


@pytest.fixture(autouse=True)
def _cycled() -> None:
    settle_cycled()


def deliver(dataset: str, partition: Partition) -> None:
    ingest(Catalog().dataset(dataset), partition, "live")


def deliver_inputs(partition: Partition) -> None:
    deliver("schedules", partition)
    deliver("weather", DAILY.shift(partition, -1))
    deliver("outcomes", DAILY.shift(partition, -1))


def a_minute_later(rows: pd.DataFrame) -> pd.DataFrame:
    delays = pd.to_numeric(rows["arr_delay"])
    return rows.assign(arr_delay=(delays + 1).astype("string").fillna(""))


def statuses(outcomes: list[StageOutcome]) -> dict[str, str]:
    return {f"{each.stage} {each.partition[-2:]}": each.outcome.status for each in outcomes}


def test_what_is_up_to_date_stays(catalog: Catalog, flight_delay: ModelConfig) -> None:
    before = everything()
    assert statuses(rescore(catalog, flight_delay, AS_OF, AS_OF)) == {"score 20": "unchanged", "monitor 20": "unchanged"}
    assert everything() == before


def test_a_corrected_input_is_scored_again_and_the_origin_stays(catalog: Catalog, flight_delay: ModelConfig) -> None:
    before = find_predictions(MODEL, AS_OF)
    change_landing("weather", day(19), lambda rows: rows.assign(wind_speed="30"))
    deliver("weather", day(19))
    assert statuses(rescore(catalog, flight_delay, AS_OF, AS_OF)) == {"score 20": "done", "monitor 20": "done"}
    after = find_predictions(MODEL, AS_OF)
    assert before and after and before.input_digest != after.input_digest
    assert after.origin == "live"
    assert {each.origin for each in list_observations(MODEL, first=AS_OF)} == {"live"}


def test_a_correction_that_became_known_later_changes_nothing_that_was_scored_before(catalog: Catalog, flight_delay: ModelConfig) -> None:
    before = find_predictions(MODEL, AS_OF)
    change_landing("outcomes", day(19), a_minute_later)
    deliver("outcomes", day(19))
    assert statuses(rescore(catalog, flight_delay, AS_OF, AS_OF))["score 20"] == "unchanged"
    assert find_predictions(MODEL, AS_OF) == before


def test_a_day_that_was_never_scored_is_a_backfill(catalog: Catalog, flight_delay: ModelConfig) -> None:
    deliver_inputs(NEXT)
    assert statuses(rescore(catalog, flight_delay, NEXT, NEXT)) == {"score 21": "done", "monitor 21": "done"}
    predictions = find_predictions(MODEL, NEXT)
    assert predictions is not None and predictions.origin == "backfill"
    assert {each.origin for each in list_observations(MODEL, first=NEXT)} == {"backfill"}


def test_a_day_without_its_inputs_waits_and_nothing_is_ingested(catalog: Catalog, flight_delay: ModelConfig) -> None:
    partitions = current_partitions("schedules")
    outcomes = rescore(catalog, flight_delay, NEXT, day(22))
    assert {each.outcome.status for each in outcomes} == {"waiting"}
    assert outcomes[0].outcome.message == "waiting for schedules/2013-01-21, weather/2013-01-20, outcomes/2013-01-20"
    assert current_partitions("schedules") == partitions


def test_a_day_that_the_champion_has_seen_is_skipped(catalog: Catalog, flight_delay: ModelConfig) -> None:
    [outcome] = rescore(catalog, flight_delay, day(10), day(10), stages=["score"])
    assert (outcome.outcome.status, outcome.stage) == ("skipped", "score")
    assert "no champion" in outcome.outcome.message


def test_monitoring_alone_scores_nothing(catalog: Catalog, flight_delay: ModelConfig) -> None:
    deliver_inputs(NEXT)
    outcomes = rescore(catalog, flight_delay, AS_OF, NEXT, stages=["monitor"])
    assert statuses(outcomes) == {"monitor 20": "done", "monitor 21": "waiting"}  # the truth of the 20th is there now
    assert find_predictions(MODEL, NEXT) is None


def test_a_day_whose_data_is_at_fault_fails_alone(catalog: Catalog, flight_delay: ModelConfig) -> None:
    deliver_inputs(NEXT)
    lost = current_partition("schedules", NEXT)
    assert lost is not None
    Path(Settings.from_environment().storage, lost.path).unlink()
    outcomes = rescore(catalog, flight_delay, AS_OF, NEXT, stages=["score"])
    assert statuses(outcomes) == {"score 20": "unchanged", "score 21": "failed"}
    assert lost.path in outcomes[1].outcome.message


def test_progress_counts_partitions(catalog: Catalog, flight_delay: ModelConfig) -> None:
    seen: list[tuple[str, int, int]] = []
    rescore(catalog, flight_delay, day(22), day(23), progress=lambda *step: seen.append(step))
    assert seen == [("rescore", 0, 2), ("rescore", 1, 2), ("rescore", 2, 2)]


@pytest.mark.parametrize(
    ("first", "last", "stages", "complaint"),
    [
        (day(2), day(1), ["score"], "ends before it begins"),
        (day(1), DAILY.plus(day(1), LONGEST_RANGE), ["score"], "has 367 days; at most 366"),
        (day(1), day(1), ["train"], r"\['train'\]; give one or more of score, monitor"),
        (day(1), day(1), [], "give one or more of score, monitor"),
    ],
)
def test_a_bad_range_or_stage_is_refused_before_anything_happens(
    first: Partition, last: Partition, stages: list[str], complaint: str, catalog: Catalog, flight_delay: ModelConfig
) -> None:
    before = list_stages(MODEL)
    with pytest.raises(ConfigError, match=complaint):
        rescore(catalog, flight_delay, first, last, stages=stages)  # type: ignore[arg-type]
    assert list_stages(MODEL) == before


def test_a_leap_years_worth_of_days_is_not_too_many(catalog: Catalog, flight_delay: ModelConfig) -> None:
    last = "2030-01-01"
    first = DAILY.shift(last, -(LONGEST_RANGE.amount - 1))
    assert len(rescore(catalog, flight_delay, first, last, stages=["monitor"])) == LONGEST_RANGE.amount
