"""Does the suite notice when what decides is wrong? Plants one small fault at a time and runs the unit tests that pass through it.

    python -m benchmarks.mutants [--places 200] [--seed 1] [--workers N] [--keep FOLDER] [--json]

Places are drawn from the gate, the registry, the ledger, scoring and ingestion, evenly over what can be changed there. The unit tests
run once, while coverage.py records which test runs which line. Then, for each place, a copy of the working tree is changed in that one
place, and the tests that run its line run, the quickest files first, until one fails: the fault is noticed. A test that fails where
nothing but a comment is added does not count. With ``--keep`` the recording and each outcome are kept as they are known, and a run that
was cut short goes on. What survives is either a test that is missing or no fault at all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
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
from tools.memory_folder import memory_folder

TARGETS = (
    "include/evergreen/gates",
    "include/evergreen/registry",
    "include/evergreen/state/ledger",
    "include/evergreen/scoring",
    "include/evergreen/data/ingestion.py",
    "include/evergreen/data/partitions",
)
RECORDED_SECONDS = 1200.0  # of processor time, for the tests whose lines are recorded, those nearest to the targets first
BUDGET_SECONDS = 180.0  # for the tests of one mutant
NEARBY_LINES = 30  # a statement's first line has its tests; an unconditional line before it has them where no test gets to it
USE_TEMPLATES = (
    "tests/unit/registry/test_approvals.py",
    "tests/unit/gates/test_decide.py",
    "tests/unit/operations/erasure/test_what_models_keep.py",
)
LONGEST_SECONDS = 600.0  # for a fault that never ends
ENDED = ("it never ended", "no test could be collected")
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
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
    """A copy of the working tree in which one place at a time is changed. ``tests_of`` names the tests to run, in their order."""

    root: Path
    tests_of: Callable[[Mutation], Sequence[str]]
    _fails_anyway: set[str] = field(default_factory=set)
    _sound: set[str] = field(default_factory=set)

    def outcome(self, mutation: Mutation) -> Outcome:
        """Plant the fault, and look for a test that fails by it, and not where nothing but a comment is added."""
        began = time.monotonic()
        tests = self.tests_of(mutation)
        while tests:
            failed = self._first_failing(mutation.file, mutation.applied, tests)
            if not failed or failed in (*ENDED, *self._sound):
                return Outcome(mutation, failed, time.monotonic() - began)
            if self._first_failing(mutation.file, lambda text: text + COMMENT, [failed]):
                self._fails_anyway.add(failed)
            else:
                self._sound.add(failed)
        return Outcome(mutation, "", time.monotonic() - began)

    def _first_failing(self, file: str, change: Callable[[str], str], tests: Sequence[str]) -> str:
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        path.write_text(change(text), encoding="utf-8")
        try:
            return self._run(tests)
        finally:
            path.write_text(text, encoding="utf-8")

    def _run(self, tests: Sequence[str]) -> str:
        command = [*PYTEST, "-x", "-n0", "--tb=no", "-rfE", *tests]
        for name in sorted(self._fails_anyway):
            command += ["--deselect", name]
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=_environment(self.root),
                capture_output=True,
                encoding="utf-8",
                check=False,
                timeout=LONGEST_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return ENDED[0]
        for line in done.stdout.splitlines():
            if line.startswith(("FAILED ", "ERROR ")) and (failed := _test_told(line.partition(" ")[2], tests)):
                return failed
        return "" if done.returncode == 0 else ENDED[1]


def _test_told(line: str, tests: Sequence[str]) -> str:
    """The test that a line of pytest's summary is about; names may have blanks and dashes in them, and so may what follows."""
    return max((test for test in tests if line == test or line.startswith(f"{test} - ")), key=len, default="")


@dataclass(frozen=True)
class Recording:
    """Which tests run which line of which file, and what each test takes."""

    tests_by_line: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def tests_of(self, mutation: Mutation) -> list[str]:
        """The tests that run the line, or else any line of its file (what is run at import has no test of its own).

        The file that mirrors the line's comes first, then those whose tests are quick, as many tests as the budget has seconds for.
        """
        lines = self.tests_by_line.get(mutation.file, {})
        nearby = range(mutation.line, max(mutation.line - NEARBY_LINES, 0), -1)
        tests = next((lines[line] for line in nearby if lines.get(line)), sorted(set().union(*lines.values())))
        by_file = defaultdict(list)
        for test in tests:
            by_file[test.partition("::")[0]].append(test)
        mirror = f"test_{Path(mutation.file).name}"
        mean = {file: sum(map(self._seconds_of, group)) / len(group) for file, group in by_file.items()}
        order = sorted(by_file, key=lambda file: (Path(file).name != mirror, mean[file]))
        chosen: list[str] = []
        left = BUDGET_SECONDS
        for test in (test for file in order for test in sorted(by_file[file], key=self._seconds_of)):
            left -= self._seconds_of(test)
            if left > 0 or not chosen:
                chosen.append(test)
        return chosen

    def _seconds_of(self, test: str) -> float:
        return self.seconds.get(test, 0.01)


