"""Drift reports that are being drawn for somebody, each by a process of its own: Evidently has no place in the API server.

The process is the command line's ``report``. It leaves a whole file or none, and takes its turn behind any other that draws on this
machine; so this server and the one beside it may both start one, and the report is drawn once.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Literal

from include.evergreen import PROJECT_ROOT
from include.evergreen.cli.main import EXIT_CODES
from include.evergreen.foundation.errors import DataError

MOST_AT_ONCE = 2
LONGEST_SECONDS = 180.0
LONGEST_WORDS = 600
Key = tuple[str, dt.date]
State = Literal["waiting", "drawing", "done", "failed"]


@dataclass
class Drawing:
    """``failed`` says why in ``words``, and whether another try is in vain; ``waiting`` has not begun, as enough others have."""

    state: State
    words: str = ""
    is_final: bool = False


class Drawings:
    """Those of this process. Each end is told once, to whoever asks first; asking again after a failure draws again."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", "include.evergreen", "report")) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._standing: dict[Key, Drawing] = {}

    def draw(self, model: str, partition: dt.date) -> Drawing:
        """Begin to draw unless it has begun, and say how far it is. Returns at once."""
        key = (model, partition)
        with self._lock:
            if drawing := self._standing.get(key):
                if drawing.state != "drawing":
                    del self._standing[key]
                return drawing
            if sum(each.state == "drawing" for each in self._standing.values()) >= MOST_AT_ONCE:
                return Drawing("waiting")
            self._standing[key] = drawing = Drawing("drawing")
        threading.Thread(target=self._wait_for, args=(key, drawing), name=f"draw {model} {partition}", daemon=True).start()
        return drawing

    def _wait_for(self, key: Key, drawing: Drawing) -> None:
        model, partition = key
        try:
            ended = subprocess.run(
                [*self._command, model, str(partition)],
                cwd=PROJECT_ROOT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            drawing.words, drawing.state = f"It was not drawn within {LONGEST_SECONDS:g} s, and was given up.", "failed"
        except OSError as error:
            drawing.words, drawing.state = f"The process that draws could not be started: {error}.", "failed"
        else:
            drawing.words, drawing.is_final = _last_words(ended), ended.returncode == EXIT_CODES[DataError]
            drawing.state = "done" if ended.returncode == 0 else "failed"


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    if ended.returncode < 0:
        return f"The process that drew it was ended by signal {-ended.returncode}. Is there enough memory?"
    lines = ended.stderr.strip().splitlines() or [f"The process that drew it ended with exit code {ended.returncode}."]
    return lines[-1].removeprefix("evergreen: ")[:LONGEST_WORDS]
