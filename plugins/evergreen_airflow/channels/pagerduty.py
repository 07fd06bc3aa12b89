"""PagerDuty, through its Events API v2. Each message of ours is an incident there, which we acknowledge and resolve."""

from __future__ import annotations

from typing import Any

from evergreen_airflow.channels.access import base_url, connection, unique_key
from evergreen_airflow.channels.posting import post
from include.evergreen.config.oncall import PagerDuty
from include.evergreen.oncall.messages import Message, UndeliveredError

SERVER = "https://events.pagerduty.com"
LONGEST_SUMMARY = 1024


def send(channel: PagerDuty, message: Message) -> None:
    """Trigger an incident, or acknowledge or resolve those that were triggered. Repeated, it changes nothing: each has its dedup_key.

    :param channel: as it is declared
    :param message: what is told
    :raises UndeliveredError: when it was not delivered
    """
    found = connection(channel.connection)
    if not (key := (found.password or "").strip()):
        raise UndeliveredError(f"connection {channel.connection!r} has no password; give it the integration key.", permanent=True)
    server = (found.host or SERVER).rstrip("/")
    if "://" not in server:
        server = f"{found.schema or 'https'}://{server}{f':{found.port}' if found.port else ''}"
    for event in events_of(message):
        post(f"{server}/v2/enqueue", {"routing_key": key, **event}, secrets=(key,))


def events_of(message: Message) -> list[dict[str, Any]]:
    """Write a message in PagerDuty's form.

    :param message: what is told
    :returns: the events, without the integration key
    """
    if message.action != "trigger":
        return [{"event_action": message.action, "dedup_key": unique_key(incident)} for incident in message.incidents]
    url, alerts = base_url(), message.alerts
    payload = {
        "summary": message.subject[:LONGEST_SUMMARY],
        "source": url,
        "severity": message.severity,
        "timestamp": min(alert.first_at for alert in alerts).isoformat(),
        "component": alerts[0].name or "evergreen",
        "class": alerts[0].kind,
        "custom_details": {"lines": message.lines(url), "on_call": list(message.on_call), "for": message.recipient},
    }
    links = [{"href": f"{url}{message.path}", "text": "Take it"}]
    if len(alerts) == 1:
        links.append({"href": f"{url}{alerts[0].runbook}", "text": "Runbook"})
    return [
        {
            "event_action": "trigger",
            "dedup_key": unique_key(message.key),
            "payload": payload,
            "links": links,
            "client": "Evergreen",
            "client_url": f"{url}{message.path}",
        }
    ]
