"""``make env``: write .env from .env.example, with a secret for each name that has no value. An .env that is there is left as it is."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write_env(folder: Path) -> bool:
    """Write .env, readable by its owner alone. Returns whether it was: one that is there stays, since databases know its secrets."""
    lines = (folder / ".env.example").read_text(encoding="utf-8").splitlines()
    text = "\n".join(f"{line}{_secret(line[:-1])}" if line.endswith("=") and not line.startswith("#") else line for line in lines)
    unfinished = folder / f".env.{os.getpid()}"
    unfinished.touch(0o600)
    unfinished.write_text(f"{text}\n", encoding="utf-8")
    try:
        os.link(unfinished, folder / ".env")
    except FileExistsError:
        return False
    finally:
        unfinished.unlink()
    return True


def _secret(name: str) -> str:
    """A random text that may stand in a URL; for Fernet in its own form, which is 32 bytes."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() if name == "FERNET_KEY" else secrets.token_urlsafe(64)


def main() -> int:
    if write_env(ROOT):
        print(f"{ROOT / '.env'} has a secret for each name. Keep it: the databases are made with its passwords.")
        return 0
    print(f"{ROOT / '.env'} is there already, and was left as it is. Compare its names with .env.example after an upgrade.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
