"""Processes forked from one that has imported what they need, and has done nothing else: most of what a new one costs is its imports."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

IMPORTED = (
    "include.evergreen.serving.check", "include.evergreen.state.mlflow_store", "include.evergreen.promotion.promote",
    "include.evergreen.training.fitting", "include.evergreen.training.pipeline", "pandas", "pyarrow.parquet", "skops.io", "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.artifact.local_artifact_repo", "sklearn.compose", "sklearn.ensemble",
    "sklearn.impute", "sklearn.linear_model", "sklearn.pipeline", "sklearn.preprocessing", "great_expectations.expectations",
)  # fmt: skip


def warm_context() -> ForkServerContext:
    """Its first process brings the one that has imported everything; later ones, also of processes that are forked from here, find it."""
    multiprocessing.set_forkserver_preload(list(IMPORTED))
    return multiprocessing.get_context("forkserver")


def run_warm(module: str, *arguments: str, environment: dict[str, str], output: Path, errors: Path) -> int:
    """Do what ``python -m module`` does, with this process's environment and ``environment`` over it; returns the exit code."""
    process = warm_context().Process(
        target=_within, args=({**os.environ, **environment}, _run_module, (module, arguments, str(output), str(errors)))
    )
    process.start()
    try:
        process.join()  # a test's own time limit holds
    finally:
        process.kill()  # after that limit
    assert process.exitcode is not None
    return process.exitcode


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


def start_warm(work: Callable[..., Any], *arguments: Any) -> ForkServerProcess:
    """Start ``work`` in a process with this one's environment of now."""
    process = warm_context().Process(target=_within, args=(dict(os.environ), work, arguments), daemon=True)
    process.start()
    return process


def _run_code(code: str, output: Connection, errors: str) -> None:
    _into(output.fileno(), _file(errors))
    output.close()
    sys.argv = ["-c"]
    exec(compile(code, "<a test's code>", "exec"), {"__name__": "__main__"})


def _run_module(module: str, arguments: tuple[str, ...], output: str, errors: str) -> None:
    _into(_file(output), _file(errors))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _file(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)


def _into(output: int, errors: int) -> None:
    os.dup2(output, 1)
    os.dup2(errors, 2)
    tempfile.tempdir = None  # as it was found for the process that this one is forked from


def _within(environment: dict[str, str], work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    work(*arguments)
