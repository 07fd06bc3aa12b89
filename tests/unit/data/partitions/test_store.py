from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest

from include.evergreen.data.partitions import (
    PartitionVersion,
    current_partition,
    current_partitions,
    known_partitions,
    known_versions,
    publish_partition,
    read_partition,
)
from include.evergreen.foundation.grain import EARLIEST, LATEST, Partition
from include.evergreen.state import storage
from include.evergreen.state.database.tables import partition_versions
from tests.unit.flights import january, rows_of
from tests.unit.warm import start_code

pytestmark = pytest.mark.usefixtures("home")
DAY = january(1)
MORNING, NOON, EVENING = (dt.datetime(2013, 1, 2, hour, tzinfo=dt.UTC) for hour in (6, 12, 18))


def test_what_was_never_published_is_not_there() -> None:
    assert current_partition("weather", january(1)) is None
    assert current_partitions("weather") == []


def test_the_first_content_is_version_1() -> None:
    version, is_new = _publish("a")
    assert (version.version, version.digest, is_new) == (1, "a", True)
    assert current_partition("weather", january(1)) == version


def test_the_same_content_makes_no_version() -> None:
    first, _ = _publish("a")
    again, is_new = _publish("a", origin="backfill")
    assert (again, is_new) == (first, False)
    assert len(rows_of(partition_versions)) == 1


def test_changed_content_is_the_next_version_and_the_old_one_stays() -> None:
    first, _ = _publish("a")
    second, is_new = _publish("b")
    assert (second.version, is_new) == (2, True)
    assert current_partition("weather", january(1)) == second
    assert [row.digest for row in rows_of(partition_versions)] == ["a", "b"]
    assert first.version == 1


def test_changed_quarantine_alone_is_a_version_too() -> None:
    _publish("a", quarantine_digest="none")
    version, is_new = _publish("a", quarantine_digest="one row")
    assert (version.version, is_new) == (2, True)


def test_content_that_returns_to_what_it_was_is_a_version_of_its_own() -> None:
    for digest in ("a", "b", "a"):
        _publish(digest)
    assert [(row.version, row.digest) for row in rows_of(partition_versions)] == [(1, "a"), (2, "b"), (3, "a")]


def test_partitions_are_counted_apart() -> None:
    _publish("a", partition=january(1))
    _publish("b", partition=january(2))
    _publish("c", dataset="outcomes")
    assert {(row.dataset, int(row.partition[-2:]), row.version) for row in rows_of(partition_versions)} == {
        ("weather", 1, 1), ("weather", 2, 1), ("outcomes", 1, 1),
    }  # fmt: skip


def test_current_partitions_come_oldest_first_and_within_their_bounds() -> None:
    for day in (3, 1, 2):
        _publish("a", partition=january(day))
        _publish("b", partition=january(day))
    assert [(int(each.partition[-2:]), each.version) for each in current_partitions("weather")] == [(1, 2), (2, 2), (3, 2)]
    assert [int(each.partition[-2:]) for each in current_partitions("weather", january(2), january(2))] == [2]


def test_a_read_as_of_a_moment_sees_what_was_known_then_and_no_more() -> None:
    _publish("morning", known=MORNING)
    _publish("evening", known=EVENING)
    assert _known(MORNING - dt.timedelta(microseconds=1)) == []
    assert _known(MORNING) == ["morning"]
    assert _known(NOON) == ["morning"]
    assert _known(EVENING) == ["evening"]
    assert _known(None) == ["evening"]


def test_superseded_versions_are_known_too_and_later_ones_are_not() -> None:
    for digest, known in (("morning", MORNING), ("noon", NOON), ("evening", EVENING)):
        _publish(digest, known=known)
    assert [each.digest for each in known_versions("weather", as_of=NOON, first=EARLIEST, last=LATEST)] == ["morning", "noon"]


def test_a_version_is_read_back_whole_or_by_column() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    storage.write_frame("p", frame)
    version, _ = _publish("a")
    pd.testing.assert_frame_equal(read_partition(version), frame)
    assert list(read_partition(version, ["b"]).columns) == ["b"]


def test_two_processes_that_publish_at_once_lose_no_version_and_make_none_twice() -> None:
    code = (
        "import datetime as dt\n"
        "from include.evergreen.data.partitions import publish_partition\n"
        "def publish(digest):\n"
        "    publish_partition(dataset='weather', partition='2013-01-01', origin='live',\n"
        "        known_at=lambda _: dt.datetime(2013, 1, 2, tzinfo=dt.UTC), content={'digest': digest, 'path': 'p', 'rows': 1,\n"
        "        'quarantine_digest': 'q', 'quarantine_path': 'q', 'quarantined': 0, 'source_rows': 1})\n"
        "for number in range(15):\n"
        "    publish(f'{PROCESS}-{number}')\n"
        "publish('the end')\n"
    )
    processes = [start_code(f"PROCESS = {number}\n{code}") for number in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    rows = rows_of(partition_versions)
    assert [row.version for row in rows] == list(range(1, len(rows) + 1))
    assert {row.digest for row in rows} == {f"{process}-{number}" for process in range(2) for number in range(15)} | {"the end"}
    assert all(row.digest != following.digest for row, following in pairwise(rows))


def _publish(
    digest: str,
    *,
    dataset: str = "weather",
    partition: Partition = DAY,
    known: dt.datetime = MORNING,
    origin: str = "live",
    quarantine_digest: str = "q",
) -> tuple[PartitionVersion, bool]:
    content: dict[str, Any] = {
        "digest": digest,
        "path": "p",
        "rows": 2,
        "quarantine_digest": quarantine_digest,
        "quarantine_path": "q",
        "quarantined": 0,
        "source_rows": 2,
    }
    return publish_partition(dataset=dataset, partition=partition, content=content, known_at=lambda _: known, origin=origin)


def _known(as_of: dt.datetime | None) -> list[str]:
    return [each.digest for each in known_partitions("weather", as_of=as_of, first=january(1), last=january(1))]
