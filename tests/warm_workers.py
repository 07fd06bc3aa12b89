"""pytest-xdist's workers, forked from the process that tests fork theirs from: what each would import is imported once."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

from execnet import gateway_io
from execnet.gateway_base import ExecModel, Popen2IO
from execnet.xspec import XSpec

from tests.unit.warm import start_warm, warm_context


def fork_workers() -> None:
    """From here on, xdist's workers on this machine are no new interpreters."""
    gateway_io.create_io = _ForkedWorker
    errors = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    resource_tracker.ensure_running()  # it removes what killed processes leave, and would say so after the last test
    os.dup2(errors, 2)
    os.close(errors)


class _ForkedWorker(Popen2IO):
    """As much of execnet's `Popen2IOMaster` as a gateway asks of it."""

    def __init__(self, spec: XSpec, execmodel: ExecModel) -> None:
        assert spec.popen and not spec.python, f"{spec} is no process of this interpreter"
        worker_reads, here_writes = warm_context().Pipe(duplex=False)
        here_reads, worker_writes = warm_context().Pipe(duplex=False)
        self._process = start_warm(_work, worker_reads, worker_writes, daemon=False)
        for end in (worker_reads, worker_writes):
            end.close()
        outfile, infile = os.fdopen(os.dup(here_writes.fileno()), "wb"), os.fdopen(os.dup(here_reads.fileno()), "rb")
        for end in (here_writes, here_reads):
            end.close()
        super().__init__(outfile, infile, execmodel)

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def _work(reads: Connection, writes: Connection) -> None:
    """What an interpreter does that execnet starts: it is told by its first line what to be."""
    multiprocessing.set_start_method(None, force=True)  # the default's; it was this process's
    os.dup2(reads.fileno(), 0)
    os.dup2(writes.fileno(), 1)
    reads.close()
    writes.close()
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    try:
        exec(eval(sys.stdin.readline()), {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()  # a forked process ends without
