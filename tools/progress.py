"""Show progress: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.status import Status

PLAIN_LINE_EVERY_SECONDS = 10.0


class Progress:
    """Steps with their durations. ``update`` may be called at any rate."""

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

    def begin(self, message: str) -> None:
        """Start a step and its clock."""
        self._step_started = self._last_plain = time.monotonic()
        self.update(message)

    def update(self, message: str) -> None:
        """Show the current state of the step."""
        now = time.monotonic()
        if self._status:
            self._status.update(f"[{_clock(now - self.started)}] {message}")
        elif now - self._last_plain >= PLAIN_LINE_EVERY_SECONDS:
            self._last_plain = now
            self.console.print(f"[{_clock(now - self.started)}]   ... {message}", markup=False, highlight=False, soft_wrap=True)

    def done(self, message: str) -> None:
        """End a step with a permanent line."""
        now = time.monotonic()
        line = f"[{_clock(now - self.started)}] {message} ({now - self._step_started:.1f} s)"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
