"""The sensor of a retraining, the trigger behind it, and what it triggers."""

import asyncio
from types import SimpleNamespace

import pytest

from evergreen_airflow.triggers.firing import FiringTrigger
from include.evergreen.monitoring import triggers
from include.evergreen.state import pauses

pytestmark = pytest.mark.usefixtures("home")


def first_event(trigger):
    async def wait():
        async for event in trigger.run():
            return event

    return asyncio.run(asyncio.wait_for(wait(), timeout=20))


@pytest.fixture
def rules(monkeypatch):
    """What the rules of a model say, look after look: words, None, or an error. The last is said for ever."""
    answers = []

    def tripped(model):
        assert model.name == "flight_delay"
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(message=answer) if answer else None

    monkeypatch.setattr(triggers, "tripped", tripped)
    return answers


def test_it_survives_serialisation():
    path, arguments = FiringTrigger("flight_delay", 5.0).serialize()
    assert path == "evergreen_airflow.triggers.firing.FiringTrigger"
    assert FiringTrigger(**arguments).serialize() == (path, arguments)


def test_it_yields_one_event_when_a_rule_trips(rules):
    rules += [None, None, "performance.auc<0.6 (2 of 3)"]
    assert first_event(FiringTrigger("flight_delay", 0.01)).payload == {"summary": "performance.auc<0.6 (2 of 3)"}


def test_it_yields_no_second_event(rules):
    rules += ["it trips"]

    async def all_events():
        return [event async for event in FiringTrigger("flight_delay", 0.01).run()]

    assert len(asyncio.run(asyncio.wait_for(all_events(), timeout=20))) == 1


def test_an_error_is_logged_once_and_the_sensor_keeps_waiting(rules, monkeypatch):
    rules += [OSError("the database is away"), OSError("the database is away"), "it trips"]
    logged = []
    trigger = FiringTrigger("flight_delay", 0.01)
    monkeypatch.setattr(type(trigger.log), "exception", lambda self, *words: logged.append(words), raising=False)
    assert first_event(trigger).payload == {"summary": "it trips"}
    assert len(logged) == 1


def test_a_pause_holds_what_trips_is_logged_once_and_lets_go_when_it_is_lifted(rules, monkeypatch):
    rules += ["it trips"]
    pauses.pause(hours=1, actor="ada", reason="a bad feed")
    trigger, logged = FiringTrigger("flight_delay", 0.01), []
    monkeypatch.setattr(type(trigger.log), "info", lambda self, *words: logged.append(words[-1]), raising=False)
    looks, active_pause = [], pauses.active_pause

    def looked():
        looks.append(active_pause())
        return looks[-1]

    monkeypatch.setattr(pauses, "active_pause", looked)

    async def wait():
        events = asyncio.create_task(anext(trigger.run()))
        while len(looks) < 10:
            await asyncio.sleep(0)
            assert not events.done()
        await asyncio.to_thread(pauses.lift, actor="ada", reason="it is fixed")
        return await asyncio.wait_for(events, timeout=60)

    assert asyncio.run(wait()).payload == {"summary": "it trips"}
    assert [line.split(":")[0] for line in logged] == ["rules are not evaluated", "the pause ended; rules are evaluated again"]
    assert "ada paused" in logged[0]
