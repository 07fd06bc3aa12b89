"""HTTP answers to files on disk: asked for again where that makes sense, and never beyond limits of size, time and host."""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import httpx

from include.evergreen.config.sources import HttpSource
from include.evergreen.data.sources.connections import HttpAccess
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.redaction import redact
from include.evergreen.state import storage

CHUNK = 64 * 1024
FIRST_WAIT_SECONDS = 0.5
MOST_REDIRECTS = 5
DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
WORTH_ANOTHER_TRY = frozenset({408, 425, 429})  # and all from 500
_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


@dataclass(frozen=True)
class Response:
    """What a server said about one page; its body lies in the file that was given.

    ``unchanged``: nothing but that what is known by the ETag still holds. ``no_content``: that there are no rows (204).
    ``next`` is its Link header's.
    """

    url: httpx.URL
    unchanged: bool
    no_content: bool
    size: int
    digest: str
    etag: str | None
    next: str | None


class _Again(Exception):
    """It may go better in a while.

    :param trouble: what the server did, for people
    :param wait: the seconds that the server asked for; None when it asked for none
    """

    def __init__(self, trouble: str, wait: float | None = None) -> None:
        super().__init__(trouble)
        self.wait = wait


class Downloader:
    """Gets the pages of one partition, within a context. Its errors name no query and no secret.

    :param subject: begins its errors: the dataset
    :param source: its limits of size and time; both count from here on, over all pages
    :param access: the server's credentials; None for a server that needs none
    """

    def __init__(self, subject: str, source: HttpSource, access: HttpAccess | None) -> None:
        self._subject, self._source, self._access = subject, source, access or HttpAccess("")
        self._left = source.max_bytes
        self._ends = time.monotonic() + source.deadline_seconds
        self._client = httpx.Client(
            headers={"accept-encoding": "gzip", "user-agent": "evergreen", **self._access.headers},
            auth=self._access.login,
            verify=self._access.verify,
            timeout=source.timeout_seconds,
            follow_redirects=False,
        )

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def get(self, url: httpx.URL, file: Path, *, etag: str | None = None, max_bytes: int | None = None) -> Response:
        """Download a page's body into ``file``, unpacked; asks again, after growing waits, where that may help.

        Raises `ConfigError` when the request itself is wrong (its address, its credentials, or a redirect to another server), and
        `DataError` when the answer is not what was asked for: gone, too large, or a web page.

        :param url: whose redirects are followed on the same server
        :param file: which is written anew
        :param etag: that of an answer which is kept: download the page only if it has changed since
        :param max_bytes: the most that the body may have, unpacked; None for as much as the source's max_bytes leaves
        :returns: what the server said
        :raises TransientError: when the server does not answer well, after all tries or at the source's deadline, or the disk
            refuses
        """
        attempt = 0
        while True:
            try:
                return self._once(url, file, etag, min(self._left, max_bytes or self._left))
            except _Again as again:
                wait = again.wait if again.wait is not None else FIRST_WAIT_SECONDS * 2**attempt
                if again.wait is not None and again.wait > self._source.max_wait_seconds:
                    raise TransientError(self._not_answered(f"{again}, and asks to be left alone for {again.wait:.0f} seconds")) from None
                wait = min(wait, self._source.max_wait_seconds)
                attempt += 1
                if attempt > self._source.retries or time.monotonic() + wait > self._ends:
                    raise TransientError(self._not_answered(f"{again} ({attempt} tries)")) from None
                time.sleep(wait)

    def same_host(self, url: httpx.URL, origin: httpx.URL) -> bool:
        """Say whether an address is of the server that was asked: the same host and port, or its change from http to https.

        :param url: an address that the server names
        :param origin: the address that was asked
        :returns: whether it may be asked too, with the same credentials
        """
        if url.host != origin.host:
            return False
        ports = [address.port or DEFAULT_PORTS.get(address.scheme) for address in (url, origin)]
        return (url.scheme == origin.scheme and ports[0] == ports[1]) or (
            (origin.scheme, url.scheme) == ("http", "https") and ports == [443, 80]
        )

    def _once(self, url: httpx.URL, file: Path, etag: str | None, limit: int) -> Response:
        address = url
        for _ in range(MOST_REDIRECTS + 1):
            try:
                with self._client.stream("GET", address, headers={"if-none-match": etag} if etag else {}) as response:
                    if response.status_code in REDIRECTS and "location" in response.headers:
                        address = self._redirected(response, url)
                        continue
                    return self._taken(response, file, etag, limit)
            except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
                raise ConfigError(f"{self._subject}: {shown(address)} cannot be asked: {self._clean(error)}. Fix source.url.") from None
            except httpx.TransportError as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    raise ConfigError(
                        f"{self._subject}: {shown(address)} shows a certificate that is not trusted: {self._clean(error)}. "
                        f"Have the server renew it, or name its authority in the connection's extra, as verify."
                    ) from None
                raise _Again(f"{shown(address)} {_trouble(error)}: {self._clean(error) or type(error).__name__}") from None
        raise DataError(
            f"{self._subject}: {shown(url)} redirects more than {MOST_REDIRECTS} times. Ask its owner, or name the last address."
        )

    def _redirected(self, response: httpx.Response, origin: httpx.URL) -> httpx.URL:
        target = response.url.join(response.headers["location"])
        if not self.same_host(target, origin):
            raise ConfigError(
                f"{self._subject}: {shown(origin)} redirects to {shown(target)}, which is another server; a source is read at its own "
                f"alone. Name that address, if it is right."
            )
        return target

    def _taken(self, response: httpx.Response, file: Path, etag: str | None, limit: int) -> Response:
        status = response.status_code
        if status == httpx.codes.NOT_MODIFIED and etag:
            return Response(response.url, True, False, 0, "", etag, None)
        if status not in (httpx.codes.OK, httpx.codes.NO_CONTENT):
            self._refuse(response)
        kind = response.headers.get("content-type", "")
        if "html" in kind.lower():
            self._refuse_html(response.url, f"of type {kind[:80]}")
        digest, size = hashlib.sha256(), 0
        with storage.refusals(str(file)):
            sink = file.open("wb")
        with sink:
            for chunk in self._body(response):
                if size == 0 and _HTML.match(chunk):
                    self._refuse_html(response.url, "though it says that it is something else")
                size += len(chunk)
                if size > limit:
                    self._too_large(response.url, limit)
                digest.update(chunk)
                with storage.refusals(str(file)):
                    sink.write(chunk)
        self._left -= size
        following = response.links.get("next", {}).get("url")
        no_content = status == httpx.codes.NO_CONTENT
        return Response(response.url, False, no_content, size, digest.hexdigest(), response.headers.get("etag"), following)

    def _body(self, response: httpx.Response) -> Iterator[bytes]:
        """The body, unpacked a little at a time: a small answer may unpack to a very large one."""
        encoding = response.headers.get("content-encoding", "identity").strip().lower() or "identity"
        if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise DataError(
                f"{self._subject}: {shown(response.url)} packs its answer as {encoding[:40]!r}; gzip was allowed. Ask its owner."
            )
        unpacking = None if encoding == "identity" else zlib.decompressobj(_GZIP_OR_ZLIB)
        for chunk in response.iter_raw():
            if time.monotonic() > self._ends:
                raise TransientError(
                    self._not_answered(f"{shown(response.url)} takes longer than the {self._source.deadline_seconds:g} seconds allowed")
                )
            if unpacking is None:
                yield chunk
                continue
            packed = chunk
            while packed and not unpacking.eof:
                try:
                    yield unpacking.decompress(packed, CHUNK)
                except zlib.error as error:
                    raise _Again(f"{shown(response.url)} sends a damaged {encoding} body ({error})") from None
                packed = unpacking.unconsumed_tail
        if unpacking is not None and not unpacking.eof:
            raise _Again(f"{shown(response.url)} sends a {encoding} body that is cut off")

    def _refuse(self, response: httpx.Response) -> NoReturn:
        status, answer = response.status_code, f"{shown(response.url)} answers {_status(response.status_code)}"
        if status in WORTH_ANOTHER_TRY or status >= 500:
            raise _Again(answer, _retry_after(response.headers.get("retry-after")))
        if status in (401, 403, 407):
            raise ConfigError(f"{self._subject}: {answer} to {self._who}. Look at its credentials, and at what they may read.")
        if status in (404, 410):
            raise DataError(f"{self._subject}: {answer}. Has the system that delivers it done so? Ingest the partition again once it has.")
        if 400 <= status < 500:
            raise ConfigError(f"{self._subject}: {answer}: the request itself is wrong for it. Look at source.url and source.params.")
        raise DataError(f"{self._subject}: {answer}, which is no whole page; allowed: 200, and 204 for no rows. Ask its owner.")

    def _refuse_html(self, url: httpx.URL, how: str) -> NoReturn:
        raise DataError(
            f"{self._subject}: {shown(url)} answers with a web page ({how}), where {self._source.format} was asked for. "
            f"Is it a login, or a page about maintenance? Open it in a browser."
        )

    def _too_large(self, url: httpx.URL, limit: int) -> NoReturn:
        page = limit == self._source.max_page_bytes < self._source.max_bytes
        setting = "max_page_bytes" if page else "max_bytes"
        raise DataError(
            f"{self._subject}: {shown(url)} is larger, unpacked, than source.{setting} allows "
            f"({getattr(self._source, setting)} bytes). Is it what was asked for? Raise source.{setting} if it is."
        )

    def _not_answered(self, trouble: str) -> str:
        return f"{self._subject}: {trouble}. Is its server well? Then try again."

    def _clean(self, error: Exception) -> str:
        return redact(str(error), *(self._access.login or ()), *self._access.headers.values())

    @property
    def _who(self) -> str:
        name = self._source.connection
        return f"connection {name!r}" if name else "a request without credentials (no connection is named)"


def shown(url: httpx.URL) -> str:
    """Write an address for people, without its query, which may hold what is nobody's business.

    :param url: an absolute address
    :returns: its text, without query, fragment and credentials
    """
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))


def _status(code: int) -> str:
    return f"{code} {httpx.codes.get_reason_phrase(code)}".strip()


def _trouble(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "keeps silent for too long"
    if isinstance(error, httpx.ConnectError):
        return "cannot be reached"
    return "ends its answer before it is whole"


def _retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, be it written as seconds or as a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((until.replace(tzinfo=until.tzinfo or dt.UTC) - clock.now()).total_seconds(), 0.0)
