"""The server of clean processes, forked from the tests' warm process: it finds imported what the product's own takes seconds to import."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.evergreen.serving import clean_process_server
from include.evergreen.serving.clean_processes import clean_environment
from tests.unit.warm import warm_context
from tools.forked import within


@contextmanager
def forked_server() -> Iterator[str]:
    """Its address. Whoever asks must have this process's ``PYTHON...`` variables of now; it ends with the warm process."""
    folder = tempfile.mkdtemp(prefix="evergreen-clean-")  # of its own, as a socket's path must be short
    address = str(Path(folder, "socket"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        process = warm_context().Process(target=within, args=(clean_environment(), _serve, (listener, folder)), daemon=True)
        process.start()
    try:
        yield address
    finally:
        process.kill()
        process.join()
        shutil.rmtree(folder, ignore_errors=True)


def _serve(listener: socket.socket, folder: str) -> None:
    clean_process_server.main(listener.detach(), os.getppid(), folder)
