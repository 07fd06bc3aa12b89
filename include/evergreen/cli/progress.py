"""Shows how a long verb gets on, on stderr: a live display on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from include.evergreen.operations.progress import Progress

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress() -> Iterator[Progress]:
    """Show how a long verb gets on while the block lasts.

    :yields: a callback, which is told the step, how much of it is done, and of how much
    """
    if not sys.stderr.isatty():
        yield PlainLines()
        return
    with _live() as show:
        yield show


class PlainLines:
    """A line when a step ends, and every few seconds while it lasts."""

    def __init__(self) -> None:
        self._step = ""
        self._began = self._shown = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        """Print a line, if it is time for one.

        :param step: its name; another one than the last time begins a new step
        :param done: how much of it is done
        :param total: of how much; 0: there is nothing to do
        """
        moment = time.monotonic()
        if step != self._step:
            self._step, self._began, self._shown = step, moment, moment
            if done < total:
                print(f"{step} ..." if total == 1 else f"{step}: {total} to do ...", file=sys.stderr, flush=True)
                return
        if done < total and moment - self._shown < SECONDS_BETWEEN_LINES:
            return
        self._shown = moment
        amount = "done" if total <= 1 else f"{done} of {total}"
        print(f"{step}: {amount if total else 'nothing to do'} ({moment - self._began:.1f} s)", file=sys.stderr, flush=True)


@contextmanager
def _live() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Display

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Display(*columns, console=Console(stderr=True)) as display:

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = display.add_task(step, total=total)
            display.update(tasks[step], completed=done, total=total)

        yield show
