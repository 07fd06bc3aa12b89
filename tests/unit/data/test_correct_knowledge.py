"""When partitions were known was declared wrongly, and is said rightly: on record, for what is read from now on. On both databases."""

from __future__ import annotations

import datetime as dt
import json
import logging

import pytest

from include.evergreen.cli.main import main
from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.config.datasets import Knowledge
from include.evergreen.data import correct_knowledge as module
from include.evergreen.data import ingestion
from include.evergreen.data.correct_knowledge import correct_knowledge, plan_corrections
from include.evergreen.data.partitions import PartitionVersion, current_partition, known_partitions, known_versions, read_partition
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import knowledge_corrections, ledger, partition_versions
from tests.unit.flights import NEW_YORK, change_landing, january, rows_of

pytestmark = pytest.mark.usefixtures("landed", "either_database")
DAY, NEXT = january(5), january(6)
A_YEAR = 8760.0


@pytest.fixture
def weather(catalog: Catalog) -> DatasetConfig:
    """Known when its day ends, its corrections too."""
    return catalog.dataset("weather")


def test_a_rule_that_was_declared_wrongly_is_corrected_in_what_is_stored(weather: DatasetConfig, caplog: pytest.LogCaptureFixture) -> None:
    wrong = _ingest(_knowing(weather, hours_after_end=A_YEAR))
    _ingest(weather, NEXT)
    assert _known(january(7), DAY, NEXT) == [(NEXT, 1)]

    with caplog.at_level(logging.WARNING, "include.evergreen"):
        assert _ingest(weather) == wrong  # unchanged content makes no version: it is said what stays, and how to correct it
    assert "by hours_after_end 8760.0, and dataset.yaml declares 0.0" in caplog.text
    command = 'evergreen correct-knowledge weather --from 2013-01-05 --to 2013-01-05 --reason "..."'
    assert command in caplog.text

    planned = plan_corrections(weather, DAY, NEXT)
    assert [(each.version, each.knowledge_time) for each in planned] == [(wrong, NEW_YORK.start(NEXT))]
    assert rows_of(knowledge_corrections) == []
    before = clock.now()
    corrected = _correct(weather)
    assert corrected == planned
    assert _known(january(7), DAY, NEXT) == [(DAY, 1), (NEXT, 1)]
    assert _known(january(7), DAY, NEXT, said_at=before) == [(NEXT, 1)]
    [recorded] = rows_of(knowledge_corrections)
    assert _known(january(7), DAY, NEXT, said_at=recorded.recorded_at) == [(DAY, 1), (NEXT, 1)]  # from that very moment on
    caplog.clear()
    assert _ingest(weather).knowledge_time == NEW_YORK.start(NEXT)
    assert "correct-knowledge" not in caplog.text

    [entry] = _entries()
    body = json.loads(str(entry.body))
    assert {name: body[name] for name in ("dataset", "first", "last", "versions", "actor", "reason")} == {
        "dataset": "weather", "first": "2013-01-05", "last": "2013-01-05", "versions": 1, "actor": "ann", "reason": "it was a slip",
    }  # fmt: skip
    assert body["declared"]["hours_after_end"] == 0.0
    assert _correct(weather) == []
    assert len(_entries()) == len(rows_of(knowledge_corrections)) == 1


def test_what_was_said_to_be_known_too_early_is_hidden_until_it_was(weather: DatasetConfig) -> None:
    _ingest(weather)
    change_landing("weather", DAY, lambda rows: rows.assign(temp="33"))
    _ingest(weather)
    _correct(_knowing(weather, hours_after_end=A_YEAR))
    assert _known(january(20), DAY, DAY) == []
    assert _known(january(20), DAY, DAY, said_at=clock.now() - dt.timedelta(hours=1)) == [(DAY, 2)]
    assert _known("2014-01-06", DAY, DAY) == [(DAY, 2)]


def test_it_is_corrected_twice_and_each_time_that_was_said_can_be_asked_for(weather: DatasetConfig) -> None:
    said = []
    _ingest(weather)
    for hours in (24.0, 48.0):
        said.append(clock.now())
        _correct(_knowing(weather, hours_after_end=hours))
    times = [
        known_versions("weather", as_of=NEW_YORK.start(january(20)), first=DAY, last=DAY, said_at=at)[0].knowledge_time
        for at in [*said, clock.now()]
    ]
    assert times == [NEW_YORK.start(january(day)) for day in (6, 7, 8)]


def test_what_arrived_is_known_from_its_arrival_as_exactly_as_when_it_was_recorded(catalog: Catalog) -> None:
    outcomes = catalog.dataset("outcomes")  # its corrections are known when they arrive
    _ingest(outcomes)
    change_landing("outcomes", DAY, lambda rows: rows.assign(arr_delay="99"))
    arrived = _ingest(outcomes)
    by_rule = _knowing(outcomes, corrections="rule")
    assert [each.knowledge_time for each in _correct(by_rule)] == [NEW_YORK.start(NEXT)]
    assert [each.knowledge_time for each in _correct(outcomes)] == [arrived.knowledge_time]
    assert current_partition("outcomes", DAY) == arrived


def test_a_knowledge_column_that_was_removed_filters_no_more_and_one_that_was_added_does(weather: DatasetConfig) -> None:
    by_column = weather.model_copy(update={"knowledge": Knowledge(hours_after_partition=24, column="time_hour")})
    version = _ingest(weather)
    rows = read_partition(version)["time_hour"]
    assert len(_read(NEXT)) == len(rows)

    [added] = _correct(by_column)
    assert (added.knowledge_column, added.knowledge_time) == ("time_hour", rows.min().to_pydatetime())
    assert 0 < len(_read(DAY)) < len(rows)

    [removed] = _correct(weather)
    assert (removed.knowledge_column, removed.knowledge_time) == (None, version.knowledge_time)
    assert len(_read(NEXT)) == len(rows)


