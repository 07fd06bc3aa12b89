from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import skops.io
from sklearn.linear_model import LinearRegression

from include.evergreen import PROJECT_ROOT
from include.evergreen.serving import clean_process_server
from include.evergreen.serving.check import ERROR, PREDICTIONS, QUESTION, ROWS
from include.evergreen.serving.clean_processes import ADDRESS, ForkedProcess, Server, clean_environment, fork_clean_process, is_of_this_user
from include.evergreen.state.mlflow_store import MODEL_FILE, folder_digest
from tests.unit.flights import run_python

pytestmark = pytest.mark.clean_process  # no other server: these tests have their own

PATIENCE_SECONDS = 60.0
COUNTING = """
import os
from sklearn.linear_model import LinearRegression

class Counting(LinearRegression):
    predictions_in_this_process = 0

    def predict(self, X):
        Counting.predictions_in_this_process += 1
        os.environ["LEFT_BY_THE_CHECK_BEFORE"] = str(os.environ.get("LEFT_BY_THE_CHECK_BEFORE"))
        return super().predict(X) * 0 + Counting.predictions_in_this_process + 1000 * (os.environ["LEFT_BY_THE_CHECK_BEFORE"] != "None")
"""


@pytest.fixture(scope="module")
def teams_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on every process's path, with an estimator of a team's own."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "counting.py").write_text(COUNTING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def shared(teams_code: Path) -> Iterator[Server]:
    yield from _server()


@pytest.fixture
def own(teams_code: Path) -> Iterator[Server]:
    """For tests that end it."""
    yield from _server()


def _server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ADDRESS, "none yet")
        patch.setenv("MLFLOW_TRACKING_URI", "http://the-servers-own")
        server = Server()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def start(shared: Server, tmp_path: Path) -> Iterator[Callable[..., ForkedProcess]]:
    """Have the module's server fork a process for a folder, with this environment and ``changes``."""
    with (tmp_path / "stderr").open("w+b") as errors:

        def start(folder: Path, **changes: str) -> ForkedProcess:
            process = fork_clean_process(folder, {**clean_environment(), **changes}, errors)
            assert process is not None
            return process

        yield start


def _question(folder: Path, estimator: Any, **changes: Any) -> Path:
    """A folder that asks for predictions of ``estimator`` for ten rows."""
    rows = pd.DataFrame({"hours": np.arange(10.0)})
    artifact = folder / "artifact"
    artifact.mkdir(parents=True)
    skops.io.dump(estimator.fit(rows, rows["hours"] * 2), artifact / MODEL_FILE)
    trusted = [f"{type(estimator).__module__}.{type(estimator).__qualname__}"]
    question = {"artifact_uri": artifact.as_uri(), "artifact_digest": folder_digest(artifact), "trusted_types": trusted}
    (folder / QUESTION).write_text(json.dumps({"task": "regression", **question, **changes}))
    rows.to_parquet(folder / ROWS)
    return folder


def _without_end(folder: Path) -> Path:
    """A folder whose question is never told: what reads it waits."""
    folder.mkdir()
    os.mkfifo(folder / QUESTION)
    return folder


