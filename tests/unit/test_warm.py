"""Code in a warm process prints, ends and dies as code in a new interpreter does."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

import pytest

from tests.unit.warm import run_code, start_code, start_warm, warm_context


def test_what_it_prints_can_be_read_while_it_runs_and_to_its_end() -> None:
    code = (
        "import os, sys\nprint('ready', flush=True)\nprint(os.getpid(), sys.argv)\nprint('no', file=sys.stderr)\nos.system('echo a child')"
    )
    process = start_code(code)
    assert process.stdout.readline() == "ready\n"
    output, errors = process.communicate()
    assert sorted(output.splitlines()) == sorted([f"{process.pid} ['-c']", "a child"])
    assert (process.returncode, errors) == (0, "no\n")
    assert len(run_code("print('x' * 10**6)")) == 10**6 + 1


def test_it_ends_with_its_own_exit_code_or_by_a_signal() -> None:
    assert run_code("import os\nos._exit(9)", exit_code=9) == ""
    assert run_code("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", exit_code=-9) == ""
    failed = start_code("raise ValueError('of the code')")
    assert "ValueError: of the code" in failed.communicate()[1]
    assert failed.returncode == 1
    endless = start_code("import time\nprint(flush=True)\ntime.sleep(600)")
    endless.stdout.readline()
    assert endless.poll() is None
    endless.kill()
    assert endless.wait() == -9


def test_what_one_starts_is_forked_from_the_same_process() -> None:
    here, there = warm_context().Pipe()
    start_warm(_tell_parents, there, daemon=False).join()
    parents = here.recv()
    assert parents == [int(run_code("import os\nprint(os.getppid())"))] * 2


def test_what_it_prints_is_printed_where_this_process_prints(capfd: pytest.CaptureFixture[str]) -> None:
    start_warm(os.system, "echo told; echo warned >&2").join()
    assert capfd.readouterr() == ("told\n", "warned\n")


def _tell_parents(answer: Connection) -> None:
    answer.send([os.getppid(), int(run_code("import os\nprint(os.getppid())"))])
