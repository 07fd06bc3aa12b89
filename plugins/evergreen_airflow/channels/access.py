"""How the API server reads Airflow's connections and its own address."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from include.evergreen.oncall.messages import UndeliveredError

if TYPE_CHECKING:
    from airflow.models.connection import Connection


def connection(connection_id: str) -> Connection:
    """Read a connection with Airflow's own backends, its database among them.

    The task SDK's hooks ask a supervisor, which the API server has none of: there they find connections of the environment alone.

    :param connection_id: its id
    :returns: the connection
    :raises UndeliveredError: when there is none
    """
    from airflow.models.connection import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get_connection_from_secrets(connection_id)
    except AirflowNotFoundException:
        raise UndeliveredError(
            f"connection {connection_id!r} is not set in Airflow. Add it (Admin, Connections), or name another in oncall.yaml.",
            permanent=True,
        ) from None


def base_url() -> str:
    """Read the address that people open Airflow at.

    :returns: ``[api] base_url``, without a slash at its end
    """
    from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or "http://localhost:8080").rstrip("/")


def unique_key(key: str) -> str:
    """Make a message's key one that no other deployment has.

    :param key: of the message
    :returns: a short text of letters, digits and a hyphen
    """
    return f"evergreen-{hashlib.sha256(f'{base_url()} {key}'.encode()).hexdigest()[:40]}"
