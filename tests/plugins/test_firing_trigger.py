"""The trigger behind the armed sensor."""

import asyncio

import pytest

from evergreen_airflow.triggers import firing
from evergreen_airflow.triggers.firing import FiringTrigger
from include.evergreen import pauses

pytestmark = pytest.mark.usefixtures("home")


def first_event(trigger):
    async def wait():
        async for event in trigger.run():
            return event

    return asyncio.run(asyncio.wait_for(wait(), timeout=20))


def test_it_survives_serialisation():
    path, arguments = FiringTrigger("flight_delay", 5.0).serialize()
    assert path == "evergreen_airflow.triggers.firing.FiringTrigger"
    assert FiringTrigger(**arguments).serialize() == (path, arguments)


def test_it_yields_one_event_when_a_rule_trips(monkeypatch):
    answers = iter([None, None, "performance.auc<0.6 (2 of 3)"])
    monkeypatch.setattr(firing, "_what_trips", lambda model: next(answers))
    assert first_event(FiringTrigger("flight_delay", 0.01)).payload == {"words": "performance.auc<0.6 (2 of 3)"}


def test_an_error_is_logged_once_and_the_sensor_stays_armed(monkeypatch):
    answers = iter([OSError("the database is away"), OSError("the database is away"), "it trips"])
    logged = []

    def what_trips(model):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(firing, "_what_trips", what_trips)
    trigger = FiringTrigger("flight_delay", 0.01)
    monkeypatch.setattr(type(trigger.log), "exception", lambda self, *words: logged.append(words), raising=False)
    assert first_event(trigger).payload == {"words": "it trips"}
    assert len(logged) == 1


def test_a_pause_holds_what_trips_is_logged_once_and_lets_go_when_it_is_lifted(monkeypatch):
    monkeypatch.setattr(firing, "_what_trips", lambda model: "it trips")
    pauses.pause(hours=1, actor="ada", reason="a bad feed")
    trigger, logged = FiringTrigger("flight_delay", 0.01), []
    monkeypatch.setattr(type(trigger.log), "info", lambda self, *words: logged.append(words[-1]), raising=False)

    async def wait():
        events = asyncio.create_task(anext(trigger.run()))
        await asyncio.sleep(0.5)  # dozens of polls
        assert not events.done()
        await asyncio.to_thread(pauses.lift, actor="ada", reason="it is mended")
        return await asyncio.wait_for(events, timeout=20)

    assert asyncio.run(wait()).payload == {"words": "it trips"}
    assert [each.split(",")[0].split(" until")[0] for each in logged] == [
        "fires nothing",
        "the pause is over; the rules count again",
    ]
    assert "ada paused" in logged[0]
