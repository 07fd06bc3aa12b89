"""A temporary PostgreSQL server for tests and benchmarks: its own cluster in a temporary folder, on loopback, with a password."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]  # Airflow's own dependency

from tools.ports import reserved_port

START_SECONDS = 60
PR_SET_PDEATHSIG = 1
PASSWORD = "pears&plums/9"  # noqa: S105  with characters that URLs must quote


class PostgreSQL:
    """A context manager that starts the server, and on exit stops it and removes its data."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def program(name: str) -> str | None:
        """Return the path of a PostgreSQL program, or None. Debian installs the server's programs outside the PATH."""
        found = shutil.which(name)
        return found or next((str(each) for each in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)

    def __enter__(self) -> PostgreSQL:
        # not in TMPDIR: the user postgres may have no access, and the path of a socket is limited to about a hundred characters
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-of-evergreen-", dir="/tmp"))
        self._undo = ExitStack()
        try:
            self.port = self._undo.enter_context(reserved_port())
            secret = self._folder / "password"
            secret.write_text(PASSWORD, encoding="utf-8")
            if user := self._user():
                for path in (self._folder, secret):
                    shutil.chown(path, user=user)
            initdb = [str(self.program("initdb")), "-D", f"{self._folder}/data", "-U", "evergreen", f"--pwfile={secret}"]
            self._run([*initdb, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGINT)
        self._undo.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        command = [
            str(self.program("postgres")),
            "-D",
            f"{self._folder}/data",
            "-k",
            str(self._folder),
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-c", "fsync=off", "-c", "max_connections=60"],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                preexec_fn=_end_with_this_process,  # noqa: PLW1509  it calls nothing but prctl
                **self._as_user(),
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
            except psycopg2.OperationalError:
                ready = False
            else:
                ready = True
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text(encoding='utf-8')[-2000:]}")
            if ready:
                return
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the server, by default immediately, like a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def connect(self, database: str = "postgres") -> Any:
        return psycopg2.connect(host="127.0.0.1", port=self.port, user="evergreen", password=PASSWORD, dbname=database, connect_timeout=5)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        with closing(self.connect(database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def new_database(self, name: str) -> str:
        """Create an empty database, replacing any of that name, and return its SQLAlchemy URL."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name).replace("postgresql://", "postgresql+psycopg2://")

    def copy_database(self, name: str, template: str) -> str:
        """Create a copy of the database ``template``, to which nobody may be connected, and return its SQLAlchemy URL."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name).replace("postgresql://", "postgresql+psycopg2://")

    def url(self, database: str = "postgres") -> str:
        from urllib.parse import quote

        return f"postgresql://evergreen:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=self._folder, check=False, **self._as_user())
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr or done.stdout}")

    @staticmethod
    def _user() -> str | None:
        """Return the user to run as: PostgreSQL does not run as root."""
        return "postgres" if os.geteuid() == 0 else None

    def _as_user(self) -> dict[str, Any]:
        if not self._user():
            return {}
        entry = pwd.getpwnam("postgres")
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _end_with_this_process() -> None:
    """Stop the server if this process is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
