"""A mail server on loopback that asks for STARTTLS and a login, and keeps what it gets; or refuses, as each test tells it to."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import socketserver
import ssl
import tempfile
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "evergreen", "open sesame"


@dataclass
class Mail:
    """One mail as it came: over TLS and with a login, or not."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    logged_in: bool


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._handle()

    def _handle(self) -> None:
        encrypted = logged_in = False
        sender, recipients = "", []
        self._say("220 test")
        while line := self.rfile.readline():
            command = line.decode().strip()
            verb = command.upper().split()[0]
            if verb == "EHLO":
                self._say("250-test\r\n250-AUTH PLAIN\r\n250 STARTTLS" if not encrypted else "250-test\r\n250 AUTH PLAIN")
            elif verb == "STARTTLS":
                self._say("220 go on")
                self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
                encrypted = True
            elif verb == "AUTH":
                logged_in = base64.b64decode(command.split()[2]) == f"\0{USER}\0{PASSWORD}".encode()
                self._say("235 welcome" if logged_in else "535 no")
            elif verb == "MAIL":
                sender = command
                self._say("250 ok")
            elif verb == "RCPT":
                recipients.append(command.partition("<")[2].partition(">")[0])
                self._say(self.server.owner.answer_to_recipient)
            elif verb == "DATA":
                self._say("354 go on")
                lines = []
                while (data := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(data.removeprefix(b"."))
                parsed = message_from_bytes(b"".join(lines), policy=policy.default)
                self.server.owner.mails.append(Mail(sender, recipients, parsed, encrypted, logged_in))  # type: ignore[arg-type]
                self._say("250 taken")
            else:
                self._say("221 bye" if verb == "QUIT" else "250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    owner: SmtpServer
    context: ssl.SSLContext


@dataclass
class SmtpServer:
    """Listens from entering to leaving. ``mails`` has what was taken."""

    mails: list[Mail] = field(default_factory=list)
    answer_to_recipient: str = "250 ok"
    port: int = 0

    def __enter__(self) -> SmtpServer:
        self._server = _Server(("127.0.0.1", 0), _Session)
        self._server.owner, self._server.context = self, _certified()
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _certified() -> ssl.SSLContext:
    """With a certificate that nobody else vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    certificate = builder.not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(1)).sign(key, hashes.SHA256())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "server.pem")
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(file)
    return context
