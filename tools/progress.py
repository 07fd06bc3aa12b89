"""Shows what runs, how much is done and how long it has taken: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.status import Status

PLAIN_LINE_EVERY_SECONDS = 10.0


class Progress:
    """Steps with a clock. ``update`` may be called as often as one likes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self._status: Status | None = None
        self._step_started = self.started
        self._last_plain = self.started

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self._status = self.console.status("starting")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def begin(self, words: str) -> None:
        """Start a step: the clock of the step starts anew."""
        self._step_started = self._last_plain = time.monotonic()
        self.update(words)

    def update(self, words: str) -> None:
        """Say what is going on now."""
        now = time.monotonic()
        if self._status:
            self._status.update(f"[{_clock(now - self.started)}] {words}")
        elif now - self._last_plain >= PLAIN_LINE_EVERY_SECONDS:
            self._last_plain = now
            self.console.print(f"[{_clock(now - self.started)}]   ... {words}", markup=False, highlight=False, soft_wrap=True)

    def done(self, words: str) -> None:
        """End a step with a line that stays."""
        now = time.monotonic()
        line = f"[{_clock(now - self.started)}] {words} ({now - self._step_started:.1f} s)"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
