"""Rows of an HTTP server: one page a partition or several, of CSV, JSON or JSON Lines.

A page that the server says is unchanged since the partition was last fetched (by its ETag) is not sent again: the raw
rows that were kept then are used. That goes for sources of a single page. The ETag lies beside the raw rows, bears their
name, and goes when they go.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import httpx

from include.evergreen.config import DatasetConfig, expand
from include.evergreen.config.sources import FileFormat, HttpSource, LinkHeader, NextPath, PageNumber
from include.evergreen.data.partitions.files import read_batches
from include.evergreen.data.sources import Delivery
from include.evergreen.data.sources.connections import connections
from include.evergreen.data.sources.conversion import convert_batch
from include.evergreen.data.sources.downloads import Downloader, Response, shown
from include.evergreen.data.sources.formats import Piece
from include.evergreen.data.sources.formats.jsonl import strict_decoder
from include.evergreen.data.sources.unpacking import COMPRESSIONS, DeliveredFile, read_files
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.state import storage

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)
ROWS_AT_ONCE = 65_536
ETAG_ENDING = ".etag.json"  # maintenance keeps what bears the name of a file that it keeps


@dataclass
class _Page:
    """One page: its number from 1, where it came from, what was said of it, and how many rows it had."""

    number: int
    answer: Response
    file: Path
    rows: int = 0

    @property
    def place(self) -> str:
        return f"{shown(self.answer.url)} (page {self.number})" if self.number > 1 else shown(self.answer.url)


@dataclass(frozen=True)
class _Remembered:
    """What is kept of an answer beside its raw rows: the server's ETag, and what was asked for."""

    request: str
    etag: str
    raw_path: str
    undeclared: list[str]
    answered: str


