"""Processes forked from one that has imported what they need, and has done nothing else: most of what a new one costs is its imports."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from tools.forked import file_to_print_into, print_into, run_forked, within

IMPORTED = (
    "tests.unit.collected_seldom",
    "include.evergreen.serving.check", "include.evergreen.state.mlflow_store", "include.evergreen.promotion.promote",
    "include.evergreen.training.fitting", "include.evergreen.training.pipeline", "pandas", "pyarrow.parquet", "skops.io", "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.artifact.local_artifact_repo", "sklearn.compose", "sklearn.ensemble",
    "sklearn.impute", "sklearn.linear_model", "sklearn.pipeline", "sklearn.preprocessing", "great_expectations.expectations",
    "fastapi", "hypothesis", "mlflow.genai", "moto.server", "s3fs", "schemathesis",
    "tests.unit.frozen",
)  # fmt: skip


def warm_context() -> ForkServerContext:
    """Its first process brings the one that has imported everything; later ones find it, also those that such processes start."""
    forked_from = forkserver._forkserver
    if forked_from._forkserver_address is not None and forked_from._forkserver_pid is None:  # this process is one of them
        forked_from.ensure_running = resource_tracker.ensure_running  # multiprocessing would start another server for it
    multiprocessing.set_forkserver_preload(list(IMPORTED))
    return multiprocessing.get_context("forkserver")


def run_warm(module: str, *arguments: str, environment: dict[str, str], output: Path, errors: Path) -> int:
    """Do what ``python -m module`` does, with this process's environment and ``environment`` over it; returns the exit code."""
    return run_forked(warm_context(), module, *arguments, environment={**os.environ, **environment}, output=output, errors=errors)


def start_code(code: str) -> StartedCode:
    """Run ``code`` in a process of its own, with this one's environment. `flights.run_python` has a new interpreter, for its cleanness."""
    return StartedCode(code)


def run_code(code: str, *, exit_code: int = 0) -> str:
    """Run ``code`` as `start_code` does; returns what it printed."""
    process = start_code(code)
    output, errors = process.communicate()  # a test's own time limit holds
    assert process.returncode == exit_code, errors
    return output


class StartedCode:
    """As much of `subprocess.Popen` with pipes as tests ask of a process. What it prints to stderr is a file's, so that nothing waits."""

    def __init__(self, code: str) -> None:
        here, there = warm_context().Pipe(duplex=False)
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._errors = Path(self._folder.name, "errors")
        self._process = start_warm(_run_code, code, there, str(self._errors))
        there.close()
        self.stdout = os.fdopen(os.dup(here.fileno()), encoding="utf-8")
        here.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("code in a warm process", timeout or 0.0)
        return self._process.exitcode

    def communicate(self) -> tuple[str, str]:
        """What it printed since, to its end; a test's own time limit holds."""
        with self.stdout:
            output = self.stdout.read()
        self.wait()
        return output, self._errors.read_text()

    def kill(self) -> None:
        self._process.kill()


def start_warm(work: Callable[..., Any], *arguments: Any, daemon: bool = True) -> ForkServerProcess:
    """Start ``work`` in a process with this one's environment, niceness and places for output of now."""
    printed = [Connection(os.dup(descriptor), readable=False) for descriptor in (1, 2)]
    process = warm_context().Process(target=_as_here, args=(os.nice(0), printed, dict(os.environ), work, arguments), daemon=daemon)
    process.start()
    for place in printed:
        place.close()
    return process


def _as_here(
    niceness: int, printed: list[Connection], environment: dict[str, str], work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.nice(niceness - os.nice(0))
    print_into(*(place.fileno() for place in printed))
    for place in printed:
        place.close()
    within(environment, work, arguments)


def _run_code(code: str, output: Connection, errors: str) -> None:
    print_into(output.fileno(), file_to_print_into(errors))
    output.close()
    sys.argv = ["-c"]
    exec(compile(code, "<a test's code>", "exec"), {"__name__": "__main__"})