def _child(server: Server) -> psutil.Process:
    """The one that the server forks, a moment after it has accepted."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (children := psutil.Process(server.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    [child] = children
    return child


def _is_gone(process: psutil.Process) -> bool:
    """Within our patience; a zombie does nothing any more."""
    psutil.wait_procs([process], PATIENCE_SECONDS)
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_it_predicts_bit_for_bit_what_a_new_interpreter_predicts(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    folder = _question(tmp_path / "check", LinearRegression())
    assert start(folder).wait(PATIENCE_SECONDS) == 0
    forked = (folder / PREDICTIONS).read_bytes()
    (folder / PREDICTIONS).unlink()
    subprocess.run([sys.executable, "-m", "include.evergreen.serving.check", str(folder)], cwd=PROJECT_ROOT, check=True)
    assert forked == (folder / PREDICTIONS).read_bytes()


def test_a_check_finds_nothing_of_the_one_before(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    import counting

    for number in range(2):
        folder = _question(tmp_path / str(number), counting.Counting())
        assert start(folder).wait(PATIENCE_SECONDS) == 0
        assert set(np.load(folder / PREDICTIONS)) == {1.0}


def test_the_environment_is_the_gates_and_not_the_servers(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    folder = _question(tmp_path / "check", LinearRegression(), artifact_uri=f"file:///{'x' * 300}")  # no disk takes such a name
    assert start(folder, MLFLOW_TRACKING_URI="http://the-gates").wait(PATIENCE_SECONDS) == 1
    told = json.loads((folder / ERROR).read_text())
    assert (told["kind"], "The MLflow store http://the-gates could not be used" in told["message"]) == ("TransientError", True)


def test_an_error_of_its_own_is_in_the_gates_file_with_its_line_last(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    folder = _question(tmp_path / "check", LinearRegression())
    (folder / ROWS).write_bytes(b"no rows")
    assert start(folder).wait(PATIENCE_SECONDS) == 1
    assert (tmp_path / "stderr").read_text().splitlines()[-1].startswith("pyarrow.lib.ArrowInvalid: ")


def test_the_signal_that_ends_it_is_told(shared: Server, start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    process = start(_without_end(tmp_path / "check"))
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    _child(shared).send_signal(signal.SIGSEGV)
    assert process.wait(PATIENCE_SECONDS) == process.poll() == process.returncode == -signal.SIGSEGV
    process.kill()  # nothing is left to end


def test_one_that_is_ended_by_its_gate_is_gone_when_that_has_waited(
    shared: Server, start: Callable[..., ForkedProcess], tmp_path: Path
) -> None:
    process = start(_without_end(tmp_path / "check"))
    child = _child(shared)
    process.kill()
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    assert not child.is_running()


def test_several_run_at_once_and_each_gate_hears_of_its_own(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    waiting = start(_without_end(tmp_path / "waiting"))
    assert start(_question(tmp_path / "check", LinearRegression())).wait(PATIENCE_SECONDS) == 0
    assert waiting.poll() is None
    waiting.kill()
    assert waiting.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_a_gate_that_is_killed_leaves_none(shared: Server, tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom include.evergreen.serving.clean_processes import *\n"
        "process = fork_clean_process(Path(sys.argv[1]), clean_environment(), sys.stderr.buffer)\n"
        "print('started' if process else 'refused', flush=True)\ntime.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(_without_end(tmp_path / "check"))]
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, env={**os.environ, "PYTHONPATH": clean_environment()["PYTHONPATH"]}, stdout=subprocess.PIPE, text=True
    ) as gate:
        try:
            assert gate.stdout.readline() == "started\n"
            child = _child(shared)
        finally:
            gate.kill()
    assert _is_gone(child)


def test_with_the_server_killed_what_runs_ends_and_the_next_gate_goes_without(own: Server, tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w+b") as errors:
        process = fork_clean_process(_without_end(tmp_path / "check"), clean_environment(), errors)
        assert process is not None
        child = _child(own)
        os.kill(own.pid, signal.SIGKILL)
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        assert _is_gone(child)
        assert fork_clean_process(tmp_path, clean_environment(), errors) is None


def test_stopped_it_leaves_no_process_no_folder_and_no_address(own: Server, tmp_path: Path) -> None:
    address, server = Path(os.environ[ADDRESS]), psutil.Process(own.pid)
    assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
    own.stop()
    own.stop()
    assert not server.is_running()
    assert not address.parent.exists()
    assert ADDRESS not in os.environ


def test_it_ends_with_an_owner_that_is_killed_whose_forks_live_on(teams_code: Path) -> None:
    code = (
        "import os, time\nfrom include.evergreen.serving.clean_processes import ADDRESS, Server\n"
        "server = Server()\nserver.start()\n"
        "worker = os.fork() or time.sleep(600)\nprint(worker, server.pid, os.environ[ADDRESS], flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as owner:
        worker, server, address = owner.stdout.readline().split()
        process = psutil.Process(int(server))
        owner.kill()
        owner.wait()
        try:
            assert _is_gone(process)
            assert not Path(address).parent.exists()
        finally:
            os.kill(int(worker), signal.SIGKILL)


@pytest.mark.parametrize("name", ["PYTHONPATH", "OMP_NUM_THREADS", "LANG"])
def test_what_a_fork_cannot_take_on_is_left_to_a_new_interpreter(shared: Server, tmp_path: Path, name: str) -> None:
    with (tmp_path / "stderr").open("w+b") as errors:
        assert fork_clean_process(tmp_path, {**clean_environment(), name: "another"}, errors) is None


def test_a_request_that_breaks_off_or_makes_no_sense_harms_no_other(start: Callable[..., ForkedProcess], tmp_path: Path) -> None:
    for words in (b"", b"{}\n", b"nonsense\n", b'["folder"]\n'):
        with socket.socket(socket.AF_UNIX) as connection, (tmp_path / "errors").open("w") as errors:
            connection.connect(os.environ[ADDRESS])
            socket.send_fds(connection, [b"\0"], [errors.fileno()])
            connection.sendall(words)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[ADDRESS])
        connection.sendall(b"no file\n")
    assert start(_question(tmp_path / "check", LinearRegression())).wait(PATIENCE_SECONDS) == 0


def test_who_is_at_the_other_end_is_asked_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()
    with here, there:
        assert is_of_this_user(here)
        monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
        assert not is_of_this_user(here)


def test_the_server_has_imported_what_a_check_needs_and_brought_in_no_more(tmp_path: Path) -> None:
    folder = _question(tmp_path / "check", LinearRegression())
    code = (
        "import sys, threading\nfrom pathlib import Path\n"
        "from include.evergreen.serving import check as serving_check\nfrom include.evergreen.serving import clean_process_server\n"
        "clean_process_server._import_all()\n"
        "print(sorted({'mlflow', 'sqlalchemy', 'pydantic', 'great_expectations', 'evidently', 'airflow'} & set(sys.modules)))\n"
        "print(threading.active_count())\n"
        "before = set(sys.modules)\n"
        f"assert serving_check.main(Path({str(folder)!r})) == 0\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} & {'sklearn', 'scipy', 'skops', 'pyarrow', 'include'}))"
    )
    assert run_python(code).splitlines() == ["[]", "1", "[]"]
    assert not [name for name in clean_process_server.IMPORTED if "features" in name]