def recorded(folder: Path, kept: Path, workers: int) -> Recording:
    """Run the tests once and record their lines, unless ``kept`` has that already."""
    from coverage import CoverageData

    data, log = kept / "coverage", kept / "durations.txt"
    if not log.exists():
        tests = [test for test in affected(files(ROOT, TARGETS), RECORDED_SECONDS).chosen if test.startswith("tests/unit/")]
        command = [*PYTEST, "-n", str(workers), "--cov=include/evergreen", "--cov-context=test", "--cov-report=", "--durations=0"]
        command += ["--durations-min=0.01", *(test for test in tests if test not in LEFT_OUT)]
        environment = {**_environment(folder), "COVERAGE_FILE": str(data)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
        if done.returncode not in {0, 1}:  # 1: tests fail, which then notice nothing
            raise MeasuredProcessError(f"The tests cannot be recorded: {(done.stdout + done.stderr)[-2000:]}")
        log.write_text(done.stdout, encoding="utf-8")
    coverage = CoverageData(str(data))
    coverage.read()
    tests_by_line: dict[str, dict[int, list[str]]] = {}
    for path in coverage.measured_files():
        name = path[path.rindex("include/evergreen") :]
        contexts = coverage.contexts_by_lineno(path)
        tests_by_line[name] = {
            line: sorted({context.rpartition("|")[0] for context in of_line if context}) for line, of_line in contexts.items()
        }
    seconds: dict[str, float] = defaultdict(float)
    for line in log.read_text(encoding="utf-8").splitlines():
        if timed := re.match(r"([\d.]+)s (?:call|setup|teardown) +(\S.*)$", line):
            seconds[timed[2]] += float(timed[1])
    return Recording(tests_by_line, dict(seconds))


def _environment(root: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "EVERGREEN", "MLFLOW"))},
        "PYTHONPATH": f"{root}:{root / 'plugins'}",
        TEMPLATES: str(generation()),  # homes that the code made before it was changed
    }


def drawn(number: int, seed: int) -> list[Mutation]:
    """So many of all mutations of the targets, by a draw that a seed repeats."""
    everything = _all_mutations()
    return random.Random(seed).sample(everything, min(number, len(everything)))


@cache
def _all_mutations() -> list[Mutation]:
    return [mutation for file in files(ROOT, TARGETS) for mutation in mutations(file, (ROOT / file).read_text(encoding="utf-8"))]


def outcomes(places: Sequence[Mutation], workers: int, kept: Path) -> Iterator[Outcome]:
    """The outcome of each place, as it comes; what is kept from before is not done again."""
    results = kept / "outcomes.jsonl"
    known = dict(map(_read, results.read_text(encoding="utf-8").splitlines())) if results.exists() else {}
    yield from (Outcome(mutation, *known[mutation.name]) for mutation in places if mutation.name in known)
    with scratch_folder("mutants") as folder, ThreadPoolExecutor(workers) as pool:
        recording = recorded(_copied(folder / "recorded"), kept, workers)
        free: SimpleQueue[Copy] = SimpleQueue()
        for number in range(workers):
            free.put(Copy(_copied(folder / str(number)), recording.tests_of))

        def one(mutation: Mutation) -> Outcome:
            copy = free.get()
            try:
                return copy.outcome(mutation)
            finally:
                free.put(copy)

        for outcome in pool.map(one, (mutation for mutation in places if mutation.name not in known)):
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps([outcome.mutation.name, outcome.noticed_by, round(outcome.seconds, 1)]) + "\n")
            yield outcome


def _read(line: str) -> tuple[str, tuple[str, float]]:
    name, noticed_by, seconds = json.loads(line)
    return name, (noticed_by, seconds)


def _copied(folder: Path) -> Path:
    """The working tree as it stands, committed or not."""
    done = subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, folder], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise MeasuredProcessError(f"git clone: {done.stderr.strip()}")
    changed = subprocess.run(
        ["git", "ls-files", "-m", "-o", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
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
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False)
            if done.returncode:
                raise MeasuredProcessError(f"The homes that tests copy cannot be made: {(done.stdout + done.stderr)[-2000:]}")


def measure(options: argparse.Namespace) -> Report:
    say("Making the homes that tests copy ...")
    make_templates()
    places = drawn(options.places, options.seed)
    done = []
    with memory_folder() as environment, scratch_folder("mutants-kept") as folder:
        os.environ.update(environment)
        kept = options.keep or folder
        kept.mkdir(parents=True, exist_ok=True)
        say("Recording which tests run which line, unless that is kept ...")
        for number, outcome in enumerate(outcomes(places, options.workers, kept), start=1):
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
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where the recording and the outcomes are kept, to go on after an interruption"
    )
    options = parser.parse_args()
    return run_benchmark("mutants", lambda _: measure(options), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