def test_a_time_that_was_given_for_unchanged_content_says_that_it_does_nothing_and_can_be_corrected(
    weather: DatasetConfig, caplog: pytest.LogCaptureFixture
) -> None:
    first = _ingest(weather)
    late = DAILY.start(january(20))
    with caplog.at_level(logging.WARNING, "include.evergreen"):
        assert ingestion.ingest(weather, DAY, "live", known_at=late) == (first, False)
    assert "the time that was given, 2013-01-20 00:00 UTC, does nothing: version 1 stays known at 2013-01-06 05:00 UTC" in caplog.text
    assert "correct-knowledge weather --from 2013-01-05 --to 2013-01-05 --known-at 2013-01-20 --reason" in caplog.text

    _correct(weather, DAY, DAY, known_at=late)
    assert _ingest(weather).knowledge_time == late
    assert _correct(_knowing(weather, hours_after_end=24)) == []  # what a person gave stays, unless a person gives another
    _correct(weather, DAY, DAY, known_at=late + dt.timedelta(days=1))
    assert _ingest(weather).knowledge_time == late + dt.timedelta(days=1)


def test_versions_of_an_earlier_release_are_corrected_too(weather: DatasetConfig, caplog: pytest.LogCaptureFixture) -> None:
    _ingest(_knowing(weather, hours_after_end=A_YEAR))
    with writing() as connection:
        connection.execute(partition_versions.update().values(knowledge=None, arrived_at=None, delivered_at=None))
    with caplog.at_level(logging.WARNING, "include.evergreen"):
        _ingest(weather)
    assert "not by the rule that dataset.yaml declares" in caplog.text
    assert [each.knowledge_time for each in _correct(weather)] == [NEW_YORK.start(NEXT)]


def test_what_is_published_while_it_is_worked_out_is_corrected_as_well(weather: DatasetConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = _knowing(weather, hours_after_end=A_YEAR)
    _ingest(wrong)
    plan = module._plan

    def published_meanwhile(*arguments: object) -> object:
        monkeypatch.setattr(module, "_plan", plan)
        _ingest(wrong, NEXT)
        return plan(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_plan", published_meanwhile)
    assert [each.version.partition for each in _correct(weather)] == [DAY, NEXT]


def test_what_cannot_be_corrected_says_why(weather: DatasetConfig) -> None:
    for words, error, arguments in (
        ("no partition from 2013-01-05 to 2013-01-06 is published", DataError, {}),
        ("ends before it begins", ConfigError, {"first": NEXT, "last": DAY}),
        ("a time of its own is given to one partition", ConfigError, {"known_at": clock.now()}),
        ("the reason has 1 characters", ConfigError, {"reason": "x"}),
    ):
        with pytest.raises(error, match=words):
            correct_knowledge(weather, **{"first": DAY, "last": NEXT, "actor": "ann", "reason": "it was a slip", **arguments})  # type: ignore[arg-type]


def test_the_command_shows_what_it_would_do_does_it_and_finds_nothing_more(
    weather: DatasetConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    _ingest(_knowing(weather, hours_after_end=A_YEAR))
    given = ["correct-knowledge", "weather", "--reason", "hours_after_end was 8760 by a slip"]
    line = "2013-01-05: version 1 known at 2014-01-06 05:00 UTC -> known at 2013-01-06 05:00 UTC"
    assert main([*given, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [line, "1 version would be corrected."]
    assert main(given) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [line, "1 version was corrected."]
    assert main(given) == 0
    assert capsys.readouterr().out.startswith("Nothing to correct: ")


def _knowing(dataset: DatasetConfig, **knowledge: object) -> DatasetConfig:
    declared = {**dataset.knowledge.model_dump(exclude={"column"}), **knowledge}
    return dataset.model_copy(update={"knowledge": Knowledge.model_validate(declared)})


def _ingest(dataset: DatasetConfig, day: Partition = DAY) -> PartitionVersion:
    return ingestion.ingest(dataset, day, "live")[0]


def _correct(
    dataset: DatasetConfig, first: Partition = DAY, last: Partition = NEXT, known_at: dt.datetime | None = None
) -> list[module.Correction]:
    return correct_knowledge(dataset, first, last, actor="ann", reason="it was a slip", known_at=known_at)


def _known(as_of: Partition, first: Partition, last: Partition, said_at: dt.datetime | None = None) -> list[tuple[Partition, int]]:
    """The partitions that a read as of a day sees, each with the version: by both ways of reading."""
    seen = [
        (each.partition, each.version)
        for each in PartitionCache(as_of, said_at, model=Catalog().model("air_time")).known("weather", as_of, first, last)
    ]
    if said_at is None:
        known = known_partitions("weather", as_of=NEW_YORK.start(as_of), first=first, last=last)
        assert [(each.partition, each.version) for each in known] == seen
    return seen


def _entries() -> list[object]:
    return [row for row in rows_of(ledger) if row.kind == "knowledge-correction"]


def _read(as_of: Partition) -> object:
    cache = PartitionCache(as_of, model=Catalog().model("air_time"))
    [version] = cache.known("weather", as_of, DAY, DAY)
    return cache.frame(version, as_of)
