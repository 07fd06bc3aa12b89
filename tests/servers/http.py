"""An HTTP server on loopback that answers, and misbehaves, as each test tells it to."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request, and the ways to answer it. What is not said to be sent is not sent: lengths may lie."""

    protocol_version = "HTTP/1.1"
    server: _Server
    body: bytes = b""

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """A whole answer; ``content_length="7"`` and the like come before what would be true."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.begin(status, **{"content-length": str(len(body)), **named})
        self.send(body)

    def begin(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send(self, body: bytes) -> None:
        self.wfile.write(body)
        self.wfile.flush()

    def drop(self) -> None:
        """End the connection, whatever was promised."""
        self.close_connection = True

    def do_GET(self) -> None:
        self.server.owner.requests.append(self)
        try:
            self.server.owner.answer(self)
        except (BrokenPipeError, ConnectionResetError):  # the client had enough, which some tests are about
            self.drop()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length)
        if len(self.body) < length:  # whoever sent it was killed amid it: no server acts on half a request
            self.drop()
            return
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """The tests' output is not the place."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: HttpServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that end a connection are what many tests are about; anything else is a fault of a test's."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class HttpServer:
    """Listens from entering to leaving. ``answers`` has what is done for each path, ``requests`` what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[Request] = []
        self.leaving = threading.Event()

    def __enter__(self) -> HttpServer:
        self._server = _Server(("127.0.0.1", 0), Request)
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leaving.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def answer(self, request: Request) -> None:
        path = urlsplit(request.path).path
        if path in self.answers:
            self.answers[path](request)
        else:
            request.answer(404, b"no such page")
