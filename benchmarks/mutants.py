"""Does the suite notice when what decides is wrong? Plants one small fault at a time and runs the unit tests nearest to it.

    python -m benchmarks.mutants [--places 200] [--seed 1] [--workers N] [--keep FILE] [--json]

Places are drawn from the gate, the registry, the ledger, scoring and ingestion, evenly over what can be changed there. For each, a
copy of the working tree is changed in that one place, and the unit tests that import the changed file run, nearest first, until one
fails: the fault is noticed. A test that fails where nothing but a comment is added does not count. With ``--keep`` each outcome is kept
as it is known, and a run that was cut short goes on. What survives is either a test that is missing or no fault at all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import SimpleQueue

from benchmarks.mutations import Mutation, files, mutations
from benchmarks.report import Report, arguments, run_benchmark, say
from benchmarks.scratch import ROOT, MeasuredProcessError, scratch_folder
from tests.templates import TEMPLATES, generation
from tools.affected_tests import affected

TARGETS = (
    "include/evergreen/gates",
    "include/evergreen/registry",
    "include/evergreen/state/ledger",
    "include/evergreen/scoring",
    "include/evergreen/data/ingestion.py",
    "include/evergreen/data/partitions",
)
BUDGET_SECONDS = 300.0  # of processor time, for the tests of one mutant
USE_TEMPLATES = (
    "tests/unit/registry/test_approvals.py",
    "tests/unit/gates/test_decide.py",
    "tests/unit/operations/erasure/test_what_models_keep.py",
)
LONGEST_SECONDS = 1800.0  # for a fault that never ends
ENDED = ("it never ended", "no test could be collected")
COMMENT = "\n# nothing is changed\n"
LEFT_OUT = ("tests/unit/test_readme.py", "tests/test_project.py", "tests/test_command.py")  # they need an environment beside the copy


@dataclass
class Outcome:
    """What became of one fault. ``noticed_by`` is the first test that failed; empty when none did."""

    mutation: Mutation
    noticed_by: str
    seconds: float


@dataclass
class Copy:
    """A copy of the working tree in which one file at a time is changed. ``tests_of`` names the test files of a changed one."""

    root: Path
    tests_of: Callable[[str], Sequence[str]]
    _fails_anyway: set[str] = field(default_factory=set)
    _sound: set[str] = field(default_factory=set)

    def outcome(self, mutation: Mutation) -> Outcome:
        """Plant the fault, and look for a test that fails by it, and not where nothing but a comment is added."""
        began = time.monotonic()
        tests = self.tests_of(mutation.file)
        while True:
            failed = self._first_failing(mutation.file, mutation.applied, tests)
            if not failed or failed in (*ENDED, *self._sound):
                return Outcome(mutation, failed, time.monotonic() - began)
            if self._first_failing(mutation.file, lambda text: text + COMMENT, [failed]):
                self._fails_anyway.add(failed)
            else:
                self._sound.add(failed)

    def _first_failing(self, file: str, change: Callable[[str], str], tests: Sequence[str]) -> str:
        path = self.root / file
        text = path.read_text()
        path.write_text(change(text))
        try:
            return self._run(tests)
        finally:
            path.write_text(text)

    def _run(self, tests: Sequence[str]) -> str:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "--tb=no", "-rfE", *tests]
        for name in sorted(self._fails_anyway):
            command += ["--deselect", name]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "EVERGREEN", "MLFLOW"))},
            "PYTHONPATH": f"{self.root}:{self.root / 'plugins'}",
            TEMPLATES: str(generation()),  # homes that the code made before it was changed
        }
        try:
            done = subprocess.run(
                command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
            )
        except subprocess.TimeoutExpired:
            return ENDED[0]
        failed = [line.split(" ", 2)[1] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        if failed:
            return failed[0]
        return "" if done.returncode == 0 else ENDED[1]


@cache
def _tests_of(file: str) -> tuple[str, ...]:
    chosen = affected([file], BUDGET_SECONDS).chosen
    return tuple(test for test in chosen if test.startswith("tests/unit/") and test not in LEFT_OUT)


def drawn(number: int, seed: int) -> list[Mutation]:
    """So many of all mutations of the targets, by a draw that a seed repeats."""
    everything = [mutation for file in files(ROOT, TARGETS) for mutation in mutations(file, (ROOT / file).read_text())]
    return random.Random(seed).sample(everything, min(number, len(everything)))


def outcomes(places: Iterable[Mutation], workers: int, kept: Path | None) -> Iterator[Outcome]:
    """The outcome of each place, as it comes; what is kept from before is not done again."""
    known = {} if kept is None or not kept.exists() else dict(map(_read, kept.read_text().splitlines()))
    waiting = []
    for mutation in places:
        if mutation.name in known:
            yield Outcome(mutation, *known[mutation.name])
        else:
            waiting.append(mutation)
    with scratch_folder("mutants") as folder, ThreadPoolExecutor(workers) as pool:
        free: SimpleQueue[Copy] = SimpleQueue()
        for number in range(workers):
            free.put(Copy(_copied(folder / str(number)), _tests_of))

        def one(mutation: Mutation) -> Outcome:
            copy = free.get()
            try:
                return copy.outcome(mutation)
            finally:
                free.put(copy)

        for outcome in pool.map(one, waiting):
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps([outcome.mutation.name, outcome.noticed_by, round(outcome.seconds, 1)]) + "\n")
            yield outcome


def _read(line: str) -> tuple[str, tuple[str, float]]:
    name, noticed_by, seconds = json.loads(line)
    return name, (noticed_by, seconds)


def _copied(folder: Path) -> Path:
    """The working tree as it stands, committed or not."""
    done = subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasuredProcessError(f"git clone: {done.stderr.strip()}")
    changed = subprocess.run(
        ["git", "ls-files", "-m", "-o", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, changed.stdout.split("\0")):
        target, source = folder / name, ROOT / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            target.write_bytes(source.read_bytes())
        else:
            target.unlink(missing_ok=True)
    return folder


def make_templates() -> None:
    """Make the homes that tests copy, while the code that makes them is unchanged; those that are there are not made again."""
    with scratch_folder("mutants-home") as home:
        environment = {**os.environ, "EVERGREEN_HOME": str(home), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
        settle = "from tests.unit.lifecycle import settle_cycled, settle_ingested; settle_ingested(); settle_cycled()"
        for command in ([sys.executable, "-c", settle], [sys.executable, "-m", "pytest", "-q", "-n0", "--setup-only", *USE_TEMPLATES]):
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise MeasuredProcessError(f"The homes that tests copy cannot be made: {(done.stdout + done.stderr)[-2000:]}")


def measure(options: argparse.Namespace) -> Report:
    say("Making the homes that tests copy ...")
    make_templates()
    places = drawn(options.places, options.seed)
    done = []
    for number, outcome in enumerate(outcomes(places, options.workers, options.keep), start=1):
        done.append(outcome)
        say(f"{number}/{len(places)} {outcome.mutation.name}: {outcome.noticed_by or 'SURVIVES'} ({outcome.seconds:.0f} s)")
    survivors = {outcome.mutation.name: "" for outcome in done if not outcome.noticed_by}
    figures = {"places": len(done), "noticed": len(done) - len(survivors), "survivors": survivors}
    return Report("mutants", figures, {"noticed_over_places": 1 - len(survivors) / len(done)})


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--places", type=int, default=200, help="how many faults are planted (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="which are drawn")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many copies of the tree are tried at once")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="where outcomes are kept, to go on after an interruption")
    options = parser.parse_args()
    return run_benchmark("mutants", lambda _: measure(options), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
