"""What reaches the user's terminal: tables, and our own log from a level on; nothing of what libraries say."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.evergreen.foundation.redaction import redact

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

OUR_LOGGER = "include.evergreen"
PIPED_WIDTH = 160  # columns, where no terminal says how wide it is
# MLflow would put handlers of its own on the terminal, and draw progress bars. It reads these when it is imported.
MLFLOW_QUIET = {"MLFLOW_CONFIGURE_LOGGING": "false", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


def console() -> Console:
    """Open the place where tables are printed.

    :returns: stdout, as wide as the terminal, or `PIPED_WIDTH` where it is none
    """
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=PIPED_WIDTH)


def new_table(title: str, *columns: str) -> Table:
    """Begin a table of columns whose cells break into lines rather than lose their ends.

    :param title: shown above it, on the left
    :param *columns: their headings, from left to right
    :returns: the table, without rows
    """
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    :param number: how many there are
    :param noun: in the singular; the plural takes an s
    :returns: such as ``1 partition`` or ``2 partitions``
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@contextmanager
def quiet(*, verbose: bool, debug: bool) -> Iterator[None]:
    """Log to stderr for the length of the block: warnings of ours at least; afterwards the loggers are as they were.

    :param verbose: log our own steps, too
    :param debug: log everyone's, with the loggers' names
    :yields: nothing
    """
    for name, value in MLFLOW_QUIET.items():
        os.environ.setdefault(name, value)
    handler = _StderrHandler()
    handler.setFormatter(_RedactedFormatter("%(levelname)s %(message)s" if not debug else "%(levelname)s %(name)s: %(message)s"))
    if not debug:
        handler.addFilter(lambda record: record.name.startswith(OUR_LOGGER))
    root, ours = logging.getLogger(), logging.getLogger(OUR_LOGGER)
    before = root.handlers[:], root.level, ours.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if debug else logging.WARNING)
    ours.setLevel(logging.INFO if verbose or debug else logging.WARNING)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])


class _RedactedFormatter(logging.Formatter):
    """What libraries log, tracebacks included, has no password either."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what ``sys.stderr`` is now: a progress display replaces it, to keep lines above itself."""

    @property
    def stream(self) -> object:
        return sys.stderr

    @stream.setter
    def stream(self, value: object) -> None:
        """Set by the base class at its start.

        :param value: not used
        """
