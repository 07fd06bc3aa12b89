"""Three processes escalate at the same moment, again and again: each message is sent once."""

from __future__ import annotations

import datetime as dt
import urllib.request
from collections import Counter

import pytest

from include.evergreen.foundation import clock
from include.evergreen.oncall import Message, escalate
from include.evergreen.oncall.messages import AnyChannel
from include.evergreen.state.alerts import raise_alert, resolve_alert
from tests.servers.http import HttpServer
from tests.unit.oncall.conftest import ONCALL, Write
from tests.unit.racing import Racers

ROUNDS = 4


def rounds(url: str, minutes: int) -> int:
    """A racer's job."""

    def send(channel: AnyChannel, message: Message) -> None:
        with urllib.request.urlopen(urllib.request.Request(url, message.key.encode()), timeout=10) as answer:
            answer.read()

    now = clock.now() + dt.timedelta(minutes=minutes)
    return sum(escalate(send, now) for _ in range(2))


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("home")
def test_of_several_processes_that_escalate_at_once_one_sends_each_message(write: Write) -> None:
    write(ONCALL)
    with HttpServer() as server, Racers(3, [__name__]) as racers:
        server.answers[""] = server.answers["/"] = lambda request: request.answer(200)
        delivered = 0
        for number in range(ROUNDS):
            raise_alert(f"task/{number}", severity="critical", message="it failed", model="air_time")
            if number:
                resolve_alert(f"task/{number - 1}")
            jobs = [(rounds, {"url": server.url, "minutes": 2 * number}, 0.02 * racer) for racer in range(3)]
            delivered += sum(racers.race(*jobs))
    posts = Counter(request.body.decode() for request in server.requests)
    assert set(posts.values()) == {1}
    assert delivered == len(posts) == ROUNDS * 2 + (ROUNDS - 1) * 2  # each to two, and the end of all but the last
