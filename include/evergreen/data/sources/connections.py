"""The connections that sources name: the one seam between them and whoever keeps the credentials.

Without Airflow at hand they come from its own environment variables, ``AIRFLOW_CONN_<ID>``, as a URI or as JSON. The
plugin puts Airflow's in their place: connections of the UI, of a secrets backend, and every provider's own types.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from fsspec import AbstractFileSystem

SQL_DRIVERS = {"postgres": "postgresql+psycopg", "mysql": "mysql+pymysql", "mssql": "mssql+pymssql"}
CONNECT_SECONDS = 15
S3_PROTOCOLS = ("s3", "s3a")
HTTP_OPTIONS = frozenset(  # what Airflow keeps among the headers of its HTTP connections; of these, verify and headers are read
    {
        "stream", "cert", "proxies", "proxy", "timeout", "verify", "verify_ssl", "allow_redirects", "max_redirects", "trust_env",
        "check_response", "srv_lookup", "headers",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Connection:
    """What is known of one connection, in Airflow's words. Its secrets are in no `repr`."""

    id: str
    type: str
    host: str | None = None
    port: int | None = None
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    extra: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class HttpAccess:
    """Where an HTTP server is, and what it wants to see from us. ``base`` has no slash at its end."""

    base: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    verify: bool | str = True


class Connections(Protocol):
    """Whoever keeps connections. Each method raises `ConfigError` for one that is not there or that is of no use."""

    def engine(self, connection: str) -> sa.Engine:
        """Make an engine for a SQL database.

        :param connection: id of the connection
        :returns: an engine that has not connected yet; the caller disposes of it
        """

    def filesystem(self, protocol: str, connection: str | None) -> AbstractFileSystem:
        """Open the file system of an object store, without caches of listings.

        :param protocol: that of its URLs, such as ``s3`` or ``gs``
        :param connection: id of the connection; None: the machine's own identity
        :returns: a file system of this call's own
        """

    def http(self, connection: str) -> HttpAccess:
        """Look up the base URL and the credentials of an HTTP server.

        :param connection: id of the connection
        :returns: the server, and what it wants to see from us
        """


class EnvironmentConnections:
    """Connections from this process's environment: `Connections` where there is no Airflow."""

    def engine(self, connection: str) -> sa.Engine:
        """Make an engine for a SQL database.

        :param connection: id of the connection, as in ``AIRFLOW_CONN_<ID>``; text and whole numbers of its extra are options of the driver
        :returns: an engine that has not connected yet, and keeps no connection open; the caller disposes of it
        :raises ConfigError: when the connection is not set or cannot be read, or no driver for its type is installed
        """
        import sqlalchemy as sa

        known = _of_environment(connection)
        driver = SQL_DRIVERS.get(known.type, known.type)
        options = {name: str(value) for name, value in known.extra.items() if isinstance(value, str | int)}
        host, database = (None, known.schema or known.host) if driver.startswith("sqlite") else (known.host, known.schema or None)
        url = sa.URL.create(driver, known.login, known.password, host, known.port, database, options)
        connect = {"connect_timeout": CONNECT_SECONDS} if driver.startswith("postgresql") else {}
        try:
            return sa.create_engine(url, poolclass=sa.NullPool, connect_args=connect)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise ConfigError(
                f"connection {connection!r} is of type {known.type!r}, for which no SQL driver is installed here: {error}. "
                f"Install its SQLAlchemy dialect, or name another connection."
            ) from error

    def filesystem(self, protocol: str, connection: str | None) -> AbstractFileSystem:
        """Open the file system of an object store, without caches of listings.

        :param protocol: that of its URLs, such as ``s3`` or ``gs``
        :param connection: id of the connection, whose extra is given to fsspec (for S3, Airflow's names are translated); None: the
            machine's own identity
        :returns: a file system of this call's own
        :raises ConfigError: when the connection is not set or cannot be read, or fsspec has no package for the protocol
        """
        import fsspec

        options: dict[str, Any] = {}
        if connection is not None:
            known = _of_environment(connection)
            options = _s3_options(known) if protocol in S3_PROTOCOLS else known.extra
        try:
            return fsspec.filesystem(protocol, skip_instance_cache=True, use_listings_cache=False, **options)
        except (ValueError, ImportError) as error:
            raise ConfigError(f"no file system for {protocol}:// is installed here: {error}. Install its fsspec package.") from error

    def http(self, connection: str) -> HttpAccess:
        """Look up the base URL and the credentials of an HTTP server.

        Raises `ConfigError` when the connection is not set or cannot be read, and as `http_access` does.

        :param connection: id of the connection, as in ``AIRFLOW_CONN_<ID>``
        :returns: the server, and what it wants to see from us
        """
        return http_access(_of_environment(connection))


