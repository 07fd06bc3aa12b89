"""Who runs the command: the operating system's user, whom nobody has verified."""

from __future__ import annotations

import os

from include.evergreen.foundation.reasons import LONGEST_ACTOR


def actor() -> str:
    """Who acts, for the ledger: name and number by the operating system, and that no login was asked for.

    Environment variables such as LOGNAME are not read: anybody may set them.

    :returns: such as ``maria (uid 1000, unverified)``, cut to `LONGEST_ACTOR` characters; without a name where the user has none
    """
    name, number = _login(), f"uid {os.getuid()}, unverified"
    return f"{name[: LONGEST_ACTOR - len(number) - 3]} ({number})" if name else number


def user_name() -> str:
    """The user's name alone: for a first draft of what they may change themselves, such as an owner.

    :returns: such as ``maria``; ``uid 1000`` where the user has no name
    """
    return _login() or f"uid {os.getuid()}"


def _login() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container whose user has no name
        return ""