class HttpReader:
    """Reads a dataset whose source is ``http``.

    :param dataset: as it is declared now
    """

    def __init__(self, dataset: DatasetConfig) -> None:
        self.dataset = dataset
        self.source = cast(HttpSource, dataset.source)

    def open(self, partition: Partition) -> Delivery:
        """Prepare the partition's first request; raises `ConfigError` for a wrong URL or connection.

        :param partition: the partition's date
        :returns: the rows of all pages, each of which is asked for when its first row is read
        """
        access = connections().http(self.source.connection) if self.source.connection else None
        url = self._first_url(partition, access.base if access else None)
        delivery = Delivery(iter(()), [shown(url)], [])
        downloader = partial(Downloader, self.dataset.name, self.source, access)
        is_single = self.source.pagination is None
        delivery.batches = self._single(partition, url, downloader, delivery) if is_single else self._pages(url, downloader, delivery)
        return delivery

    def _first_url(self, partition: Partition, base: str | None) -> httpx.URL:
        start = self.dataset.grain.start(partition)
        end = start + dt.timedelta(days=1)
        values = {"partition": str(partition), "start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        path = expand(self.source.url, where=f"{self.dataset.name}: source.url").replace("{partition}", quote(str(partition), safe=""))
        try:
            whole = httpx.URL(path if "://" in path or base is None else f"{base}/{path.removeprefix('/')}")
        except httpx.InvalidURL as error:
            raise ConfigError(f"{self.dataset.name}: source.url is no URL: {error}. Fix it.") from None
        server = whole if base is None else httpx.URL(base)
        if (whole.scheme, whole.host, whole.port) != (server.scheme, server.host, server.port):
            raise ConfigError(
                f"{self.dataset.name}: source.url is at {shown(whole)}, and connection {self.source.connection!r} is for {base}: its "
                f"credentials are sent to no other server. Write the path alone, or name another connection."
            )
        if whole.scheme not in ("http", "https") or not whole.host or whole.userinfo:
            raise ConfigError(
                f"{self.dataset.name}: source.url is {shown(whole)!r}; allowed: http:// and https:// with a host, without credentials."
            )
        params = {name: _filled(value, values) for name, value in self.source.params.items()}
        if isinstance(self.source.pagination, PageNumber):
            params[self.source.pagination.parameter] = str(self.source.pagination.first)
        return whole.copy_merge_params(params) if params else whole

    # --- one page, that may be unchanged ------------------------------------------------------------------------------

    def _single(
        self, partition: Partition, url: httpx.URL, downloader: partial[Downloader], delivery: Delivery
    ) -> Iterator[pa.RecordBatch]:
        request = self._request_digest(url)
        known = _remembered(f"raw/{self.dataset.name}/{partition}", request)
        with downloader() as asking, storage.scratch_file() as file:
            answer = asking.get(url, file, etag=known.etag if known else None, max_bytes=self._most_bytes)
            if answer.unchanged and known:
                delivery.undeclared += known.undeclared
                with storage.local_file(known.raw_path) as raw:
                    yield from read_batches(raw)
                return
            yield from self._rows(_Page(1, answer, file), delivery)
        if answer.etag:
            delivery.kept = partial(_remember, request, answer.etag, delivery.undeclared)

    def _request_digest(self, url: httpx.URL) -> str:
        """Of all that decides about the rows: an answer to another question, or one that was read otherwise, does not stand."""
        asked = {
            "url": str(url),
            "source": self.source.model_dump(mode="json"),
            "columns": [column.model_dump(mode="json") for column in self.dataset.columns],
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    # --- several pages ------------------------------------------------------------------------------------------------

    def _pages(self, url: httpx.URL, downloader: partial[Downloader], delivery: Delivery) -> Iterator[pa.RecordBatch]:
        assert self.source.pagination is not None
        asked: set[str] = set()
        before: str | None = None
        address: httpx.URL | None = url
        with downloader() as asking, storage.scratch_file() as file:
            while address is not None:
                if str(address) in asked:
                    raise self._error(address, "is named as the next page a second time, so that there would be no end. Ask its owner.")
                asked.add(str(address))
                if len(asked) > self.source.pagination.max_pages:
                    raise self._error(
                        address, f"comes after {self.source.pagination.max_pages} pages, the most that source.pagination.max_pages allows."
                    )
                page = _Page(len(asked), asking.get(address, file, max_bytes=self._most_bytes), file)
                if page.number > 1:
                    delivery.places.append(page.place)
                document = self._json(page) if self.source.format == "json" and not page.answer.no_content else None
                yield from self._rows(page, delivery, document)
                if page.rows and page.answer.digest == before:
                    raise self._error(
                        address, f"gives page {page.number} with the content of the page before. Is source.pagination right for it?"
                    )
                before = page.answer.digest
                address = self._next(page, document, address, asking, url)

    def _next(self, page: _Page, document: Any, address: httpx.URL, asking: Downloader, origin: httpx.URL) -> httpx.URL | None:
        pagination = self.source.pagination
        if isinstance(pagination, PageNumber):
            number = str(pagination.first + page.number)
            return address.copy_set_param(pagination.parameter, number) if page.rows else None
        if isinstance(pagination, LinkHeader):
            following: Any = page.answer.next
        else:
            assert isinstance(pagination, NextPath)
            *parents, last = pagination.path.split(".")
            holder = {} if page.answer.no_content else self._at(document, parents, page)
            if not isinstance(holder, dict):
                raise self._error(
                    address, f"has no object at {'.'.join(parents) or 'its top'!r}, where {last!r} should name the next page."
                )
            following = holder.get(last)
            if following is not None and (isinstance(following, bool) or not isinstance(following, str | int)):
                raise self._error(
                    address, f"names its next page by a {type(following).__name__} at {pagination.path!r}; allowed: text, or null."
                )
            if pagination.parameter and following not in (None, ""):
                return address.copy_set_param(pagination.parameter, str(following))
        if following in (None, ""):
            return None
        try:
            target = address.join(str(following))
        except httpx.InvalidURL:
            raise self._error(address, "names a next page that is no URL. Ask its owner.") from None
        if not asking.same_host(target, origin):
            raise self._error(
                address, f"names its next page at {shown(target)}, which is another server; a source is read at its own alone."
            )
        return target

    # --- the rows of a page -------------------------------------------------------------------------------------------

    def _rows(self, page: _Page, delivery: Delivery, document: Any = None) -> Iterator[pa.RecordBatch]:
        if page.answer.no_content or (self.source.format == "csv" and page.number > 1 and page.answer.size == 0):
            return
        if self.source.format == "json":
            batches = self._records(document if document is not None else self._json(page), page, delivery)
        else:
            form = FileFormat(
                format=self.source.format,
                compression=cast(Any, COMPRESSIONS.get(PurePosixPath(page.answer.url.path).suffix.lower(), "none")),
                csv=self.source.csv,
                missing_values=self.source.missing_values,
                max_bytes=self.source.max_bytes,
            )
            opening = partial(cast(Any, page.file.open), "rb")
            batches = read_files(self.dataset, form, [DeliveredFile(page.place, cast("Any", opening))], delivery.undeclared)
        for batch in batches:
            page.rows += batch.num_rows
            yield batch

    def _json(self, page: _Page) -> Any:
        try:
            text = page.file.read_bytes().decode("utf-8-sig")
            return strict_decoder(text).decode(text)
        except RecursionError:
            trouble = "it is nested too deeply"
        except UnicodeDecodeError as error:
            trouble = f"byte {error.start} is not UTF-8"
        except ValueError as error:
            trouble = str(error)[:200]
        raise DataError(f"{self.dataset.name}: {page.place} is not JSON: {trouble}. Ask its owner, or fix source.format.")

    def _records(self, document: Any, page: _Page, delivery: Delivery) -> Iterator[pa.RecordBatch]:
        keys = self.source.records.split(".") if self.source.records else []
        records = self._at(document, keys, page)
        where = f"at {self.source.records!r}" if keys else "at its top"
        if not isinstance(records, list):
            hint = f"; it has the keys {', '.join(map(str, document))[:300]}" if isinstance(document, dict) else ""
            raise self._error(page.answer.url, f"has no list {where}{hint}. Say in source.records where the list of rows stands.")
        for number, record in enumerate(records, start=1):
            if not isinstance(record, dict):
                raise self._error(
                    page.answer.url, f"has as record {number} {where} a {type(record).__name__}, not an object with columns as keys."
                )
        if not records:
            return
        names = list(dict.fromkeys(name for record in records for name in record))
        Piece(self.dataset, page.place, undeclared=delivery.undeclared).check_columns(names)
        for first in range(0, len(records), ROWS_AT_ONCE):
            part = records[first : first + ROWS_AT_ONCE]
            columns = {name: [record.get(name) for record in part] for name in self.dataset.source_names}
            yield convert_batch(self.dataset, columns, lambda row, first=first: f"{page.place}, record {first + row + 1}")  # type: ignore[misc]

    def _at(self, document: Any, keys: list[str], page: _Page) -> Any:
        node = document
        for number, key in enumerate(keys):
            if not isinstance(node, dict) or key not in node:
                present = ", ".join(map(str, node))[:300] if isinstance(node, dict) else f"a {type(node).__name__}"
                raise self._error(
                    page.answer.url, f"has nothing at {'.'.join(keys[: number + 1])!r}; there is: {present}. Fix the path in source."
                )
            node = node[key]
        return node

    @property
    def _most_bytes(self) -> int | None:
        return self.source.max_page_bytes if self.source.format == "json" else None

    def _error(self, url: httpx.URL, trouble: str) -> DataError:
        return DataError(f"{self.dataset.name}: {shown(url)} {trouble}")


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _remembered(folder: str, request: str) -> _Remembered | None:
    """What stands of the newest answer to the same request, while its raw rows are still there."""
    paths = {file.path for file in storage.files(folder)}
    answers = [_answer_at(path) for path in sorted(paths) if path.endswith(ETAG_ENDING)]
    standing = [answer for answer in answers if answer is not None and answer.request == request and answer.raw_path in paths]
    return max(standing, key=lambda answer: answer.answered, default=None)


def _answer_at(path: str) -> _Remembered | None:
    """None when the file is damaged: then the server is asked for all of it."""
    try:
        return _Remembered(**json.loads(storage.read_bytes(path)))
    except (ValueError, TypeError) as error:
        log.warning("%s is damaged, and passed over: %s", path, error)
        return None


def _remember(request: str, etag: str, undeclared: list[str], raw_path: str) -> None:
    kept = _Remembered(request, etag, raw_path, undeclared, clock.now().isoformat())
    storage.write_bytes(raw_path + ETAG_ENDING, json.dumps(asdict(kept)).encode())
