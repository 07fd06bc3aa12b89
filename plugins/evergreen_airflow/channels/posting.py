"""One POST over HTTP, and what an answer means for the next attempt."""

from __future__ import annotations

import datetime as dt
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

from include.evergreen.foundation import clock
from include.evergreen.foundation.redaction import redact
from include.evergreen.oncall.messages import UndeliveredError

TIMEOUT_SECONDS = 10.0
_READ_BYTES = 2000
_TOO_MANY, _TIMEOUT, _SERVER = 429, 408, 500


def post(url: str, body: bytes | dict[str, Any], *, headers: dict[str, str] | None = None, secrets: tuple[str | None, ...] = ()) -> None:
    """Send a JSON document. No redirect is followed, since it would carry the secret elsewhere.

    :param url: where to, which may itself be secret: no error quotes it
    :param body: the document, or its bytes
    :param headers: beside the content type
    :param secrets: what no error may quote
    :raises UndeliveredError: unless the answer is a success within `TIMEOUT_SECONDS`
    """
    import httpx

    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    ends = time.monotonic() + TIMEOUT_SECONDS
    answer = b""
    try:
        with httpx.stream(
            "POST",
            url,
            content=content,
            headers={"Content-Type": "application/json", "User-Agent": "evergreen", **(headers or {})},
            timeout=TIMEOUT_SECONDS,
        ) as response:
            for chunk in response.iter_raw():
                answer += chunk
                if len(answer) >= _READ_BYTES or time.monotonic() > ends:
                    break
    except httpx.TimeoutException:
        raise UndeliveredError(f"no answer within {TIMEOUT_SECONDS:g} s.") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError):
        raise UndeliveredError("the address in its connection is not one of http or https.", permanent=True) from None
    except httpx.HTTPError as error:
        raise UndeliveredError(f"the server could not be reached ({type(error).__name__}).") from None
    if response.is_success:
        return
    status = response.status_code
    said = redact(" ".join(answer[:200].decode(errors="replace").split()), url, *secrets)
    may_pass = status in (_TOO_MANY, _TIMEOUT) or status >= _SERVER
    raise UndeliveredError(
        f"the server answered {status}{f': {said}' if said else ''}.",
        permanent=not may_pass,
        retry_after=_seconds(response.headers.get("Retry-After")) if may_pass else None,
    )


def _seconds(retry_after: str | None) -> float | None:
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or dt.UTC) - clock.now()).total_seconds())
