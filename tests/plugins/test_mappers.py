import datetime as dt
import json

import pytest

from evergreen_airflow import mappers
from evergreen_airflow.mappers import LabelsMapper, MonitoringMapper, ScoringMapper
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.labels import LabelSource
from include.evergreen.foundation.clock import now
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.foundation.grain import Grain
from include.evergreen.foundation.span import Span
from include.evergreen.scoring import readiness
from include.evergreen.scoring.readiness import News, Readiness

NEVER_FAILED = -1.0


@pytest.fixture(autouse=True)
def _a_database_that_nobody_complained_of(monkeypatch):
    monkeypatch.setattr(mappers._Database, "retry_at", NEVER_FAILED)


@pytest.fixture
def answer(monkeypatch):
    """Makes our database answer so to both kinds of mapper; returns the questions that were asked."""

    def answer(found):
        asked = []

        def reply(*question, moment=None):
            asked.append(question)
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(readiness, "scoring", reply)
        monkeypatch.setattr(readiness, "monitoring", reply)
        monkeypatch.setattr(readiness, "monitorings_started_by", reply)
        return asked

    return answer


def due(name="weather/2013-02-28"):
    return Readiness(news=(News(name, "live", now()),))


SCORING = ScoringMapper(model="air_time", dataset="weather", lag="1 partition")
DAY, HOUR, WEEK, MONTH, NEW_YORK = Grain(), Grain("hour"), Grain("week"), Grain("month"), Grain("day", "America/New_York")
SHIFT, HALF_MONTH = Grain("0 6,18 * * *", "Europe/Berlin"), Grain("0 0 1,16 * *")
NIGHT = [*((30, hour) for hour in range(17, 24)), *((31, hour) for hour in range(4))]  # of eleven hours, in UTC
SHIFTS = ScoringMapper(model="energy", dataset="meters", lag="1 day", calendar=Calendar(SHIFT, "30 6 * * *"), rows_grain=HALF_MONTH)
HOURLY = ScoringMapper(model="fraud", dataset="payments", lag="2 hours", calendar=Calendar(HOUR), rows_grain=NEW_YORK)
OWN_TIMES = ScoringMapper(
    model="fraud", dataset="alarms", lag="1 hour", calendar=Calendar(HOUR), scored_at={"hours_after_end": 1, "column": "paid_at"}
)
NEWEST = ScoringMapper(model="air_time", dataset="weather", reads_newest=True)
MONITORING = MonitoringMapper(model="air_time", dataset="outcomes")
LABELS = LabelsMapper(model="air_time", dataset="outcomes", within="60 days")


@pytest.mark.parametrize(
    ("grain", "rows_grain", "lag", "published", "affected"),
    [
        (DAY, DAY, 0, "2013-02-28", ["2013-02-28"]),
        (DAY, DAY, 31, "2013-02-28", ["2013-03-31"]),
        (HOUR, HOUR, 1, "2013-02-28T2300Z", ["2013-03-01T0000Z"]),
        (HOUR, DAY, 1, "2013-02-28T2300Z", ["2013-03-01"]),
        (HOUR, DAY, 1, "2013-02-28T2200Z", []),
        (HOUR, NEW_YORK, 1, "2013-02-28T0400Z", ["2013-02-28"]),
        (DAY, HOUR, 1, "2013-02-28", [f"2013-03-01T{hour:02}00Z" for hour in range(24)]),
        (MONTH, DAY, 1, "2013-01-01", [f"2013-02-{day:02}" for day in range(1, 29)]),
        (DAY, WEEK, 1, "2013-03-03", ["2013-03-04"]),
        (DAY, WEEK, 1, "2013-03-02", []),
        (SHIFT, SHIFT, 2, "2013-03-30T1800", ["2013-03-31T1800"]),
        (SHIFT, HOUR, 1, "2013-03-30T0600", [f"2013-03-{day}T{hour:02}00Z" for day, hour in NIGHT]),
        (DAY, SHIFT, 1, "2013-03-29", ["2013-03-30T0600", "2013-03-30T1800"]),
        (HALF_MONTH, DAY, 1, "2013-02-16", [f"2013-03-{day:02}" for day in range(1, 16)]),
        (
            Grain("week from Sunday"),
            Grain("6 hours", "America/New_York"),
            1,
            "2013-03-03",
            [f"2013-03-{day:02}T{hour:02}00" for day in range(10, 17) for hour in range(0, 24, 6)],
        ),
    ],
)
def test_an_input_concerns_the_partitions_of_which_it_is_the_newest_that_is_read(grain, rows_grain, lag, published, affected, answer):
    answer(due(f"weather/{published}"))
    mapper = ScoringMapper(model="air_time", dataset="weather", lag=Span(lag, "partition"), calendar=Calendar(grain), rows_grain=rows_grain)
    assert mapper.to_downstream(published) == affected


def test_of_an_input_whose_newest_known_partition_is_read_our_database_says_by_which(answer, monkeypatch):
    asked = answer(due())
    monkeypatch.setattr(readiness, "partitions_reading", lambda model, dataset, published: ["2013-03-02", "2013-03-03"])
    assert NEWEST.to_downstream("2013-02-28") == ["2013-03-02", "2013-03-03"]
    assert [question[1] for question in asked] == ["2013-03-02", "2013-03-03"]
    monkeypatch.setattr(readiness, "partitions_reading", lambda *_: [])
    assert NEWEST.to_downstream("2013-02-28") == []


@pytest.mark.parametrize(
    ("hour", "days"),
    [("2013-02-27T2200Z", ["2013-02-27"]), ("2013-02-27T2300Z", ["2013-02-28"]), ("2013-02-28T0500Z", ["2013-02-28"])],
)
def test_an_hour_concerns_the_day_of_the_rows_that_read_it_at_their_own_times(answer, hour, days):
    asked = answer(due(f"alarms/{hour}"))
    assert OWN_TIMES.to_downstream(hour) == days
    assert [question[1] for question in asked] == days


