"""A benchmark's own folder and processes, of which nothing is left however it ends."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from include.evergreen.data.partitions import current_partitions
from include.evergreen.foundation.grain import Partition
from include.evergreen.serving.clean_processes import ADDRESS, Server
from tools.forked import run_forked
from tools.landing_zone import lay_out

ROOT = Path(__file__).resolve().parents[1]
FORKED = "EVERGREEN_BENCHMARK_FORKED"  # set by the suite to the address of a server of clean processes: its small forms measure no time
EMPTY_HOME = "EVERGREEN_BENCHMARK_EMPTY_HOME"  # likewise, to an empty home whose databases are migrated
INGESTED_HOME = "EVERGREEN_BENCHMARK_INGESTED_HOME"  # likewise, to one in which the first weeks of the flights are ingested
MLFLOW = "mlflow.db"
STATE_VARIABLES = (
    "AIRFLOW_HOME",
    ADDRESS,
    "EVERGREEN_DATABASE_URL",
    "EVERGREEN_INCLUDE",
    "EVERGREEN_MLFLOW_UI_URL",
    "EVERGREEN_PRELOAD",
    "EVERGREEN_STORAGE",
    "MLFLOW_TRACKING_URI",
)


class MeasuredProcessError(Exception):
    """A process that a benchmark measures, or is prepared by, has failed."""


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A folder that is gone afterwards. Within the block SIGTERM and SIGHUP end it as Ctrl-C does, so that all is undone."""
    handlers = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with tempfile.TemporaryDirectory(prefix=f"evergreen-bench-{name}-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def use_home(home: Path) -> None:
    """Make ``home`` this process's EVERGREEN_HOME, and forget whatever else points to state.

    Where `FORKED` is set, gates have their clean processes forked from then on; where `EMPTY_HOME` is, a new home is a copy of that one.
    """
    for name in STATE_VARIABLES:
        os.environ.pop(name, None)
    os.environ["EVERGREEN_HOME"] = str(home)
    if FORKED in os.environ:
        os.environ[ADDRESS] = os.environ[FORKED]
    if EMPTY_HOME in os.environ and not (home / MLFLOW).exists():
        shutil.copytree(os.environ[EMPTY_HOME], home, dirs_exist_ok=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@contextmanager
def forked_clean_processes() -> Iterator[str]:
    """Within the block gates have their clean processes forked, as in the embedded Airflow; its value is the server's address.

    Where `FORKED` is set, they have them from the suite's server in any case.
    """
    if FORKED in os.environ:
        yield os.environ[FORKED]
        return
    server = Server()
    server.start()
    try:
        yield os.environ.get(ADDRESS, "")
    finally:
        server.stop()


def land(home: Path, days: Collection[Partition]) -> None:
    """The source's files of these days, in what is from then on this process's home.

    Where `INGESTED_HOME` is set, the home is a copy of that one, in which most of these days are ingested; it has the files of the others.
    """
    if INGESTED_HOME in os.environ:
        shutil.copytree(os.environ[INGESTED_HOME], home, dirs_exist_ok=True)
    else:
        lay_out(home / "landing", only=days)
    use_home(home)


def not_ingested(datasets: Iterable[str], days: Iterable[Partition]) -> list[tuple[str, Partition]]:
    """Of each of these days the datasets that are not in this process's home, in this order."""
    names = list(datasets)
    there = {name: {version.partition for version in current_partitions(name)} for name in names}
    return [(name, day) for day in days for name in names if day not in there[name]]


def run_python(module: str, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run ``python -m module`` from the root to its end and return what it printed.

    Byte code may be written, as it is where people work. Where `FORKED` is set, this process is forked for it, with all that it has
    imported. Raises `MeasuredProcessError` with its last words.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if FORKED in inherited:
        return _run_forked(module, *map(str, arguments), environment={**inherited, **(environment or {})})
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        check=False,
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode != 0:
        raise MeasuredProcessError(f"python -m {module} failed with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def _run_forked(module: str, *arguments: str, environment: Mapping[str, str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        context = multiprocessing.get_context("fork")
        code = run_forked(context, module, *arguments, environment=environment, output=output, errors=errors)
        if code != 0:
            raise MeasuredProcessError(f"{module} failed with {code}:\n{errors.read_text(encoding='utf-8')[-3000:]}")
        return output.read_text(encoding="utf-8")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
