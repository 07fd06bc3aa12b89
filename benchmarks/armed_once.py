"""What `benchmarks.armed` measures, in a process that has Airflow's plugins."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from benchmarks.report import say
from evergreen_airflow.triggers import firing
from include.evergreen.config import Catalog
from include.evergreen.config.monitoring import Rule
from include.evergreen.foundation.grain import DAILY
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import tripped
from include.evergreen.state.database import migrate, writing
from include.evergreen.state.database.tables import observations

LAST = "2025-12-31"


class Armed:
    """Triggers of all models, in the streams of a triggerer."""

    def __init__(self, models: list[str], poll_seconds: float) -> None:
        from airflow.triggers.shared_stream import SharedStreamManager

        self._streams = SharedStreamManager()
        self.tasks = {}
        for number, model in enumerate(models):
            trigger = firing.FiringTrigger(model, poll_seconds)
            stream = self._streams.subscribe(trigger_id=number, trigger=trigger, key=trigger.shared_stream_key())
            self.tasks[model] = asyncio.create_task(anext(trigger.filter_shared_stream(stream)))

    def fired(self) -> set[str]:
        return {model for model, task in self.tasks.items() if task.done()}

    async def disarm(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await self._streams.stop_all()


def measure(form: dict[str, Any]) -> dict[str, Any]:
    migrate()
    catalog = Catalog()
    rules = {model: catalog.model(model).retrain.rules for model in catalog.model_names()}
    say(f"{len(rules)} models, observed on {form['days']} days")
    _observe_years(rules, form["days"])
    return asyncio.run(_wait(rules, **form))


async def _wait(
    rules: dict[str, tuple[Rule, ...]], days: int, seconds: float, poll_seconds: float, firings: int, **_: Any
) -> dict[str, Any]:
    models = sorted(rules)
    looks: list[str] = []
    look = firing._tripped_rule

    def counted_look(model: str) -> str | None:
        looks.append(model)
        return look(model)

    firing._tripped_rule = counted_look
    armed = Armed(models, poll_seconds)
    try:
        await _until(lambda: len(set(looks)) == len(models))
        await asyncio.sleep(2 * poll_seconds)
        began = time.process_time()
        await asyncio.to_thread(lambda: [look(model) for model in models])
        all_looked = time.process_time() - began
        say(f"all looked at, {all_looked:.1f} s of processor time; now nothing trips for {seconds:g} s")
        looks.clear()
        idle = await _processor_share(seconds, lambda number: _observe(models[number], rules, 1, trips=False))
        own_polls = all_looked / poll_seconds
        figures: dict[str, float] = {"models": len(models), "observations": len(models) * days, "looks": len(looks)}
        waits, firing_models = [], models[:firings]
        for model in firing_models:
            waits.append(await _seconds_to_fire(armed, model, rules))
        fired, found = armed.fired(), {model for model in models if tripped(Catalog().model(model))}
        share = idle + all_looked / firing.ALL_SECONDS
        figures |= {"idle_core_share": idle, "core_share": share, "own_polls_core_share": own_polls, "seconds_to_fire": max(waits)}
        return {"figures": figures, "ours": sorted(fired), "plain": sorted(found)}
    finally:
        firing._tripped_rule = look
        await armed.disarm()


async def _processor_share(seconds: float, observe: Callable[[int], Awaitable[None]]) -> float:
    began, since, number = time.process_time(), time.monotonic(), 0
    while (left := seconds - (time.monotonic() - since)) > 0:
        await observe(number)
        number += 1
        await asyncio.sleep(min(10, left))
    return (time.process_time() - began) / (time.monotonic() - since)


async def _seconds_to_fire(armed: Armed, model: str, rules: dict[str, tuple[Rule, ...]]) -> float:
    rule = rules[model][0]
    for day in range(2, 2 + rule.k):
        await _observe(model, rules, day, trips=True)
    recorded = time.monotonic()
    await asyncio.wait_for(armed.tasks[model], timeout=60)
    return time.monotonic() - recorded


async def _observe(model: str, rules: dict[str, tuple[Rule, ...]], day: int, *, trips: bool) -> None:
    """One more day after the last; also the write is part of what is measured, and it is small."""
    partition = DAILY.shift(LAST, day)
    figures = [Observation(model, partition, rule.metric, _value(rule, trips), 1, "live", 900) for rule in rules[model]]
    await asyncio.to_thread(record_observations, model, partition, figures)


def _value(rule: Rule, trips: bool) -> float:
    assert rule.declared_bound is not None
    beyond = 1 if rule.above is not None else -1
    return rule.declared_bound + (beyond if trips else -beyond)


def _observe_years(rules: dict[str, tuple[Rule, ...]], days: int) -> None:
    moment = DAILY.start(LAST) + dt.timedelta(hours=3)
    for model, of_model in rules.items():
        with writing() as connection:
            connection.execute(observations.insert(), list(_rows(model, of_model, days, moment)))


def _rows(model: str, rules: tuple[Rule, ...], days: int, moment: dt.datetime) -> Iterator[dict[str, object]]:
    for back in range(days):
        for rule in rules:
            yield {"model": model, "partition": DAILY.shift(LAST, -back), "metric": rule.metric, "value": _value(rule, False),
                   "version": 1, "origin": "live", "rows": 900, "recorded_at": moment}  # fmt: skip


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(600):
        while not condition():
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
