"""Ports that are taken before anybody is told of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of loopback that nobody else is given meanwhile; who is told of it may listen on it.

    It stays bound and does not listen: the kernel then gives it to nobody who asks for any port, and lets a server that sets
    SO_REUSEADDR, as all do, bind it as well.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        yield held.getsockname()[1]
