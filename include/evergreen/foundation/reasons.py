"""Validates the reason that a person gives for an action, as the ledger keeps it."""

from __future__ import annotations

from include.evergreen.foundation.errors import ConfigError

LONGEST_REASON, LONGEST_ACTOR = 500, 120  # characters: what the database's columns hold
LENGTHS = (5, LONGEST_REASON)  # fewer say nothing


def checked_reason(subject: str, reason: str, *, most: int = LONGEST_REASON) -> str:
    """The reason as the ledger keeps it.

    :param subject: what the action is on, to be named in an error
    :param reason: what the person wrote
    :param most: how many characters there is room for
    :returns: ``reason`` without blanks around it
    :raises ConfigError: it has fewer characters than `LENGTHS` allow, or more than ``most``
    """
    reason = reason.strip()
    least = LENGTHS[0]
    if not least <= len(reason) <= most:
        raise ConfigError(f"{subject}: the reason has {len(reason)} characters; give {least} to {most}: it is kept in the ledger.")
    return reason
