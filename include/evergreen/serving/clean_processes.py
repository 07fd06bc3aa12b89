"""Clean processes for the serving check without the cost of imports: a server that has only imported what serving needs forks each.

Whoever runs gates on this machine may have a `Server` beside it; `fork_clean_process` asks the one whose address is in the environment.
Where there is none, or it is gone, or it refuses, a gate starts a new interpreter instead. (docs/decisions/clean-processes.md)
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Protocol

from include.evergreen import PROJECT_ROOT

log = logging.getLogger(__name__)

ADDRESS = "EVERGREEN_CLEAN_PROCESSES"  # the path of a server's socket, for the gates of the processes that its owner starts
INHERITED_NOT = ("AIRFLOW", "_AIRFLOW", "LD_PRELOAD", "PYTHONSTARTUP", "PYTHONINSPECT", ADDRESS)  # a server that only serves has none of it
ACCEPTED = b"+"
EXIT_CODE = struct.Struct("i")
PEER = struct.Struct("3i")  # struct ucred: process, user, group
ANSWER_SECONDS = 20.0  # it answers at once, unless it imports for the first of its gates


class CleanProcess(Protocol):
    """As much of `subprocess.Popen` as a gate asks of its process."""

    @property
    def returncode(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it is not known to have ended."""

    def poll(self) -> int | None:
        """Look whether it has ended; does not wait.

        :returns: the ``returncode`` as of now
        """

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; `subprocess.TimeoutExpired` when it still runs after ``timeout`` seconds.

        :param timeout: seconds; None: as long as it takes
        :returns: the ``returncode``
        """

    def kill(self) -> None:
        """End it at once; nothing happens when it has ended."""


class ForkedProcess:
    """A `CleanProcess` at the other end of a connection to the server. When the connection closes, the process is ended.

    :param connection: on which the server has accepted; closed once the process has ended
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Look whether it has ended; does not wait.

        :returns: its exit code, or minus the signal that ended it; None while it runs
        """
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        :param timeout: seconds; None: as long as it takes
        :returns: its exit code, or minus the signal that ended it
        :raises subprocess.TimeoutExpired: when it still runs after ``timeout`` seconds
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                told = self._connection.recv(EXIT_CODE.size)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("a clean process", timeout or 0.0) from None
            except ConnectionError:
                told = b""
            self.returncode = EXIT_CODE.unpack(told)[0] if told else -signal.SIGKILL  # it ends with its server
            self._connection.close()
        return self.returncode

    def kill(self) -> None:
        """Have the server end it; nothing happens when it has ended."""
        with contextlib.suppress(OSError):  # it has ended
            self._connection.shutdown(socket.SHUT_WR)


def fork_clean_process(folder: Path, environment: dict[str, str], errors: IO[bytes]) -> ForkedProcess | None:
    """Have the server fork a process that answers a question.

    :param folder: where the question lies, and the answer will
    :param environment: all the environment variables that it gets
    :param errors: an open file that takes what it writes to stderr
    :returns: the process, which is running; None without a server that does it
    """
    if not (address := os.environ.get(ADDRESS)):
        return None
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.connect(address)
        _ask(connection, folder, environment, errors)
    except OSError as error:
        connection.close()
        log.info("The server of clean processes at %s is not used (%s); a new interpreter is started", address, error)
        return None
    return ForkedProcess(connection)


def _ask(connection: socket.socket, folder: Path, environment: dict[str, str], errors: IO[bytes]) -> None:
    """Raises `OSError` when the server is not to be trusted, does not answer, or refuses."""
    if not is_of_this_user(connection):
        raise PermissionError("another user's")
    socket.send_fds(connection, [b"\0"], [errors.fileno()])
    connection.sendall(json.dumps({"folder": str(folder), "environment": environment}).encode() + b"\n")
    if connection.recv(len(ACCEPTED)) != ACCEPTED:
        raise ConnectionRefusedError("it refuses, as its own environment is another")


class Server:
    """One process, which this one owns: they end together, even if this one is killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""

    @property
    def pid(self) -> int | None:
        """The server's process id; None when none was started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it, and tell processes that are started from here on where it is. What goes wrong is logged: gates work without."""
        if not hasattr(os, "pidfd_open"):
            return  # not Linux
        self._folder = tempfile.mkdtemp(prefix="evergreen-clean-")  # its owner's alone
        address = str(Path(self._folder) / "socket")
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(address)
                listener.listen()
                self._process = self._start(listener.fileno())
        except OSError:
            log.exception("The server of clean processes could not be started; each gate starts a new interpreter")
            self.stop()
            return
        os.environ[ADDRESS] = address

    def stop(self) -> None:
        """End it and what it has forked; nothing happens when it has ended."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
            os.environ.pop(ADDRESS, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, listener: int) -> subprocess.Popen[bytes]:
        module, arguments = "include.evergreen.serving.clean_process_server", [str(listener), str(os.getpid()), self._folder]
        return start_interpreter(module, *arguments, environment=clean_environment(), pass_fds=[listener])


def start_interpreter(module: str, *arguments: str, environment: dict[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a new interpreter that runs a module and knows nothing of this one.

    :param module: the module's import path
    :param *arguments: its command-line arguments
    :param environment: all the environment variables that it gets
    :param **options: more of `subprocess.Popen`, such as ``stderr``
    :returns: the process, which is running
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT_ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is its owner's to answer
        **options,
    )


def clean_environment() -> dict[str, str]:
    """Copy this process's environment without what belongs to Airflow or to debugging.

    :returns: the variables by name; the project comes first in ``PYTHONPATH``
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED_NOT)}
    paths = kept["PYTHONPATH"].split(os.pathsep) if kept.get("PYTHONPATH") else []
    return {**kept, "PYTHONPATH": os.pathsep.join(dict.fromkeys([str(PROJECT_ROOT), *paths]))}


def is_of_this_user(connection: socket.socket) -> bool:
    """Tell whether the process at the other end of a Unix socket runs as the same user. Linux only.

    :param connection: a connected socket
    :returns: whether it does; one of another user is not to be trusted
    """
    _, user, _ = PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    return bool(user == os.getuid())
