"""Processes that live through a whole test, import everything first, and then do things at the same moment, round after round."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.unit.warm import start_warm, warm_context

TIMES = 4  # what Airflow would try again too
PATIENCE_SECONDS = 120
Job = tuple[Callable[..., Any], dict[str, Any], float]  # a function of a module, its arguments, and seconds to wait at the start


class Racers:
    """``number`` processes; `race` gives each its job, and they start together."""

    def __init__(self, number: int, modules: Sequence[str]) -> None:
        context = warm_context()
        self._barrier = context.Barrier(number)
        self._pipes, self._processes = [], []
        for _ in range(number):
            here, there = context.Pipe()
            process = start_warm(_serve, there, self._barrier, list(modules))
            self._pipes.append(here)
            self._processes.append(process)
        for pipe in self._pipes:
            assert pipe.poll(PATIENCE_SECONDS) and pipe.recv() == "ready"

    def race(self, *jobs: Job) -> list[Any]:
        """What each job returned, once all are done; the first failure is raised here."""
        for pipe, job in zip(self._pipes, jobs, strict=True):
            pipe.send(job)
        answers = []
        for pipe in self._pipes:
            assert pipe.poll(PATIENCE_SECONDS), "a racer does not answer"
            answers.append(pipe.recv())
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    def __enter__(self) -> Racers:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send(None)
            process.join(10)
            process.kill()


def _serve(pipe: Any, barrier: Any, modules: list[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    from include.evergreen.foundation.errors import TransientError

    pipe.send("ready")
    while (job := pipe.recv()) is not None:
        function, arguments, wait = job
        barrier.wait(PATIENCE_SECONDS)
        time.sleep(wait)
        for left in reversed(range(TIMES)):
            try:
                pipe.send(function(**arguments))
                break
            except TransientError as error:
                if not left:
                    pipe.send(error)
            except Exception as error:  # for the test to raise
                pipe.send(error)
                break
