"""Formatting for error messages: show a value, list the allowed ones, suggest what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_LISTED = 10  # more names than this help nobody in an error message
_SHOWN_CHARACTERS = 80


def did_you_mean(value: object, allowed: Iterable[str]) -> str:
    """Suggest what an author may have meant.

    :param value: what stands in the file; compared as text, whatever the case of its letters
    :param allowed: what could stand there
    :returns: ``did you mean 'x'? `` (with the space) for the nearest allowed value; empty when none is near
    """
    from difflib import get_close_matches  # only a failure pays for it

    by_lower_case = {name.lower(): name for name in allowed}
    near = get_close_matches(str(value).lower(), by_lower_case, n=1)
    return f"did you mean {by_lower_case[near[0]]!r}? " if near else ""


def listed(values: Iterable[object]) -> str:
    """List values in a message.

    :param values: shown in this order
    :returns: the first ten, with commas between them, and how many more there are; ``none`` when there are none
    """
    texts = [str(value) for value in values]
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return (", ".join(texts[:_LISTED]) or "none") + more


def shown(value: Any) -> str:
    """Show a value as its author would recognise it.

    :param value: as it was read from YAML; None is ``nothing``
    :returns: one line, cut to 80 characters
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, str | int | float | list | dict) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def unknown(kind: str, value: object, allowed: list[str]) -> str:
    """Say that something is not known, and what is.

    :param kind: what it was to be, such as ``column``
    :param value: what was written
    :param allowed: the names that there are
    :returns: the problem, with the nearest of them
    """
    return f"unknown {kind} {value!r}; {did_you_mean(value, allowed)}allowed: {listed(allowed)}"
