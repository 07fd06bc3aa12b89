"""Validates the reason that a person gives for an action, as the ledger keeps it."""

from __future__ import annotations

from include.evergreen.foundation.errors import ConfigError

LONGEST_REASON, LONGEST_ACTOR = 500, 120  # characters: what the database's columns hold
LENGTHS = (5, LONGEST_REASON)  # fewer say nothing


def checked_reason(subject: str, reason: str) -> str:
    """``reason`` without blanks around it. Raises `ConfigError` when it is too short or too long; ``subject`` says whose it is."""
    reason = reason.strip()
    least, most = LENGTHS
    if not least <= len(reason) <= most:
        raise ConfigError(f"{subject}: the reason has {len(reason)} characters; give {least} to {most}: it is kept in the ledger.")
    return reason
