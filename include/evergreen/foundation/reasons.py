"""Why a person did something, as the ledger keeps it."""

from __future__ import annotations

from include.evergreen.foundation.errors import ConfigError

LENGTHS = (5, 500)  # characters: fewer say nothing, more do not fit the database's column


def checked_reason(subject: str, reason: str) -> str:
    """``reason`` without blanks around it. Raises `ConfigError` when it is too short or too long; ``subject`` says whose it is."""
    reason = reason.strip()
    least, most = LENGTHS
    if not least <= len(reason) <= most:
        raise ConfigError(f"{subject}: the reason has {len(reason)} characters; give {least} to {most}, in words: it goes into the ledger.")
    return reason
