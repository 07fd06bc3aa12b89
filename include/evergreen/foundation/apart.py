"""Keeps a team's names and ours apart where both name things in one place, whatever either of us calls something."""

from __future__ import annotations

from typing import Final

MARK: Final = "feature:"


def set_apart(name: str, *, is_ours: bool) -> str:
    """Write a team's name so that it is none of ours, and no other name of theirs.

    A name that meets none of ours stays as it is.

    :param name: what the team calls something
    :param is_ours: whether we call something by that name in that place
    :returns: the name, or the name after `MARK`; different names are written differently
    """
    return f"{MARK}{name}" if is_ours or name.startswith(MARK) else name
