"""Reserve free ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"


@contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a loopback port that the kernel assigns to nobody else meanwhile, and on which the caller may listen.

    The port is bound without listening. The kernel then does not assign it to processes that ask for any port, but a server that sets
    SO_REUSEADDR, as all do, can bind it.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        yield held.getsockname()[1]
