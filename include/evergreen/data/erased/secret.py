"""The secret that turns a person's key into a hash which nobody can guess back without it."""

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
    """``EVERGREEN_ERASURE_KEY``, else the key file under EVERGREEN_HOME, which is made at first need (mode 0600).

    Raises `ConfigError` for a secret that could be guessed, `TransientError` when the file cannot be written or read.
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
    """HMAC-SHA256 of ``text`` with the secret, in hex."""
    return hmac.new(secret(), text.encode(), hashlib.sha256).hexdigest()


def fingerprint() -> str:
    """Tells one secret from another, and says nothing else of it."""
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
