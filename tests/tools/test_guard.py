"""Whoever is killed leaves no process group behind; whoever ends its groups itself is not interfered with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARENT = """
import subprocess, sys, time
from tools.guard import Guard

guard = Guard()
command = [sys.executable, "-c", sys.argv[1]]
process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)
guard.watch(process.pid)
print(process.pid, process.stdout.readline().strip(), flush=True)
if sys.argv[2] == "dismiss":
    guard.dismiss()
    print("dismissed", flush=True)
time.sleep(600)
"""
WITH_A_HELPER = """
import subprocess, sys, time
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(helper.pid, flush=True)
time.sleep(600)
"""
THAT_DOES_NOT_HEAR = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN){WITH_A_HELPER}"


@pytest.mark.parametrize("child", [WITH_A_HELPER, THAT_DOES_NOT_HEAR], ids=["it ends when asked", "it does not hear SIGTERM"])
def test_the_groups_of_a_parent_that_is_killed_are_ended(child: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, child, "stay"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(each) for each in parent.stdout.readline().split()]
        assert all(map(is_running, pids))
        parent.kill()
    wait_until_gone(pids)


def test_a_guard_that_was_dismissed_ends_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, WITH_A_HELPER, "dismiss"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        group, helper = (int(each) for each in parent.stdout.readline().split())
        assert parent.stdout.readline() == "dismissed\n"  # its process has ended by then
        parent.kill()
    assert is_running(group)
    assert is_running(helper)
    os.killpg(group, signal.SIGKILL)
    wait_until_gone([group, helper])


def is_running(pid: int) -> bool:
    """Not even as a zombie that nobody has waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, f"still running: {pids}"
        time.sleep(0.05)
