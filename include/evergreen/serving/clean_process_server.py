"""The process that `clean_processes.Server` starts: it imports what serving needs, and forks a process of its own for each check.

It does nothing else: nothing is loaded, fitted or scored in it, so that a check finds nothing of another, and no pool of threads is
in use when it forks. It imports at the first request, so that an Airflow that gates nothing does not pay the memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import NoReturn

from include.evergreen.foundation.garbage import collect_seldom
from include.evergreen.foundation.silent_import import import_quietly
from include.evergreen.serving import check as serving_check
from include.evergreen.serving.clean_processes import ACCEPTED, EXIT_CODE, is_of_this_user

IMPORTED = (
    "numpy", "pandas", "pyarrow.parquet", "pyarrow.dataset", "pyarrow.pandas_compat", "skops.io", "threadpoolctl",
    "sklearn.compose", "sklearn.ensemble", "sklearn.impute", "sklearn.linear_model", "sklearn.pipeline", "sklearn.preprocessing",
    "include.evergreen.serving.inference", "include.evergreen.state.mlflow_store",
)  # fmt: skip
READ_AT_START = (
    "PYTHON", "LD_", "LC_", "LANG", "OMP_", "GOMP_", "OPENBLAS_", "MKL_", "BLIS_", "NPY_", "ARROW_", "MALLOC_", "GLIBC_",
)  # fmt: skip  # names of variables that the interpreter or a library reads once: a fork cannot take them on
REQUEST_SECONDS = 5.0
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class _Server:
    def __init__(self, listener: socket.socket, owner: int) -> None:
        self._start = _read_at_start(dict(os.environ))  # before libraries add to it
        self._selector = selectors.DefaultSelector()
        self._selector.register(owner, selectors.EVENT_READ)
        self._selector.register(listener, selectors.EVENT_READ, functools.partial(self._accept, listener))

    def run_until_its_owner_ends(self) -> None:
        while (key := self._selector.select()[0][0]).data is not None:
            key.data()

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        try:
            self._answer(connection)
        except Exception:  # whatever was asked, the next is answered
            traceback.print_exc()
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(REQUEST_SECONDS)
        if not is_of_this_user(connection):
            raise PermissionError("another user asks for a clean process")
        _, (errors,), _, _ = socket.recv_fds(connection, 1, 1)
        try:
            with connection.makefile("rb") as lines:
                request = json.loads(lines.readline())
            if _read_at_start(request["environment"]) != self._start:
                connection.close()
                return
            connection.sendall(ACCEPTED)
            _import_all()
            self._watch(connection, _fork(Path(request["folder"]), request["environment"], errors))
        finally:
            os.close(errors)

    def _watch(self, connection: socket.socket, child: int) -> None:
        process = os.pidfd_open(child)
        self._selector.register(connection, selectors.EVENT_READ, functools.partial(self._kill, connection, process))
        self._selector.register(process, selectors.EVENT_READ, functools.partial(self._tell, connection, process, child))

    def _kill(self, connection: socket.socket, process: int) -> None:
        """The gate has closed the connection, or is gone."""
        self._selector.unregister(connection)
        signal.pidfd_send_signal(process, signal.SIGKILL)

    def _tell(self, connection: socket.socket, process: int, child: int) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self._selector.unregister(process)
        os.close(process)
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection)
        with contextlib.suppress(OSError), connection:
            connection.sendall(EXIT_CODE.pack(code))


def main(listener: int, owner: int, folder: str) -> None:
    """Serve until the process that started this one has ended.

    :param listener: the descriptor of the bound, listening socket
    :param owner: the process id of the owner
    :param folder: the socket's folder, which is removed at the end
    """
    try:
        ended = os.pidfd_open(owner)
        if os.getppid() == owner:
            _Server(socket.socket(fileno=listener), ended).run_until_its_owner_ends()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _import_all() -> None:
    for name in IMPORTED:
        with contextlib.suppress(Exception):  # the check itself meets it, and tells
            import_quietly(name)
    gc.collect()
    gc.freeze()


def _fork(folder: Path, environment: dict[str, str], errors: int) -> int:
    server = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, for OpenBLAS' threads, which it stops itself at a fork
        child = os.fork()
    if not child:
        _check(server, folder, environment, errors)
    return child


def _check(server: int, folder: Path, environment: dict[str, str], errors: int) -> NoReturn:
    """The forked process: as a new interpreter would, with the environment and the place for errors that the gate gave."""
    code = 1
    try:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == server:
            os.dup2(errors, sys.stderr.fileno())
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the server's connections
            os.environ.clear()
            os.environ.update(environment)
            time.tzset()
            code = serving_check.main(folder)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _read_at_start(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


if __name__ == "__main__":
    collect_seldom()
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