def connections() -> Connections:
    """Tell who keeps connections in this process.

    :returns: Airflow's where the plugin is loaded, else those of the environment
    """
    return _keeper[0]


def use_connections(keeper: Connections) -> None:
    """Choose who keeps connections in this process from now on; the plugin does so when it is loaded.

    :param keeper: is asked for every connection
    """
    _keeper[0] = keeper


_keeper: list[Connections] = [EnvironmentConnections()]


def http_access(connection: Connection) -> HttpAccess:
    """Read an Airflow connection of type HTTP as Airflow's own hook does.

    :param connection: its extras are headers, all but `HTTP_OPTIONS`; its login and password are basic authentication
    :returns: the server, and what it wants to see from us
    :raises ConfigError: when it names no HTTP server, or has credentials in its host
    """
    host = connection.host or ""
    scheme = connection.schema if connection.schema in ("http", "https") else "https" if connection.type == "https" else "http"
    base = host if "://" in host else f"{scheme}://{host}"
    try:
        split = urlsplit(base.rstrip("/"))
        if connection.port and split.port is None:
            split = split._replace(netloc=f"{split.netloc}:{connection.port}")
        base = split.geturl()
        usable = split.scheme in ("http", "https") and split.hostname and split.username is None
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            f"connection {connection.id!r} names no HTTP server. Give its host, and https as its schema (or a host with https:// before "
            f"it); credentials belong into login and password."
        )
    extra = connection.extra
    nested = extra.get("headers")
    headers = {**{name: value for name, value in extra.items() if name not in HTTP_OPTIONS}, **(nested if isinstance(nested, dict) else {})}
    login = (connection.login, connection.password or "") if connection.login else None
    verify = extra.get("verify", extra.get("verify_ssl", True))
    return HttpAccess(base, {name: str(value) for name, value in headers.items()}, login, verify)


def _s3_options(connection: Connection) -> dict[str, Any]:
    extra = connection.extra
    options = {
        "key": connection.login or extra.get("aws_access_key_id"),
        "secret": connection.password or extra.get("aws_secret_access_key"),
        "token": extra.get("aws_session_token"),
        "endpoint_url": extra.get("endpoint_url"),
        "client_kwargs": {"region_name": extra["region_name"]} if extra.get("region_name") else None,
        "config_kwargs": extra.get("config_kwargs"),
    }
    return {name: value for name, value in options.items() if value}


def _of_environment(connection: str) -> Connection:
    variable = f"AIRFLOW_CONN_{connection.upper()}"
    text = os.environ.get(variable)
    if not text:
        raise ConfigError(
            f"connection {connection!r} is not set. Outside of Airflow it comes from the environment variable {variable}: "
            f"a URI such as postgres://login:password@host:5432/database, or JSON."
        )
    try:
        return _from_json(connection, text) if text.lstrip().startswith("{") else _from_uri(connection, text)
    except (ValueError, TypeError, AttributeError):  # not `from`: the complaint would repeat the variable's secrets
        raise ConfigError(
            f"connection {connection!r}: the environment variable {variable} can be read neither as a URI such as "
            f"postgres://login:password@host:5432/database nor as a JSON object with conn_type, host, login, password, port, schema, extra."
        ) from None


def _from_json(connection: str, text: str) -> Connection:
    given = json.loads(text)
    extra = given.get("extra") or {}
    return Connection(
        id=connection,
        type=_type(given.get("conn_type", "")),
        host=given.get("host"),
        port=int(given["port"]) if given.get("port") else None,
        login=given.get("login"),
        password=given.get("password"),
        schema=given.get("schema"),
        extra=dict(json.loads(extra) if isinstance(extra, str) else extra),
    )


def _from_uri(connection: str, text: str) -> Connection:
    type_, _, rest = text.partition("://")
    inner = re.match(r"([a-z]+)://", rest)  # http://https://host names its protocol twice
    split = urlsplit(f"x://{rest[inner.end() :] if inner else rest}")
    extra: dict[str, Any] = dict(parse_qsl(split.query, keep_blank_values=True))
    if "__extra__" in extra:
        extra = dict(json.loads(extra["__extra__"]))
    host = unquote(split.hostname or "")
    return Connection(
        id=connection,
        type=_type(type_),
        host=f"{inner[0]}{host}" if inner else host or None,
        port=split.port,
        login=unquote(split.username) if split.username else None,
        password=unquote(split.password) if split.password else None,
        schema=unquote(split.path[1:]) or None,
        extra=extra,
    )


def _type(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+.-]*", text):
        raise ValueError("no connection type")
    name = text.replace("-", "_").lower()
    return "postgres" if name == "postgresql" else name
