from __future__ import annotations

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.partitions import current_partition, current_partitions
from include.evergreen.foundation.clock import now
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import DAILY, EARLIEST, Partition
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import list_observations
from include.evergreen.operations.local_run import CycleResult, partitions_needed, run_cycle
from include.evergreen.registry import champions
from include.evergreen.scoring.predictions import find_predictions
from tests.unit.flights import lenient, strict
from tests.unit.lifecycle import AS_OF, MODEL, day, everything, landing, settle_cycled, settle_landed, shorten


@pytest.fixture
def cycled() -> CycleResult:
    return settle_cycled()


def run(model: ModelConfig, as_of: Partition, **others: object) -> CycleResult:
    arguments: dict[str, object] = {"reason": "a test", "actor": "a person", **others}
    return run_cycle(Catalog(), model, as_of, **arguments)  # type: ignore[arg-type]


def with_min_days(model: ModelConfig, days: int) -> ModelConfig:
    return model.model_copy(update={"train": model.train.model_copy(update={"min_history": Span(days, "day")})})


def test_a_cycle_leads_from_the_sources_files_to_a_monitored_champion(cycled: CycleResult) -> None:
    assert len(cycled.ingested) == 20 + 19 + 19  # schedules are known the evening before, the others the day after
    assert cycled.unavailable == {}
    assert (cycled.decision.verdict, cycled.is_new_candidate) == ("blessed", True)
    assert cycled.promotion is not None and cycled.promotion.promoted
    serving = champions.champion(MODEL)
    assert serving is not None and (serving.version, serving.as_of) == (1, AS_OF)
    assert (cycled.scored.status, cycled.monitored.status) == ("done", "done")
    predictions = find_predictions(MODEL, AS_OF)
    assert predictions is not None and (predictions.rows, predictions.version, predictions.origin) == (120, 1, "live")
    assert {each.partition for each in list_observations(MODEL)} == {AS_OF}


def test_a_second_run_changes_nothing(cycled: CycleResult, flight_delay: ModelConfig) -> None:
    before = everything()
    again = run(flight_delay, AS_OF, reason="another reason")
    assert everything() == before
    assert (again.ingested, again.is_new_candidate, again.scored.status, again.monitored.status) == ([], False, "unchanged", "unchanged")
    assert again.decision == cycled.decision


def test_every_step_reports_how_far_it_is(cycled: CycleResult, flight_delay: ModelConfig) -> None:
    seen: list[tuple[str, int, int]] = []
    run(flight_delay, AS_OF, progress=lambda *step: seen.append(step))
    assert list(dict.fromkeys(step for step, _, _ in seen)) == [
        "ingest", "snapshot", "train", "gate", "register", "promote", "score", "monitor",
    ]  # fmt: skip
    assert ("ingest", 0, 0) in seen
    assert [(done, total) for step, done, total in seen if step == "train"] == [(0, 1), (1, 1)]


def test_what_the_source_lacks_is_listed_and_training_goes_on(cycled: CycleResult, flight_delay: ModelConfig) -> None:
    landing("outcomes", day(20)).unlink()
    result = run(flight_delay, day(21))
    assert sorted(result.ingested) == ["schedules/2013-01-21", "weather/2013-01-20"]
    assert list(result.unavailable) == ["outcomes/2013-01-20"]
    assert "the source has no file" in result.unavailable["outcomes/2013-01-20"]
    assert result.is_new_candidate and result.scored.status == "waiting"


def test_a_partition_that_validation_stops_is_listed_with_the_reason(cycled: CycleResult, flight_delay: ModelConfig) -> None:
    shorten("schedules", day(21), rows=50)
    result = run(flight_delay, day(21))
    assert "expect_table_row_count_to_be_between" in result.unavailable["schedules/2013-01-21"]
    assert current_partition("schedules", day(21)) is None


