"""`make test` and `make check`: style, types and import contracts beside the tests, over all of the machine's cores.

    python -m tools.checks [--changed [--since COMMIT]]

With ``--changed``, the tests of what the working tree changed since a commit (by default the last), in two minutes.
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

BIN = Path(sys.executable).parent
STATIC = (("ruff", "check", "--quiet", "."), ("ruff", "format", "--quiet", "--check", "."), ("mypy",), ("lint-imports",))
WORKERS = (os.cpu_count() or 1) + 2  # two of them wait for a real Airflow most of the time
IN_PARALLEL = ("-n", str(WORKERS), "--dist", "loadscope", "--no-loadscope-reorder")
BUDGET_SECONDS = 90.0  # of processors, for the tests of a change; beside it, types take half a minute of one


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    began = time.monotonic()
    with _Static() as static:
        tests = _of_the_change(options.since) if options.changed else ()
        code = _pytest(tests) if tests is not None else 0
        said = static.finish()
    print(said, flush=True)
    print(f"{'All' if not (code or static.failed) else 'Not all'} is well, after {time.monotonic() - began:.0f} s.", flush=True)
    return 1 if code or static.failed else 0


class _Static:
    """Style, types and contracts, which run beside the tests; what they said is told when both have ended."""

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
        words = []
        for name, process, output in self._running:
            if process.wait():
                output.seek(0)
                self.failed.append(name)
                words.append(f"{name} failed:\n{output.read().decode(errors='replace')}")
        return "\n".join(words) or "Style, types and import contracts hold."


def _pytest(tests: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *IN_PARALLEL, *tests], cwd=ROOT, check=False).returncode


def _of_the_change(since: str) -> tuple[str, ...] | None:
    """The test files to run; None when nothing changed."""
    changed = _lines("diff", "--name-only", since) + _lines("ls-files", "--others", "--exclude-standard")
    if not changed:
        print(f"Nothing has changed since {since}, so no test is run. Another commit: make check SINCE=main~1", flush=True)
        return None
    found = affected(changed, BUDGET_SECONDS)
    print(f"{len(changed)} files have changed since {since}: {len(found.chosen)} test files, about {found.seconds:.0f} s of a processor.")
    if found.left:
        print(f"{len(found.left)} more reach the change from further away, and are left to `make test`: {', '.join(found.left[:5])} ...")
    sys.stdout.flush()
    return found.chosen


def _lines(*git: str) -> list[str]:
    done = subprocess.run(["git", *git], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(git)}: {done.stderr.strip()}. Name a commit that there is: make check SINCE=HEAD")
    return done.stdout.splitlines()


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changed", action="store_true", help="only the tests of what changed")
    parser.add_argument("--since", default="HEAD", metavar="COMMIT", help="changed since when (default: HEAD)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
