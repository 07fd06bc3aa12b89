"""Make Airflow connections available to the data sources of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.evergreen.data.sources.connections import Connection, HttpAccess, http_access, use_connections
from include.evergreen.foundation.errors import ConfigError, TransientError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from fsspec import AbstractFileSystem


class AirflowConnections:
    """Airflow's connections, each used through its provider."""

    def engine(self, connection: str) -> sa.Engine:
        """Return a SQLAlchemy engine without a connection pool. Passes on `TransientError` if Airflow does not respond.

        :param connection: id of the connection
        :returns: the engine, which opens a connection each time it is asked for one
        :raises ConfigError: if the connection is missing or is no SQL database, or its provider is not installed
        """
        from airflow.providers.common.sql.hooks.sql import DbApiHook
        from sqlalchemy.pool import NullPool

        airflow_connection = _get(connection)
        try:
            hook = airflow_connection.get_hook()
        except Exception as error:
            raise ConfigError(
                f"connection {connection!r} is of type {airflow_connection.conn_type!r}, for which no provider is installed "
                f"({type(error).__name__}). Install its provider, or use another connection."
            ) from None
        if not isinstance(hook, DbApiHook):
            raise ConfigError(
                f"connection {connection!r} is of type {airflow_connection.conn_type!r}, which is no SQL database. "
                f"Use a connection whose provider builds on common.sql, such as postgres, mysql or snowflake."
            )
        try:
            return hook.get_sqlalchemy_engine({"poolclass": NullPool})
        except Exception as error:  # each provider raises its own; the message may contain the URI with its password
            raise ConfigError(
                f"connection {connection!r}: its provider gives no SQLAlchemy engine ({type(error).__name__}). "
                f"Install the SQLAlchemy dialect of {airflow_connection.conn_type!r}, and check the connection's extras."
            ) from None

    def filesystem(self, protocol: str, connection: str | None) -> AbstractFileSystem:
        """Return an fsspec file system with an empty listing cache. Passes on `TransientError` if Airflow does not respond.

        :param protocol: URL scheme of the store, such as ``s3``
        :param connection: id of the connection, or None for the store's default credentials
        :returns: the file system
        :raises ConfigError: if the connection is missing or the store's provider is not installed
        """
        from airflow.sdk import ObjectStoragePath

        if connection is not None:
            _get(connection)
        try:
            filesystem = ObjectStoragePath(f"{protocol}://", conn_id=connection).fs
        except (ValueError, ImportError) as error:
            raise ConfigError(
                f"Airflow has no file system for {protocol}:// with connection {connection!r} ({type(error).__name__}). "
                f"Install the store's provider, such as apache-airflow-providers-amazon[s3fs]."
            ) from None
        filesystem.invalidate_cache()  # it is cached for the life of the process, and its listings may be stale
        return filesystem

    def http(self, connection: str) -> HttpAccess:
        """Return the base URL and headers of an HTTP connection.

        Passes on `ConfigError` if the connection is missing or is not an HTTP connection, and `TransientError` if Airflow does not respond.

        :param connection: id of the connection
        :returns: what a reader needs to ask the server
        """
        airflow_connection = _get(connection)
        return http_access(
            Connection(
                id=connection,
                type=airflow_connection.conn_type or "",
                host=airflow_connection.host,
                port=airflow_connection.port,
                login=airflow_connection.login,
                password=airflow_connection.password,
                schema=airflow_connection.schema,
                extra=airflow_connection.extra_dejson,
            )
        )


def use_airflow_connections() -> None:
    """Make the data sources in this process resolve their connections through Airflow."""
    use_connections(AirflowConnections())


def _get(connection: str) -> Any:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException, AirflowRuntimeError

    try:
        return BaseHook.get_connection(connection)
    except AirflowNotFoundException:
        raise ConfigError(
            f"connection {connection!r} is not set in Airflow. Add it (Admin, Connections; or the environment variable "
            f"AIRFLOW_CONN_{connection.upper()}), or use another."
        ) from None
    except (AirflowRuntimeError, AirflowException) as error:
        raise TransientError(f"connection {connection!r} could not be read from Airflow ({type(error).__name__}).") from None
