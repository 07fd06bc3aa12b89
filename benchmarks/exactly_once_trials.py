"""The trials of `benchmarks.exactly_once`, in a process that has Airflow's plugins."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException, TaskDeferred
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.shared_stream import SharedStreamManager

from benchmarks.report import say
from evergreen_airflow.sensors.retraining import RetrainingSensor, TriggerTrainingOperator
from evergreen_airflow.triggers import firing
from include.evergreen.config import Catalog
from include.evergreen.config.monitoring import Rule
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import answer_firing, list_firings
from include.evergreen.state import ledger
from include.evergreen.state.database import disconnect, migrate, reading
from include.evergreen.state.database.tables import ledger as entries

FIRST = "2013-02-01"
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
KILLED_WITHIN_SECONDS = 0.5
SLOW_SECONDS = 0.2  # ten polls
RETRIES = 2  # of a task
LATER = dt.timedelta(hours=30)  # longer than any wait for a training that failed
MOVED_HOURS = (-8760, -26, -3, -1, 1, 3, 26, 8760)
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Misfortunes:
    """What happens in one trial; '', 0 and False: nothing."""

    armed: int  # processes that wait
    killed: str  # "while armed", "as it fires"
    slow: bool  # the call for the training
    refused: str  # "before", "after", "each time"
    cleared: tuple[str, ...]  # "the run", "the last task"
    twice: str  # "again", "at once"
    moved_hours: int
    moved: str  # "before", "after"
    backfilled: bool

    @classmethod
    def draw(cls, seed: int) -> Misfortunes:
        """Those of one trial: each with an even chance."""
        chance = random.Random(seed)
        return cls(
            armed=chance.choice((1, 2)),
            killed=chance.choice(("", "", "while armed", "as it fires")),
            slow=chance.choice((False, True)),
            refused=chance.choice(("", "", "", "before", "after", "each time")),
            cleared=tuple(chance.choices(("the run", "the last task"), k=chance.choice((0, 0, 1, 2)))),
            twice=chance.choice(("", "", "again", "at once")),
            moved_hours=chance.choice((*[0] * len(MOVED_HOURS), *MOVED_HOURS)),
            moved=chance.choice(("before", "after")),
            backfilled=chance.choice((False, True)),
        )

    @property
    def names(self) -> list[str]:
        """For the count of them."""
        moved = [f"clock moved {'back' if self.moved_hours < 0 else 'ahead'}"] if self.moved_hours else []
        two = [*(["two armed"] if self.armed > 1 else []), *(["slow call"] if self.slow else [])]
        return [*two, *([f"killed {self.killed}"] if self.killed else []), *([f"refused {self.refused}"] if self.refused else []),
                *(f"cleared {each}" for each in dict.fromkeys(self.cleared)), *([f"written {self.twice}"] if self.twice else []),
                *moved, *(["backfilled"] if self.backfilled else [])]  # fmt: skip


class Airflow:
    """As much of Airflow's server as retraining asks: runs of the training, and what a task of the retraining's run returned.

    A file that is there is a run that is queued or running.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.model = model
        self.folder = folder / model
        (self.folder / "runs").mkdir(parents=True)

    def create(self, run_id: str) -> None:
        """Make a run, as the API does: one that is there already stays as it is."""
        (self.folder / "runs" / run_id).touch()

    def runs(self) -> list[str]:
        """All that were made."""
        return sorted(path.name for path in (self.folder / "runs").iterdir())

    def count(self, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        """What Airflow answers a task or a trigger that asks for active runs."""
        assert dag_id == f"{self.model}.train"
        assert "running" in states
        return len(set(run_ids) & set(self.runs()))

    def once(self, name: str) -> bool:
        """Whether it is asked for the first time, in whatever process."""
        try:
            os.close(os.open(self.folder / name, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def note(self, name: str, document: Any) -> None:
        """Write a document whole, in place of any."""
        unfinished = self.folder / f"{name}.{os.getpid()}"
        unfinished.write_text(json.dumps(document), encoding="utf-8")
        unfinished.replace(self.folder / name)

    def noted(self, name: str) -> Any:
        """What `note` wrote; None before."""
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


class Refused(Exception):
    """Airflow's server did not answer the call for the training."""


# --- what the processes do --------------------------------------------------------------------------------------------


def wait_and_trigger(airflow: Airflow, misfortunes: Misfortunes, slot: int) -> None:
    """One run of the retraining, in the place of the scheduler, the triggerer and the worker; what is done already is not repeated."""
    _follow_clock(airflow)
    event = airflow.noted(f"event-{slot}")
    if event is None:
        event = _sensed(airflow, slot)
        airflow.note(f"event-{slot}", event)
    for _ in range(1 + RETRIES):
        try:
            _triggered(airflow, misfortunes, event)
            break
        except Refused:
            continue
    airflow.note(f"done-{slot}", True)


def _follow_clock(airflow: Airflow) -> None:
    """This process's clock is moved as the trial says, from then on when it says so."""
    real = clock.now
    clock.now = lambda: real() + dt.timedelta(hours=airflow.noted("moved") or 0)
    RuntimeTaskInstance.get_dr_count = staticmethod(airflow.count)


def _context(event: Any = None) -> Any:
    return {"ti": SimpleNamespace(xcom_pull=lambda task_ids: event), "params": {}, "run_id": "a run"}


def _sensed(airflow: Airflow, slot: int) -> dict[str, Any]:
    sensor = RetrainingSensor(task_id="wait_for_trigger", model=airflow.model, poll_seconds=POLL_SECONDS)
    resume: Callable[[], dict[str, Any]] = lambda: sensor.execute(_context())  # noqa: E731
    while True:
        try:
            return resume()
        except TaskDeferred as deferred:
            path, arguments = deferred.trigger.serialize()
            assert path.endswith("FiringTrigger")
            event = asyncio.run(_event(firing.FiringTrigger(**arguments), airflow, slot))
            resume = lambda event=event: sensor.execute_complete(_context(), event)  # type: ignore[misc]  # noqa: E731


async def _event(trigger: firing.FiringTrigger, airflow: Airflow, slot: int) -> Any:
    streams = SharedStreamManager()
    stream = streams.subscribe(trigger_id=slot, trigger=trigger, key=trigger.shared_stream_key())
    airflow.note(f"armed-{slot}", True)
    try:
        return (await anext(trigger.filter_shared_stream(stream))).payload
    finally:
        await streams.stop_all()


def _triggered(airflow: Airflow, misfortunes: Misfortunes, event: dict[str, Any]) -> None:
    task = TriggerTrainingOperator(task_id="trigger_training", model=airflow.model, sensor_task_id="wait_for_trigger")
    try:
        task.execute(_context(event))
    except AirflowSkipException:
        return
    except DagRunTriggerException as asked:
        assert asked.trigger_dag_id == f"{airflow.model}.train"
        first = airflow.once("called")
        if misfortunes.slow:
            time.sleep(SLOW_SECONDS)
        if misfortunes.refused == "each time" and not airflow.noted("recovered"):
            raise Refused from None
        if misfortunes.refused == "before" and first:
            raise Refused from None
        airflow.create(asked.dag_run_id)
        if misfortunes.refused == "after" and first:
            raise Refused from None
        return
    raise AssertionError("the task asked for no training and was not skipped")


def record(airflow: Airflow, figures: list[Observation]) -> None:
    """Record what was observed, one day after the other."""
    _follow_clock(airflow)
    for figure in figures:
        record_observations(airflow.model, figure.partition, [figure])


def look_again(airflow: Airflow) -> None:
    """The next run of the retraining: its sensor looks once, and triggers what it is told to."""
    _follow_clock(airflow)
    sensor = RetrainingSensor(task_id="wait_for_trigger", model=airflow.model, poll_seconds=POLL_SECONDS)
    try:
        event = sensor.execute(_context())
    except TaskDeferred:
        return
    _triggered(airflow, NONE, event)


NONE = Misfortunes(1, "", slow=False, refused="", cleared=(), twice="", moved_hours=0, moved="before", backfilled=False)


# --- a trial ----------------------------------------------------------------------------------------------------------


def trial(airflow: Airflow, misfortunes: Misfortunes, seed: int) -> list[str]:
    """Do it, and say in words what is wrong."""
    rule = Catalog().model(airflow.model).retrain.rules[0]
    if misfortunes.backfilled:
        _do(record, airflow, _figures(airflow.model, rule, "backfill", days=rule.n, first="2013-01-01"))
    waiting = {slot: _start(wait_and_trigger, airflow, misfortunes, slot) for slot in range(misfortunes.armed)}
    try:
        for slot in waiting:
            _until(partial(airflow.noted, f"armed-{slot}"), f"{airflow.model} is armed")
        if list_firings(airflow.model):
            return ["backfilled figures fired"]
        _fire(airflow, misfortunes, waiting, _figures(airflow.model, rule, "live", days=rule.k, first=FIRST), random.Random(seed))
        _until(lambda: any(airflow.noted(f"done-{slot}") for slot in waiting), f"{airflow.model} has fired")
    finally:
        for process in waiting.values():
            process.kill()
            process.join()
    if misfortunes.moved == "after":
        airflow.note("moved", misfortunes.moved_hours)
    event = next(filter(None, (airflow.noted(f"event-{slot}") for slot in waiting)))
    for what in misfortunes.cleared:
        _do(look_again, airflow) if what == "the run" else _do(_trigger_again, airflow, misfortunes, event)
    airflow.note("recovered", True)
    _later(airflow)
    wrong = _wrong(airflow, "before the gate decided")
    for run_id in airflow.runs():
        answer_firing(airflow.model, run_id)
    _later(airflow)
    return wrong or _wrong(airflow, "after the gate decided")


def _fire(
    airflow: Airflow, misfortunes: Misfortunes, waiting: dict[int, ForkProcess], figures: list[Observation], chance: random.Random
) -> None:
    """Observe what trips, with what happens around it; ``waiting`` holds who waits, also after one of them was killed."""
    if misfortunes.killed == "while armed":
        waiting[0] = _replaced(waiting[0], airflow, misfortunes)
    if misfortunes.moved == "before":
        airflow.note("moved", misfortunes.moved_hours)
    for writer in [_start(record, airflow, figures) for _ in range(2 if misfortunes.twice == "at once" else 1)]:
        _end(writer)
    if misfortunes.killed == "as it fires":
        time.sleep(chance.random() * KILLED_WITHIN_SECONDS)
        waiting[0] = _replaced(waiting[0], airflow, misfortunes)
    if misfortunes.twice == "again":
        _do(record, airflow, figures)


def _trigger_again(airflow: Airflow, misfortunes: Misfortunes, event: dict[str, Any]) -> None:
    _follow_clock(airflow)
    with suppress(Refused):
        _triggered(airflow, misfortunes, event)


def _later(airflow: Airflow) -> None:
    """Two more looks, each a day later: one says what has become of the training, and one acts on it."""
    for _ in range(2):
        airflow.note("moved", (airflow.noted("moved") or 0) + LATER.total_seconds() / 3600)
        _do(look_again, airflow)


def _wrong(airflow: Airflow, when: str) -> list[str]:
    fired, runs = list_firings(airflow.model), airflow.runs()
    kept = _entries(airflow.model)
    found = [] if len(fired) == 1 else [f"{len(fired)} firings"]
    found += [] if len(runs) == 1 else [f"the training runs {', '.join(runs) or 'none'}"]
    found += [] if kept == 1 else [f"{kept} entries in the ledger"]
    return [f"{when}: {', '.join(found)}"] if found else []


def _entries(model: str) -> int:
    with reading() as connection:
        return len(connection.execute(entries.select().where(entries.c.kind == "firing", entries.c.model == model)).all())


def _figures(model: str, rule: Rule, origin: str, *, days: int, first: str) -> list[Observation]:
    bound = rule.above if rule.above is not None else rule.below
    assert bound is not None
    value = bound + (1 if rule.above is not None else -1)
    return [Observation(model, DAILY.shift(first, day), rule.metric, value, 1, origin, 900) for day in range(days)]


def _start(work: Callable[..., None], *arguments: Any) -> ForkProcess:
    disconnect()
    process = FORK.Process(target=work, args=arguments)
    process.start()
    return process


def _end(process: ForkProcess) -> None:
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0, f"a process ended with {process.exitcode}"


def _do(work: Callable[..., None], *arguments: Any) -> None:
    _end(_start(work, *arguments))


def _replaced(process: ForkProcess, airflow: Airflow, misfortunes: Misfortunes) -> ForkProcess:
    assert process.pid is not None
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return _start(wait_and_trigger, airflow, misfortunes, 0)


def _until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_SECONDS:g} s"
        time.sleep(0.005)


# --- a poll that raises -----------------------------------------------------------------------------------------------


def failed_runs(airflow: Airflow, seconds: float) -> int:
    """Runs of the retraining that fail while the poll raises for so long; afterwards the rule must fire."""
    rule = Catalog().model(airflow.model).retrain.rules[0]
    failed, until = 0, time.monotonic() + seconds
    process = _start(_wait_with_failing_poll, airflow, until)
    while time.monotonic() < until:
        process.join(max(0, until - time.monotonic()))
        if process.exitcode is not None:  # a continuous schedule starts the next at once
            failed += 1
            process = _start(_wait_with_failing_poll, airflow, until)
    record(airflow, _figures(airflow.model, rule, "live", days=rule.k, first=FIRST))
    try:
        _end(process)
    finally:
        process.kill()
    assert len(airflow.runs()) == 1, "after the poll had raised the rule did not fire"
    return failed


def _wait_with_failing_poll(airflow: Airflow, until: float) -> None:
    poll = firing._poll

    def failing(after: int) -> Any:
        if time.monotonic() < until:
            raise OSError("the database is away")
        return poll(after)

    firing._poll = failing
    wait_and_trigger(airflow, NONE, 0)


def measure(form: dict[str, Any]) -> dict[str, Any]:
    migrate()
    logging.disable(logging.CRITICAL)
    models, folder = Catalog().model_names(), Path(form["airflow"])
    wrong: list[str] = []
    drawn: Counter[str] = Counter()
    runs = failed_runs(Airflow(folder, models[-1]), form["failing_seconds"])
    if runs > 1:
        wrong.append(f"a poll that raised for {form['failing_seconds']:g} s made {runs} failed runs")
    for number in range(form["trials"]):
        misfortunes = Misfortunes.draw(form["seed"] + number)
        drawn.update(misfortunes.names or ["none"])
        words = trial(Airflow(folder, models[number]), misfortunes, form["seed"] + number)
        wrong += [f"seed {form['seed'] + number} ({', '.join(misfortunes.names)}): {each}" for each in words]
        if (number + 1) % 10 == 0:
            say(f"{number + 1} trials, {len(wrong)} of them wrong")
    wrong += [f"the ledger: {each}" for each in ledger.verify()]
    figures = {"trials": form["trials"], "with_one_firing_and_one_training": form["trials"] - len(wrong), "failed_runs": runs}
    return {"figures": {**figures, "poll_raised_s": form["failing_seconds"], "misfortunes": dict(sorted(drawn.items()))}, "wrong": wrong}


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
