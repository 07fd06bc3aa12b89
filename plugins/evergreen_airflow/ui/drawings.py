"""Drift reports that are being rendered, each by a separate process, because the API server should not import Evidently.

The process runs the command line's ``report``. It writes a complete file or none, and waits for any other process on this machine that
renders a report. So two API servers may each start one, and the report is rendered once.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Literal

from include.evergreen import PROJECT_ROOT
from include.evergreen.cli.main import EXIT_CODES
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition

MAX_PARALLEL = 2
TIMEOUT_SECONDS = 180.0
MAX_MESSAGE_LENGTH = 600
Key = tuple[str, Partition]
State = Literal["waiting", "rendering", "done", "failed"]


@dataclass
class Rendering:
    """The state of one report.

    :param state: ``waiting`` means that it has not started because enough others are being rendered
    :param message: why it failed
    :param is_final: whether it failed in a way that a retry cannot fix
    """

    state: State
    message: str = ""
    is_final: bool = False


class ReportRenderer:
    """The reports of this process. The end of a rendering is returned once, to the first caller; a call after a failure starts over.

    :param command: the command that renders, to which model and partition are appended
    """

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", "include.evergreen", "report")) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._renderings: dict[Key, Rendering] = {}

    def render(self, model: str, partition: Partition) -> Rendering:
        """Start to render a report unless it has been started, and return its state immediately.

        :param model: its name, as in ``include/models``
        :param partition: last day of the report's window
        :returns: its state now
        """
        key = (model, partition)
        with self._lock:
            if rendering := self._renderings.get(key):
                if rendering.state != "rendering":
                    del self._renderings[key]
                return rendering
            if sum(other.state == "rendering" for other in self._renderings.values()) >= MAX_PARALLEL:
                return Rendering("waiting")
            self._renderings[key] = rendering = Rendering("rendering")
        threading.Thread(target=self._run, args=(key, rendering), name=f"render {model} {partition}", daemon=True).start()
        return rendering

    def _run(self, key: Key, rendering: Rendering) -> None:
        model, partition = key
        try:
            process = subprocess.run(
                [*self._command, model, str(partition)],
                cwd=PROJECT_ROOT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            rendering.message, rendering.state = f"Rendering was cancelled after {TIMEOUT_SECONDS:g} s.", "failed"
        except OSError as error:
            rendering.message, rendering.state = f"The rendering process could not be started: {error}.", "failed"
        else:
            rendering.message, rendering.is_final = _last_message(process), process.returncode == EXIT_CODES[DataError]
            rendering.state = "done" if process.returncode == 0 else "failed"


def _last_message(process: subprocess.CompletedProcess[str]) -> str:
    if process.returncode < 0:
        return f"The rendering process was killed by signal {-process.returncode}. Is there enough memory?"
    lines = process.stderr.strip().splitlines() or [f"The rendering process ended with exit code {process.returncode}."]
    return lines[-1].removeprefix("evergreen: ")[:MAX_MESSAGE_LENGTH]
