"""The sensor of a retraining, the trigger behind it, and what it triggers."""

import asyncio
import threading
from collections import Counter
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from airflow.triggers.shared_stream import SharedStreamManager

from evergreen_airflow.triggers import firing
from evergreen_airflow.triggers.firing import FiringTrigger
from include.evergreen.monitoring import Observation, record_observations, triggers
from include.evergreen.state import pauses
from include.evergreen.state.alerts import open_alerts

pytestmark = pytest.mark.usefixtures("home")


def first_event(trigger):
    async def wait():
        async for event in trigger.run():
            return event

    return asyncio.run(asyncio.wait_for(wait(), timeout=20))


@pytest.fixture
def rules(monkeypatch):
    """What the rules of a model, of which there is always news, say: words, None, or an error. The last is said for ever."""
    answers = []

    def tripped(model):
        assert model.name == "flight_delay"
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(message=answer) if answer else None

    poll = firing._poll
    monkeypatch.setattr(firing, "_poll", lambda after: (*poll(after)[:2], frozenset({"flight_delay"})))
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


DAY = "2013-02-09"


@pytest.fixture
def looks(monkeypatch):
    """How often the rules of each model were evaluated; those of which the name ends in -trips trip once they were observed."""
    counted, observed = Counter(), set()

    def tripped_rule(model):
        counted[model] += 1
        return "it trips" if model in observed else None

    monkeypatch.setattr(firing, "_tripped_rule", tripped_rule)
    return SimpleNamespace(counted=counted, observed=observed)


def observe(model, day=DAY, *, origin="live"):
    record_observations(model, day, [Observation(model, day, "drift.share", 0.9, 1, origin, 900)])


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


class Triggerer:
    """What Airflow's triggerer does with triggers that share a stream."""

    def __init__(self):
        self.streams, self.tasks = SharedStreamManager(), {}

    def start(self, *models, poll_seconds=0.02):
        for model in models:
            trigger = FiringTrigger(model, poll_seconds)
            stream = self.streams.subscribe(trigger_id=len(self.tasks), trigger=trigger, key=trigger.shared_stream_key())
            self.tasks[model] = asyncio.create_task(anext(trigger.filter_shared_stream(stream)))

    def fired(self):
        return {model for model, task in self.tasks.items() if task.done() and task.result().payload == {"summary": "it trips"}}

    async def stop(self):
        for task in self.tasks.values():
            task.cancel()
        await self.streams.stop_all()


def in_a_triggerer(wait):
    async def run():
        triggerer = Triggerer()
        try:
            await wait(triggerer)
        finally:
            await triggerer.stop()

    asyncio.run(run())


def test_a_thousand_triggers_ask_the_database_as_often_as_one_and_only_the_observed_model_is_looked_at(looks, monkeypatch):
    models = [f"model_{number}" for number in range(1000)]
    polls, poll, asked = [], firing._poll, threading.local()  # a trigger's own first look asks too, from another thread

    def counted_poll(after):
        asked.queries = Counter()
        try:
            return poll(after)
        finally:
            polls.append(asked.queries)
            asked.queries = None

    def note(connection, cursor, statement, *_):
        if getattr(asked, "queries", None) is not None:
            asked.queries[statement.split(" ", 1)[0]] += 1

    monkeypatch.setattr(firing, "_poll", counted_poll)
    sa.event.listen(sa.Engine, "before_cursor_execute", note)

    async def wait(triggerer):
        triggerer.start(*models)
        await until(lambda: len(looks.counted) == 1000)  # each at once, since nobody told of earlier news
        await asyncio.sleep(0.1)
        quiet, idle = len(polls), dict(looks.counted)
        await until(lambda: len(polls) > quiet + 5)
        assert [queries["SELECT"] for queries in polls[quiet:]] == [3] * len(polls[quiet:]), "the pause, the news and the firings"
        assert looks.counted == idle
        looks.observed.add("model_7")
        await asyncio.to_thread(observe, "model_7")
        await until(lambda: triggerer.fired() == {"model_7"})
        assert looks.counted - Counter(idle) == {"model_7": 1}

    try:
        in_a_triggerer(wait)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_an_observation_between_the_sensors_look_and_the_first_poll_is_not_missed(looks):
    observe("early")
    looks.observed.add("early")

    async def wait(triggerer):
        triggerer.start("early")
        await until(lambda: triggerer.fired() == {"early"})
        looks.observed.add("late")
        await asyncio.to_thread(observe, "late")
        await asyncio.sleep(0.1)
        triggerer.start("late")  # the others have heard the news before it came
        await until(lambda: triggerer.fired() == {"early", "late"})

    in_a_triggerer(wait)


def test_a_partition_that_is_observed_again_is_news_again(looks):
    observe("again")

    async def wait(triggerer):
        triggerer.start("again")
        await until(lambda: looks.counted["again"])
        await asyncio.sleep(0.1)
        looks.observed.add("again")
        await asyncio.to_thread(observe, "again")  # SQLite gives the row the number that it had
        await until(lambda: triggerer.fired() == {"again"})

    in_a_triggerer(wait)


def test_a_database_that_is_away_ends_no_trigger_and_is_told_once(looks, monkeypatch, caplog):
    poll, failures = firing._poll, [OSError("the database is away")] * 3

    def failing_poll(after):
        if failures:
            raise failures.pop()
        return poll(after)

    monkeypatch.setattr(firing, "_poll", failing_poll)
    looks.observed.add("patient")

    async def wait(triggerer):
        triggerer.start("patient", poll_seconds=0.01)
        await until(lambda: triggerer.fired() == {"patient"})

    in_a_triggerer(wait)
    assert sum("can be evaluated" in record.getMessage() for record in caplog.records) == 1


def test_rules_that_fail_three_times_in_a_row_are_an_alert_which_the_next_look_resolves(rules, monkeypatch):
    rules += [None, ValueError("k is 3"), ValueError("k is 3"), ValueError("k is 3"), "it trips"]
    seen, tripped = [], triggers.tripped

    def seen_tripped(model):
        seen.append([(alert.key, alert.error) for alert in open_alerts("flight_delay")])
        return tripped(model)

    monkeypatch.setattr(triggers, "tripped", seen_tripped)
    assert first_event(FiringTrigger("flight_delay", 0.01)).payload == {"summary": "it trips"}
    assert seen == [[], [], [], [], [("rules/flight_delay", "k is 3")]]
    assert open_alerts("flight_delay") == []
