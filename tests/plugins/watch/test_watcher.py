"""Of all API servers one watches; whatever fails, it goes on; and anybody who is logged in can see that it does."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import pytest

from include.evergreen.foundation import clock
from include.evergreen.state import leases

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.usefixtures("home", "airflow_app")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What duties did: one that fails, and one after it."""
    from evergreen_airflow.watch import watcher
    from evergreen_airflow.watch.duties import Duty

    did: list[str] = []

    def fail() -> None:
        did.append("fail")
        raise ValueError("a duty of somebody's")

    monkeypatch.setattr(watcher, "own_duties", lambda: [Duty("fail", 0, lambda _: fail()), Duty("go on", 0, lambda _: did.append("go on"))])
    return did


def test_one_of_two_watches_and_the_other_follows_when_it_stops_or_dies(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from evergreen_airflow.watch.watcher import LEASE, LEASE_SECONDS, Watcher

    one, other = Watcher(), Watcher()
    assert one.look() and not other.look() and one.look()
    leases.release(LEASE, one.holder)
    assert other.look() and not one.look()
    later = clock.now() + dt.timedelta(seconds=LEASE_SECONDS + 1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert one.look(), "the other was killed"
    lease = leases.read_lease(LEASE)
    assert lease is not None and lease.term == 3


def test_a_duty_that_fails_keeps_no_other_from_its_work_nor_the_watcher_from_its_next_round(
    done: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    from evergreen_airflow.watch.watcher import Watcher

    watcher = Watcher()
    assert watcher.look() and watcher.look()
    assert done == ["fail", "go on", "fail", "go on"]
    assert "could not fail" in caplog.text and "a duty of somebody's" in caplog.text


def test_it_survives_a_database_that_is_down_and_stops_at_once_and_lets_the_lease_go(
    done: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from evergreen_airflow.watch import watcher

    monkeypatch.setattr(watcher, "PERIOD_SECONDS", 0.05)
    acquire = leases.acquire
    answers = iter([OSError("down"), OSError("down")])

    def sometimes(*arguments: Any) -> Any:
        if error := next(answers, None):
            raise error
        return acquire(*arguments)

    monkeypatch.setattr(leases, "acquire", sometimes)
    watching = watcher.Watcher()
    watching.start()
    deadline = time.monotonic() + 10
    while "go on" not in done:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    began = time.monotonic()
    watching.stop()
    assert time.monotonic() - began < 2
    lease = leases.read_lease(watcher.LEASE)
    assert lease is not None and not lease.is_held
    assert "The watcher waits: down" in caplog.text


def test_the_app_watches_as_long_as_it_lives_unless_that_is_switched_off(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from evergreen_airflow.watch import lifespan
    from evergreen_airflow.watch.watcher import LEASE

    async def live() -> bool:
        async with lifespan.watching(None):  # type: ignore[arg-type]
            for _ in range(100):
                await asyncio.sleep(0.02)
                if (lease := leases.read_lease(LEASE)) and lease.is_held:
                    return True
        return False

    assert asyncio.run(live())
    lease = leases.read_lease(LEASE)
    assert lease is not None and not lease.is_held
    monkeypatch.setenv(lifespan.SWITCH, "off")
    assert not asyncio.run(live())


def test_the_health_page_tells_who_watches_to_whoever_is_logged_in(
    reader: TestClient, anonymous: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert anonymous.get("/evergreen/health").status_code == 401
    answer = reader.get("/evergreen/health")
    assert (answer.status_code, answer.json()["reason"]) == (503, "no watcher ever began")
    assert leases.acquire("watch", "a host:1", 30)
    answer = reader.get("/evergreen/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["watcher"]["holder"]) == (200, "healthy", "a host:1")
    later = clock.now() + dt.timedelta(seconds=90)
    monkeypatch.setattr(clock, "now", lambda: later)
    answer = reader.get("/evergreen/health")
    assert answer.status_code == 503 and "not breathed for 90 s" in answer.json()["reason"]
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", "postgresql+psycopg2://nobody:secret@127.0.0.1:1/none")
    answer = reader.get("/evergreen/health")
    assert answer.status_code == 503 and "secret" not in answer.text
