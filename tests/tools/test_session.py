"""What `make run` and `make serve` share, in processes of their own: how they end, and that there is one on a home."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from rich.console import Console

from tools import session
from tools.embedded import ROOT
from tools.session import AlreadyRunningError, only_one

# An "Airflow" of one process that does not heed a polite end, and whose own child does not either.
STUBBORN = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "child"])
print("up", flush=True)
time.sleep(600)
"""
COMMAND = """
import pathlib, sys
from tools import embedded, session
embedded.STOP_TIMEOUT_SECONDS = 0.5
home = pathlib.Path(sys.argv[1])

def body(console):
    airflow = embedded.EmbeddedAirflow(home, port=1)
    airflow.logs.mkdir(parents=True, exist_ok=True)
    try:
        airflow.start_beside("stubborn", [sys.executable, str(home / "stubborn.py")])
        while (airflow.logs / "stubborn.log").read_text().count("up") < 2:
            pass
        print("started", flush=True)
        {then}
    finally:
        session.stop(airflow)

session.mlflow_command = lambda port: [sys.executable, "-c", "import time; time.sleep(600)"]
sys.exit(session.run_command("make test-command", body))
"""
SERVING = "session.serve_until_stopped(console, airflow, 2)"
WORKING = "import time; time.sleep(600)"


def started(home, then):
    (home / "stubborn.py").write_text(STUBBORN)
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(then=then), str(home)],
        env={**os.environ, "EVERGREEN_HOME": str(home), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    shown = ""
    while "started" not in shown or (then == SERVING and "Press Ctrl-C to stop both" not in shown):
        line = process.stdout.readline()
        assert line, shown
        shown += line
    return process


def processes_of(home):
    """The processes whose environment names ``home``."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"EVERGREEN_HOME={home}".encode() in environment:
            found.append(int(number))
    return found


def wait_for_processes(home, count):
    """A process that was just started shows its environment a moment later, and the guard ends a moment after what it guards."""
    deadline = time.monotonic() + 30
    while len(processes_of(home)) != count:
        assert time.monotonic() < deadline, processes_of(home)
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_while_it_serves_it_ends_well_and_leaves_no_process(tmp_path, number):
    process = started(tmp_path, SERVING)
    wait_for_processes(tmp_path, 5)  # itself and its guard, the Airflow and its child, and MLflow's
    process.send_signal(number)
    out, _ = process.communicate()
    assert process.returncode == 0, out
    assert "Stopping Airflow and MLflow." in out
    wait_for_processes(tmp_path, 0)


def test_stopped_before_that_it_says_how_to_go_on_and_leaves_no_process(tmp_path):
    process = started(tmp_path, WORKING)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    assert process.returncode == 130
    assert "Stopped. Run `make test-command` again to continue from here." in out
    wait_for_processes(tmp_path, 0)


def test_impatience_does_not_keep_it_from_ending_everything(tmp_path):
    process = started(tmp_path, SERVING)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert process.returncode == 0
    wait_for_processes(tmp_path, 0)


def test_a_process_that_ends_by_itself_ends_it_with_the_log_to_read(tmp_path):
    process = started(tmp_path, SERVING)
    [stubborn] = [
        number for number in processes_of(tmp_path)
        if b"stubborn.py" in Path(f"/proc/{number}/cmdline").read_bytes() and os.getpgid(number) == number
    ]  # fmt: skip
    os.kill(stubborn, signal.SIGKILL)
    out, _ = process.communicate()
    assert process.returncode == 1
    assert "exited unexpectedly. Log: " in " ".join(out.split())
    wait_for_processes(tmp_path, 0)


def test_a_second_airflow_on_a_home_is_refused_and_told_which_command_has_it(tmp_path):
    refusal = rf"^`make serve` \(process {os.getpid()}\) is already running on "
    with only_one(tmp_path, "make serve"), pytest.raises(AlreadyRunningError, match=refusal), only_one(tmp_path, "make run"):
        pass
    with only_one(tmp_path, "make run"):
        pass


def test_the_password_of_mlflows_database_is_in_no_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ada:hunter22@db/mlflow")
    airflow = Mock(logs=tmp_path, dead_component=Mock(side_effect=KeyboardInterrupt))
    monkeypatch.setattr(session, "LOOK_EVERY_SECONDS", 0)
    session.serve_until_stopped(Console(file=io.StringIO()), airflow, 5001)
    [(_, command), environment] = airflow.start_beside.call_args
    assert "hunter22" not in " ".join(command)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://ada:hunter22@db/mlflow"
