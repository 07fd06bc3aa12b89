"""Source declarations: where a dataset's raw partitions come from, one class for each kind.

A new kind is one module under `include.evergreen.data.sources` with its reader, and its class here, which names that reader.
"""

from __future__ import annotations

import codecs
import re
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from include.evergreen.config.base import ExpandedPath, Strict, problem_at

_PLACEHOLDER = "{partition}"

# --- files, here and in object stores -------------------------------------------------------------------------------


class DelimitedText(Strict):
    """How CSV text is written."""

    delimiter: str = Field(default=",", min_length=1, max_length=1, description="The character between two cells.")
    encoding: str = Field(default="utf-8", description="Python's name of the character encoding.")

    @field_validator("delimiter")
    @classmethod
    def _separates(cls, delimiter: str) -> str:
        if not delimiter.isascii() or delimiter in '"\r\n\0':
            raise ValueError(f"{delimiter!r} cannot separate cells; allowed: one ASCII character that is no quote and ends no line")
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            known = codecs.lookup(encoding)._is_text_encoding
        except (LookupError, ValueError):
            known = False
        if not known:
            raise ValueError(f"Python knows no encoding {encoding!r}; allowed are such as utf-8, utf-16, latin-1, cp1252")
        return encoding


class FileFormat(Strict):
    """How files are read, wherever they lie."""

    format: Literal["csv", "parquet", "jsonl"] = Field(default="csv", description="What is in the files.")
    compression: Literal["infer", "none", "gzip", "zip"] = Field(
        default="infer", description="How files are packed; infer goes by their names: .gz, .zip, or not at all."
    )
    csv: DelimitedText = DelimitedText()
    missing_values: tuple[str, ...] = Field(default=("", "NA"), description="Cells of CSV that mean 'no value'.")
    max_bytes: int = Field(
        default=20 * 1024**3, gt=0, description="A partition that is larger when unpacked is refused: a zip bomb, or a slip of the source."
    )


class FilesSource(FileFormat):
    """One file or several for each partition: local, or at any URL that fsspec knows."""

    reader: ClassVar[str] = "include.evergreen.data.sources.files.FilesReader"

    type: Literal["files"]
    path: ExpandedPath = Field(
        description="Where a partition's files lie; `{partition}` stands for its key, `*` for anything within a name. Expands `${NAME}`."
    )


class ObjectStorageSource(FileFormat):
    """One object or several for each partition, reached through an Airflow connection."""

    reader: ClassVar[str] = "include.evergreen.data.sources.object_storage.ObjectStorageReader"

    type: Literal["object_storage"]
    url: ExpandedPath = Field(
        description="Such as s3://bucket/sales/{partition}.csv; `{partition}` stands for the partition's key, `*` for anything within a "
        "name. Expands `${NAME}`."
    )
    connection: str | None = Field(
        default=None, description="The Airflow connection that opens the store; none uses what the machine itself may do."
    )

    @field_validator("url")
    @classmethod
    def _has_a_protocol(cls, url: str) -> str:
        if not re.match(r"[a-z][a-z0-9]*://[^/]", url):
            raise ValueError(f"{url!r} names no object store; write its protocol and bucket, such as s3://bucket/sales/{{partition}}.csv")
        if url.startswith(("file://", "local://", "http://", "https://")):
            raise ValueError(f"{url!r} is in no object store; use a source of type files or http")
        return url


# --- SQL ------------------------------------------------------------------------------------------------------------

QUERY_PARAMETERS = ("partition", "start", "end")
_BOUND = re.compile(r"(?<![:\w\\]):(\w+)(?![:\w])")  # as SQLAlchemy finds them
_FORMATTED = re.compile(r"\{\{|\$\{|\{[A-Za-z_][^{},'\"]*\}|%\([A-Za-z_]\w*\)s")
_READS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:SELECT|WITH)\b", re.IGNORECASE | re.DOTALL)


class SqlSource(Strict):
    """The rows that one query gives for each partition, from any SQL database that Airflow has a connection to."""

    reader: ClassVar[str] = "include.evergreen.data.sources.sql.SqlReader"

    type: Literal["sql"]
    connection: str = Field(description="The Airflow connection of the database.")
    query: str = Field(
        description="One SELECT. `:partition` is bound to the partition's date, `:start` and `:end` to the times (UTC) at which its day "
        "begins and the next one does."
    )
    timeout_seconds: int = Field(default=1800, gt=0, description="How long the query may take from its start to its last row.")
    fetch_rows: int = Field(default=20_000, ge=1, le=1_000_000, description="How many rows are asked of the database at a time.")

    @field_validator("query")
    @classmethod
    def _binds_its_parameters(cls, query: str) -> str:
        allowed = ", ".join(f":{name}" for name in QUERY_PARAMETERS)
        if formatted := _FORMATTED.search(query):
            raise ValueError(
                f"{formatted[0]!r} would be put into the text of the query; parameters are bound, never formatted; allowed: {allowed}"
            )
        if not _READS.match(query):
            raise ValueError("the query must be one SELECT (WITH may come before it): a source is read, and nothing else is done to it")
        bound = _BOUND.findall(query)
        if unknown := [name for name in bound if name not in QUERY_PARAMETERS]:
            raise ValueError(f"unknown parameter :{unknown[0]}; allowed: {allowed}. A colon that is none is written \\:")
        return query