def test_too_few_days_name_what_could_not_be_ingested(cycled: CycleResult, flight_delay: ModelConfig) -> None:
    landing("outcomes", day(20)).unlink()
    with pytest.raises(DataError) as raised:
        run(with_min_days(flight_delay, 19), day(21))
    assert "only 18 of the 60 days" in str(raised.value)
    assert "outcomes/2013-01-20" in str(raised.value)
    assert str(landing("outcomes", day(20))) in str(raised.value)


def test_a_cycle_as_of_the_past_does_not_take_the_champions_place(cycled: CycleResult, flight_delay: ModelConfig) -> None:
    result = run(lenient(flight_delay), day(17))
    assert result.decision.verdict == "blessed"
    assert result.version is not None and result.version.version == 2
    assert result.promotion is not None and not result.promotion.promoted
    serving = champions.champion(MODEL)
    assert serving is not None and serving.version == 1
    assert result.scored.status == "skipped"  # the champion has seen that day


def test_a_version_as_of_the_past_challenges_nobody(cycled: CycleResult, flight_delay: ModelConfig) -> None:
    run(lenient(flight_delay), day(17))
    assert champions.challenger(MODEL) is None
    assert run(flight_delay, AS_OF).scored.status == "unchanged"


def test_a_rejected_candidate_is_not_registered(cycled: CycleResult, flight_delay: ModelConfig) -> None:
    result = run(strict(flight_delay), day(21))
    assert (result.decision.verdict, result.version, result.promotion) == ("rejected", None, None)
    serving = champions.champion(MODEL)
    assert serving is not None and serving.version == 1
    assert result.scored.status == "done"


def test_a_window_of_ones_own_is_what_is_trained_on(cycled: CycleResult, flight_delay: ModelConfig) -> None:
    result = run(flight_delay, AS_OF, window=Span(15, "day"))
    assert result.snapshot.window == Span(15, "day")
    assert result.snapshot.rows < cycled.snapshot.rows


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"window": Span(13, "day")}, "a window of 13 days cannot train it; give 14"),
        ({"window": Span(4000, "day")}, "a window of 4000 days"),
        ({"as_of": DAILY.shift(DAILY.at(now()), 1)}, "is in the future"),
        ({"as_of": day(1)}, "schedules begins on 2013-01-01"),
        ({"as_of": EARLIEST}, "schedules begins on 2013-01-01"),
        ({"reason": " why "}, "has 3 characters; give 5 to 500"),
        ({"reason": "x" * 501}, "has 501 characters"),
    ],
)
def test_bad_arguments_are_refused_before_anything_happens(arguments: dict[str, object], complaint: str, flight_delay: ModelConfig) -> None:
    settle_landed()
    before = everything()
    as_of = arguments.pop("as_of", AS_OF)
    assert isinstance(as_of, str)
    with pytest.raises(ConfigError, match=complaint):
        run(flight_delay, as_of, **arguments)
    assert everything() == before
    assert current_partitions("schedules") == []


def test_a_cycle_needs_what_was_known_and_what_features_may_look_back_to(catalog: Catalog, flight_delay: ModelConfig) -> None:
    as_of = "2013-06-01"
    needed = partitions_needed(catalog, flight_delay, as_of, Span(14, "day"))
    spans = {
        name: (min(days), max(days))
        for name in catalog.dataset_names()
        if (days := [each for dataset, each in needed if dataset.name == name])
    }
    assert spans == {
        "schedules": ("2013-04-18", as_of),  # 14 days of rows, and 30 more for the windows of the first
        "weather": ("2013-04-17", "2013-05-31"),
        "outcomes": ("2013-04-17", "2013-05-31"),
    }


def test_a_cycle_needs_nothing_outside_a_datasets_schedule(catalog: Catalog, flight_delay: ModelConfig) -> None:
    assert min(each for _, each in partitions_needed(catalog, flight_delay, day(20), Span(60, "day"))) == day(1)
    beyond = partitions_needed(catalog, flight_delay, "2014-01-02", Span(14, "day"))
    assert max(each for dataset, each in beyond if dataset.name == "weather") == "2013-12-30"
