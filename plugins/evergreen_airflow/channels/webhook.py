"""A server of the team's own: JSON, signed with a key that both know."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from evergreen_airflow.channels.access import base_url, connection, unique_key
from evergreen_airflow.channels.posting import post
from include.evergreen.config.oncall import Webhook
from include.evergreen.foundation import clock
from include.evergreen.oncall.messages import Message, UndeliveredError

TIMESTAMP, SIGNATURE, IDEMPOTENCY_KEY = "Evergreen-Timestamp", "Evergreen-Signature", "Idempotency-Key"


def send(channel: Webhook, message: Message) -> None:
    """Post a message. The same one always has the same ``Idempotency-Key``, by which the server can take it once.

    :param channel: as it is declared
    :param message: what is told
    :raises UndeliveredError: when it was not delivered
    """
    found = connection(channel.connection)
    secret, host = found.password or "", (found.host or "").strip()
    if not secret or not host:
        text = f"connection {channel.connection!r} needs a host, and a password: the key of the signature."
        raise UndeliveredError(text, permanent=True)
    url = host if "://" in host else f"{found.schema or 'https'}://{host}{f':{found.port}' if found.port else ''}"
    body = json.dumps(document_of(message)).encode()
    timestamp = str(int(clock.now().timestamp()))
    headers = {TIMESTAMP: timestamp, SIGNATURE: signature(secret, timestamp, body), IDEMPOTENCY_KEY: unique_key(message.key)}
    post(url, body, headers=headers, secrets=(secret,))


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Sign a body.

    :param secret: the key that both sides know
    :param timestamp: seconds since 1970, as they are sent
    :param body: as it is sent
    :returns: ``v1=`` and the HMAC-SHA256 of timestamp, full stop and body, in hexadecimal digits
    """
    return f"v1={hmac.new(secret.encode(), timestamp.encode() + b'.' + body, hashlib.sha256).hexdigest()}"


def document_of(message: Message) -> dict[str, Any]:
    """Write a message as JSON.

    :param message: what is told
    :returns: the document
    """
    url = base_url()
    return {
        "key": unique_key(message.key),
        "action": message.action,
        "severity": message.severity,
        "subject": message.subject,
        "recipient": message.recipient,
        "on_call": list(message.on_call),
        "follows_up": [unique_key(incident) for incident in message.incidents],
        "url": f"{url}{message.path}",
        "alerts": [
            {
                "id": alert.id,
                "key": alert.key,
                "kind": alert.kind,
                "name": alert.name,
                "severity": alert.severity,
                "state": alert.state,
                "title": alert.title,
                "message": alert.message,
                "meaning": alert.meaning,
                "times": alert.times,
                "first_at": alert.first_at.isoformat(),
                "assignee": alert.assignee,
                "url": f"{url}{alert.path}",
                "runbook": f"{url}{alert.runbook}",
            }
            for alert in message.alerts
        ],
    }
