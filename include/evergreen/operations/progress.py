"""How an operation that takes long says how far it is, to whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # the step's name, how much of it is done, and of how much


def no_progress(step: str, done: int, total: int) -> None:
    """Show nothing: for callers that have nowhere to show it.

    :param step: not used
    :param done: not used
    :param total: not used
    """