def test_airflow_takes_all_that_a_quarter_concerns(answer):
    answer(due("weather/2013-01-01"))
    mapper = ScoringMapper(model="air_time", dataset="weather", calendar=Calendar(Grain("quarter")), rows_grain=Grain("15min"))
    assert 1000 < len(mapper.to_downstream("2013-01-01")) == 90 * 96 < mapper.max_downstream_keys


@pytest.mark.parametrize("mapper", [SCORING, MONITORING, LABELS], ids=lambda mapper: type(mapper).__name__)
@pytest.mark.parametrize("key", ["junk; drop table", "2013-2-8", "", "2013-02-30"])
def test_a_key_that_is_no_day_makes_no_run_and_asks_nothing(mapper, key, answer):
    asked = answer(due())
    assert mapper.to_downstream(key) == []
    assert asked == []


@pytest.mark.parametrize("mapper", [SCORING, MONITORING], ids=lambda mapper: type(mapper).__name__)
def test_the_run_is_dated_by_its_own_day(mapper):
    assert mapper.to_partition_date("2013-03-01") == dt.datetime(2013, 3, 1, tzinfo=dt.UTC)


def test_a_day_that_can_be_scored_makes_a_run_by_the_event_of_its_last_input(answer):
    asked = answer(due())
    assert SCORING.to_downstream("2013-02-28") == ["2013-03-01"]
    assert asked == [("air_time", "2013-03-01", ("weather", "2013-02-28"))]


def test_an_input_that_came_a_moment_before_the_last_one_makes_none(answer):
    answer(due("schedules/2013-03-01"))
    assert SCORING.to_downstream("2013-02-28") == []


def test_a_scored_day_with_something_new_to_monitor_makes_a_run(answer):
    asked = answer(due("predictions"))
    assert MONITORING.to_downstream("2013-02-28") == "2013-02-28"
    assert asked == [("air_time", "2013-02-28", LabelSource("outcomes"))]


def test_a_day_of_labels_makes_a_run_of_each_scored_day_that_it_gives_something_new_to_monitor(answer):
    asked = answer(["2012-12-30", "2013-01-02"])
    assert LABELS.to_downstream("2013-02-28") == ["2012-12-30", "2013-01-02"]
    assert asked == [("air_time", "2013-02-28", LabelSource("outcomes", Span(60, "day")))]
    answer([])
    assert LABELS.to_downstream("2013-02-28") == []


def test_when_our_database_gives_no_answer_a_day_of_labels_makes_a_run_of_the_day_that_it_mostly_makes_mature(answer):
    answer(TransientError("locked"))
    assert LABELS.to_downstream("2013-03-01") == ["2012-12-31"]


@pytest.mark.parametrize("nothing", [Readiness(), Readiness(missing=("a",), news=due().news), Readiness(blocker="no", news=due().news)])
@pytest.mark.parametrize("mapper", [SCORING, MONITORING], ids=lambda mapper: type(mapper).__name__)
def test_a_day_without_work_makes_no_run(mapper, nothing, answer):
    answer(nothing)
    assert mapper.to_downstream("2013-02-28") == []


@pytest.mark.parametrize("mapper", [SCORING, MONITORING], ids=lambda mapper: type(mapper).__name__)
@pytest.mark.parametrize("error", [TransientError("locked"), DataError("a recipe was changed"), RuntimeError("anything")], ids=repr)
def test_when_our_database_gives_no_answer_the_task_looks_and_the_publisher_never_knows(mapper, error, answer, caplog):
    answer(error)
    assert mapper.to_downstream("2013-02-28") == mapper.to_downstream("2013-02-28") != []
    assert f"Unknown whether air_time has work for {mapper.dataset}/2013-02-28, so a task will check: {error}" in caplog.text


def test_a_database_that_does_not_answer_is_left_alone_for_a_while(answer, monkeypatch):
    asked = answer(TransientError("does not answer"))
    for model in ("air_time", "flight_delay", "another"):
        assert ScoringMapper(model=model, dataset="weather").to_downstream("2013-02-28")
    assert len(asked) == 1
    monkeypatch.setattr(mappers._Database, "retry_at", NEVER_FAILED)  # as it is when the while is over
    assert SCORING.to_downstream("2013-02-28")
    assert len(asked) == 2


def test_one_model_whose_record_is_broken_keeps_no_other_from_being_asked(answer):
    asked = answer(DataError("a recipe was changed"))
    for model in ("air_time", "flight_delay"):
        assert ScoringMapper(model=model, dataset="weather").to_downstream("2013-02-28")
    assert len(asked) == 2


@pytest.mark.parametrize(
    "mapper", [SCORING, HOURLY, SHIFTS, OWN_TIMES, NEWEST, MONITORING, LABELS], ids=lambda mapper: type(mapper).__name__
)
def test_it_survives_serialisation(mapper):
    from airflow.serialization.decoders import decode_partition_mapper
    from airflow.serialization.encoders import encode_partition_mapper

    again = decode_partition_mapper(json.loads(json.dumps(encode_partition_mapper(mapper))))
    assert type(again) is type(mapper)
    assert vars(again) == vars(mapper)


def test_a_mapper_that_an_earlier_release_serialised_is_read_until_its_dag_is_parsed_again():
    data = {"model": "air_time", "dataset": "weather", "days": 1}
    assert vars(ScoringMapper.deserialize(dict(data))) == vars(SCORING)
    assert vars(MonitoringMapper.deserialize({**data, "dataset": "outcomes", "within_days": 0})) == vars(MONITORING)
