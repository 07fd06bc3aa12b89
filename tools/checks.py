"""`make test` and `make check`: style, docstrings, types and import contracts in parallel to the tests, on all cores.

    python -m tools.checks [--changed [--since COMMIT]]

With ``--changed``: only the tests affected by changes in the working tree since a commit (default: the last), in two minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tools.affected_tests import ROOT, affected
from tools.memory_folder import memory_folder

BIN = Path(sys.executable).parent
STATIC = (
    ("ruff", "check", "--quiet", "."),
    ("ruff", "format", "--quiet", "--check", "."),
    ("pydoclint", "--quiet", "include/evergreen", "plugins", "dags"),
    ("mypy",),
    ("lint-imports",),
)
WORKERS = (os.cpu_count() or 1) + 2  # two of them mostly wait for a real Airflow
IN_PARALLEL = ("-n", str(WORKERS), "--dist", "loadscope", "--no-loadscope-reorder")
BUDGET_SECONDS = 90.0  # of processor time, for the tests of a change; type checking takes another half a minute


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    began = time.monotonic()
    with _Static() as static:
        tests = _affected_tests(options.since) if options.changed else ()
        code = _pytest(tests) if tests is not None else 0
        report = static.finish()
    print(report, flush=True)
    print(f"{'Failed' if code or static.failed else 'Passed'} after {time.monotonic() - began:.0f} s.", flush=True)
    return 1 if code or static.failed else 0


class _Static:
    """Style, docstrings, types and import contracts, which run in parallel to the tests and are reported after them."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._running: list[tuple[str, subprocess.Popen[bytes], IO[bytes]]] = []

    def __enter__(self) -> _Static:
        for command in STATIC:
            output = tempfile.TemporaryFile()
            nice = ("nice", "-n", "5", BIN / command[0], *command[1:])  # as most tests are
            started = subprocess.Popen(nice, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
            self._running.append((" ".join(command), started, output))
        return self

    def __exit__(self, *_: object) -> None:
        for _name, process, output in self._running:
            process.kill()
            process.wait()
            output.close()

    def finish(self) -> str:
        reports = []
        for name, process, output in self._running:
            if process.wait():
                output.seek(0)
                self.failed.append(name)
                reports.append(f"{name} failed:\n{output.read().decode(errors='replace')}")
        return "\n".join(reports) or "Style, docstrings, types and import contracts: passed."


def _pytest(tests: Sequence[str]) -> int:
    with memory_folder() as environment:
        command = [sys.executable, "-m", "pytest", *IN_PARALLEL, *tests]
        return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode


def _affected_tests(since: str) -> tuple[str, ...] | None:
    """Return the test files to run, or None if nothing has changed."""
    changed = _lines("diff", "--name-only", since) + _lines("ls-files", "--others", "--exclude-standard")
    if not changed:
        print(f"No changes since {since}, so no tests run. To compare with another commit: make check SINCE=main~1", flush=True)
        return None
    selection = affected(changed, BUDGET_SECONDS)
    print(f"{len(changed)} files changed since {since}: {len(selection.chosen)} test files, about {selection.seconds:.0f} s of CPU time.")
    if selection.left:
        print(f"{len(selection.left)} more are less closely related and left to `make test`: {', '.join(selection.left[:5])} ...")
    sys.stdout.flush()
    return selection.chosen


def _lines(*git: str) -> list[str]:
    done = subprocess.run(["git", *git], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(git)}: {done.stderr.strip()}. Use an existing commit: make check SINCE=HEAD")
    return done.stdout.splitlines()


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changed", action="store_true", help="run only the tests affected by changes")
    parser.add_argument("--since", default="HEAD", metavar="COMMIT", help="the commit to compare with (default: HEAD)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
