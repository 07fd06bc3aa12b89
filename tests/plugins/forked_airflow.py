"""Processes forked from one that has imported Airflow and loaded none of our plugins: most of what a new interpreter takes is that import.

As a program it is the one that they are forked from: python -m tests.plugins.forked_airflow < REQUESTS
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from include.evergreen.foundation.garbage import collect_seldom
from tools.forked import file_to_print_into, print_into, within

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = ("airflow.sdk", "airflow.plugins_manager", "airflow.sdk.plugins_manager", "importlib.util")


class ForkedAirflow:
    """Entering starts the process that has imported Airflow, with this one's environment; leaving ends it."""

    def __enter__(self) -> ForkedAirflow:
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def run(self, code: str, **environment: str) -> str:
        """What ``code`` prints in a process of its own, with this one's environment of now and ``environment`` over it."""
        assert self._process.stdin and self._process.stdout
        output, errors = (Path(self._folder.name, name) for name in ("output", "errors"))
        asked = {"code": code, "environment": {**os.environ, **environment}, "output": str(output), "errors": str(errors)}
        self._process.stdin.write(f"{json.dumps(asked)}\n")
        self._process.stdin.flush()
        exit_code = self._process.stdout.readline()
        assert exit_code == "0\n", f"exit code {exit_code}: {errors.read_text()[-4000:] if errors.exists() else 'without a word'}"
        return output.read_text()


def main() -> None:
    collect_seldom()
    for name in IMPORTED:
        importlib.import_module(name)
    context = multiprocessing.get_context("fork")
    for line in sys.stdin:
        asked = json.loads(line)
        process = context.Process(target=within, args=(asked["environment"], _run, (asked["code"], asked["output"], asked["errors"])))
        process.start()
        process.join()
        print(process.exitcode, flush=True)


def _run(code: str, output: str, errors: str) -> None:
    for path in (output, errors):
        Path(path).unlink(missing_ok=True)
    print_into(file_to_print_into(output), file_to_print_into(errors))
    exec(compile(code, "<a test's code>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
