"""Airflow's connections, for the sources of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.evergreen.data.sources.connections import Connection, HttpAccess, http_access, use_connections
from include.evergreen.foundation.errors import ConfigError, TransientError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from fsspec import AbstractFileSystem


class AirflowConnections:
    """Connections as Airflow keeps them, each used through its provider."""

    def engine(self, connection: str) -> sa.Engine:
        from airflow.providers.common.sql.hooks.sql import DbApiHook
        from sqlalchemy.pool import NullPool

        found = _get(connection)
        try:
            hook = found.get_hook()
        except Exception as error:
            raise ConfigError(
                f"connection {connection!r} is of type {found.conn_type!r}, for which no provider is installed here "
                f"({type(error).__name__}). Install its provider, or name another connection."
            ) from None
        if not isinstance(hook, DbApiHook):
            raise ConfigError(
                f"connection {connection!r} is of type {found.conn_type!r}, which is no SQL database. "
                f"Name a connection of a provider that builds on common.sql, such as postgres, mysql or snowflake."
            )
        try:
            return hook.get_sqlalchemy_engine({"poolclass": NullPool})
        except Exception as error:  # each provider has its own; they may repeat the URI with its password
            raise ConfigError(
                f"connection {connection!r}: its provider gives no SQLAlchemy engine ({type(error).__name__}). "
                f"Install the SQLAlchemy dialect of {found.conn_type!r}, and look at the connection's extras."
            ) from None

    def filesystem(self, protocol: str, connection: str | None) -> AbstractFileSystem:
        from airflow.sdk import ObjectStoragePath

        if connection is not None:
            _get(connection)
        try:
            filesystem = ObjectStoragePath(f"{protocol}://", conn_id=connection).fs
        except (ValueError, ImportError) as error:
            raise ConfigError(
                f"Airflow has no file system for {protocol}:// with connection {connection!r} ({type(error).__name__}). "
                f"Install the provider of the store, such as apache-airflow-providers-amazon[s3fs]."
            ) from None
        filesystem.invalidate_cache()  # kept for the process's life: what it listed for another partition may be old
        return filesystem

    def http(self, connection: str) -> HttpAccess:
        found = _get(connection)
        return http_access(
            Connection(
                id=connection,
                type=found.conn_type or "",
                host=found.host,
                port=found.port,
                login=found.login,
                password=found.password,
                schema=found.schema,
                extra=found.extra_dejson,
            )
        )


def use_airflow_connections() -> None:
    """Let this process's sources ask Airflow for the connections that they name."""
    use_connections(AirflowConnections())


def _get(connection: str) -> Any:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException, AirflowRuntimeError

    try:
        return BaseHook.get_connection(connection)
    except AirflowNotFoundException:
        raise ConfigError(
            f"connection {connection!r} is not set in Airflow. Add it (Admin, Connections; or the environment variable "
            f"AIRFLOW_CONN_{connection.upper()}), or name another."
        ) from None
    except (AirflowRuntimeError, AirflowException) as error:
        raise TransientError(f"connection {connection!r} could not be asked of Airflow ({type(error).__name__}).") from None
