"""The secret for the keyed hashes: without it, nobody can find a person's key from the hash."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.settings import Settings

VARIABLE = "EVERGREEN_ERASURE_KEY"
SHORTEST = 32  # characters
FILE = "erasure.key"


def secret() -> bytes:
    """Return the secret of all keyed hashes: ``EVERGREEN_ERASURE_KEY``, else the key file under EVERGREEN_HOME.

    The file is made at first need, with mode 0600.

    :returns: the variable's text in UTF-8, or the content of the file (64 hex digits where it was made here)
    :raises ConfigError: when the variable has fewer than `SHORTEST` characters, so that it could be guessed
    :raises TransientError: when the file cannot be written or read
    """
    given = os.environ.get(VARIABLE)
    if given:
        if len(given) < SHORTEST:
            raise ConfigError(f"{VARIABLE} has {len(given)} characters; give at least {SHORTEST}, such as 64 random hex digits.")
        return given.encode()
    file = Settings.from_environment().home / FILE
    try:
        if not file.exists():
            _make(file)
        return file.read_bytes()
    except OSError as error:
        raise TransientError(f"{file} holds the secret for erasures and cannot be used: {error}. May this process write there?") from error


def keyed_hash(text: str) -> str:
    """Hash a text with the secret. Raises what `secret` does.

    :param text: is hashed in UTF-8
    :returns: HMAC-SHA256 (RFC 2104), as 64 hex digits
    """
    return hmac.new(secret(), text.encode(), hashlib.sha256).hexdigest()


def fingerprint() -> str:
    """Tell one secret from another, and nothing else of it. Raises what `secret` does.

    :returns: 16 hex digits, the same wherever the secret is the same
    """
    return keyed_hash("the fingerprint of this secret")[:16]


def _make(file: Path) -> None:
    """Whole or not at all, and one for all processes: the first to link its own has made it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    own = file.with_name(f".{FILE}-{os.getpid()}-{secrets.token_hex(6)}")
    descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(secrets.token_hex(32).encode())
            out.flush()
            os.fsync(out.fileno())
        os.link(own, file)
    except FileExistsError:
        return
    finally:
        own.unlink(missing_ok=True)