# --- HTTP -----------------------------------------------------------------------------------------------------------


class NextPath(Strict):
    """Each page says, at a place in its JSON, where the next one is; the last page has nothing there."""

    kind: Literal["next"]
    path: str = Field(min_length=1, description="Keys to the place, with dots between them, such as paging.next.")
    parameter: str | None = Field(
        default=None, description="The query parameter that takes the value found there; none: the value is a URL."
    )
    max_pages: int = Field(default=1000, ge=1, description="A partition of more pages is refused.")


class LinkHeader(Strict):
    """Each page names the next one in a Link header with rel="next"."""

    kind: Literal["link_header"]
    max_pages: int = Field(default=1000, ge=1, description="A partition of more pages is refused.")


class PageNumber(Strict):
    """Pages are numbered; the first one without rows ends the partition."""

    kind: Literal["page_number"]
    parameter: str = Field(default="page", min_length=1, description="The query parameter that takes the page's number.")
    first: int = Field(default=1, ge=0, description="The first page's number.")
    max_pages: int = Field(default=1000, ge=1, description="A partition of more pages is refused.")


Pagination = Annotated[NextPath | LinkHeader | PageNumber, Field(discriminator="kind")]


class HttpSource(Strict):
    """What an HTTP server answers for each partition: one page or several, of CSV, JSON or JSON Lines."""

    reader: ClassVar[str] = "include.evergreen.data.sources.http.HttpReader"

    type: Literal["http"]
    url: ExpandedPath = Field(
        description="A whole URL, or a path below the connection's; `{partition}` stands for the partition's key. Expands `${NAME}`."
    )
    connection: str | None = Field(default=None, description="The Airflow connection with the server's address and credentials.")
    params: dict[str, str] = Field(
        default_factory=dict,
        description="Query parameters. `{partition}` stands for the partition's key, `{start}` and `{end}` for the times (UTC) at which "
        "its day begins and the next one does.",
    )
    format: Literal["csv", "json", "jsonl"] = Field(default="json", description="What the server answers with.")
    csv: DelimitedText = DelimitedText()
    missing_values: tuple[str, ...] = Field(default=("", "NA"), description="Cells of text that mean 'no value'.")
    records: str | None = Field(
        default=None, description="Where in a JSON page the list of rows stands: keys with dots between them. None: the page is the list."
    )
    pagination: Pagination | None = Field(default=None, description="How the next page is found; none: there is one page.")
    max_bytes: int = Field(default=1024**3, gt=0, description="A partition that is larger when unpacked, all pages together, is refused.")
    max_page_bytes: int = Field(default=64 * 1024**2, gt=0, description="A JSON page, which is read whole, that is larger is refused.")
    timeout_seconds: float = Field(default=30, gt=0, description="How long the server may stay silent.")
    deadline_seconds: float = Field(default=1800, gt=0, description="How long a partition may take, all pages and all waiting together.")
    retries: int = Field(default=3, ge=0, le=10, description="How often a page is asked for again before the task itself is tried again.")
    max_wait_seconds: float = Field(
        default=60, ge=0, description="The longest wait before asking again, whatever the server's Retry-After says."
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
        if scheme and scheme[1] not in ("http", "https"):
            raise ValueError(f"{url!r} is not an HTTP URL; allowed: http://, https://, or a path below the connection's address")
        if urlsplit(url).username is not None:
            raise ValueError("the URL holds credentials; put them into an Airflow connection, and name it as connection")
        return url

    @model_validator(mode="after")
    def _fits_together(self) -> HttpSource:
        if self.connection is None and not self.url.startswith(("http://", "https://", "${")):
            raise problem_at("url", f"{self.url!r} is only a path; write the whole URL, or name a connection that has the server's address")
        if self.format != "json" and self.records is not None:
            raise problem_at("records", f"is for json, and the format is {self.format}; remove it")
        if self.format != "json" and isinstance(self.pagination, NextPath):
            raise problem_at("pagination", f"of kind next is for json, and the format is {self.format}; allowed: link_header, page_number")
        return self


def partition_names(source: Strict) -> tuple[str, ...]:
    """List what stands for the partition in a source's declaration.

    :param source: of any kind
    :returns: such as ``{partition}``; empty for a source of a team's own, which gets the partition in its own way
    """
    if isinstance(source, SqlSource):
        return tuple(f":{name}" for name in QUERY_PARAMETERS)
    if isinstance(source, HttpSource):
        return _PLACEHOLDER, "{start}", "{end}"
    return (_PLACEHOLDER,) if isinstance(source, FilesSource | ObjectStorageSource) else ()


def names_partition(source: Strict) -> bool:
    """Tell whether a source is asked for a partition, so that another one has other rows.

    :param source: of any kind
    :returns: whether anything in it stands for the partition; true of a source of a team's own
    """
    if isinstance(source, SqlSource):
        return _BOUND.search(source.query) is not None
    names = partition_names(source)
    texts = [*source.params.values()] if isinstance(source, HttpSource) else []
    texts += [getattr(source, name) for name in ("path", "url") if hasattr(source, name)]
    return not names or any(name in text for name in names for text in texts)


Source = Annotated[FilesSource | ObjectStorageSource | SqlSource | HttpSource, Field(discriminator="type")]
