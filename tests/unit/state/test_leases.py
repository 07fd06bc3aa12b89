"""Of several processes one does a work, and when it is gone another."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from include.evergreen.foundation import clock
from include.evergreen.state.database import writing
from include.evergreen.state.leases import acquire, holds, read_lease, release

pytestmark = pytest.mark.usefixtures("home")


def test_one_of_many_gets_it() -> None:
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda number: acquire("watch", f"process {number}", 30), range(8)))
    assert sum(lease is not None for lease in got) == 1


def test_its_holder_renews_it_and_nobody_else_gets_it_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    first = acquire("watch", "a", 30)
    assert first is not None
    now += dt.timedelta(seconds=29)
    assert acquire("watch", "b", 30) is None
    renewed = acquire("watch", "a", 30)
    assert renewed is not None
    assert (renewed.term, renewed.acquired_at, renewed.expires_at) == (1, first.acquired_at, now + dt.timedelta(seconds=30))
    now += dt.timedelta(seconds=30)
    taken = acquire("watch", "b", 30)
    assert taken is not None
    assert (taken.holder, taken.term) == ("b", 2)
    with writing() as connection:
        assert not holds(connection, renewed), "what it does now comes too late"
        assert holds(connection, taken)


def test_who_lets_go_leaves_it_to_the_next_at_once() -> None:
    acquire("watch", "a", 3600)
    release("watch", "b")
    assert acquire("watch", "b", 30) is None
    release("watch", "a")
    lease = read_lease("watch")
    assert lease is not None
    assert not lease.is_held
    assert acquire("watch", "b", 30) is not None
