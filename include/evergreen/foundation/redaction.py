"""Passwords and tokens stay out of what people read: errors, logs, records, pages.

`EvergreenError` redacts its own text, so whoever writes a message need not think of it, nor know what a library quotes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

REDACTED = "***"
SHORTEST_SECRET = 4  # characters: shorter ones are in every other word
_SECRET_VARIABLE = re.compile(r"(PASSWORD|PASSWD|TOKEN|SECRET|SECRET_KEY|ACCESS_KEY|ACCOUNT_KEY|FERNET_KEY|ERASURE_KEY|CONNECTION_STRING)$")
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@'\"]*):[^\s/@'\"]+@", re.IGNORECASE)
_PARAMETER = re.compile(
    r"(\b[\w-]*(?:password|passwd|pwd|secret|token|signature|credential|access[_-]?key|account[_-]?key|api[_-]?key)|\bsig)=[^\s&;,'\"]+",
    re.IGNORECASE,
)
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*:?//)?[^:/@]*:(.+)@[^@]*", re.IGNORECASE | re.DOTALL)  # or what somebody meant to be one


def redact(text: str, *secrets: str | None) -> str:
    """Put ``***`` in the place of what nobody should read.

    :param text: such as an error's
    :param *secrets: what is also to be redacted, wherever it stands: servers repeat what they were told in what they complain of
    :returns: the text without the passwords of its URLs, the values of its parameters with names such as ``token``, ``secrets``, and
        the secrets of this process's environment
    """
    known = {secret for secret in (*secrets, *environment_secrets()) if secret and len(secret) >= SHORTEST_SECRET}
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return _PARAMETER.sub(rf"\1={REDACTED}", _USERINFO.sub(rf"\1:{REDACTED}@", text))


def environment_secrets() -> Iterator[str]:
    """Find the secrets in this process's environment variables.

    :yields: the values of names such as ``..._TOKEN``, and the passwords of URLs, as written and unquoted
    """
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name):
            yield value
        elif ("://" in value or name.endswith(("_URL", "_URI"))) and (url := _URL.fullmatch(value)):
            yield from {url[1], unquote(url[1])}
