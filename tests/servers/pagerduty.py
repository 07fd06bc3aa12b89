"""PagerDuty's Events API v2 on loopback: it refuses what the API refuses, and keeps incidents as the API does.

After https://developer.pagerduty.com/docs/events-api-v2-overview: a trigger opens an incident, which rings; while that is open, another
with its dedup_key is added to its log and does not ring; after it was resolved, another opens a new one.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.servers.http import Request

SEVERITIES = {"critical", "error", "warning", "info"}
LONGEST_SUMMARY, LONGEST_KEY, LENGTH_OF_ROUTING_KEY, LARGEST_EVENT = 1024, 255, 32, 512 * 1024


@dataclass
class Incident:
    """What rang once."""

    dedup_key: str
    state: str = "triggered"
    log: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class PagerDuty:
    """Answers events for ``/v2/enqueue`` of an `HttpServer`; ``incidents`` has what rang, the first first."""

    routing_key: str
    incidents: list[Incident] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)

    def __call__(self, request: Request) -> None:
        event = json.loads(request.body)
        if errors := [*self._errors(event, len(request.body))]:
            self.refused.append(errors)
            request.answer(400, json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": errors}).encode())
            return
        self._take(event)
        said = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        request.answer(202, json.dumps(said).encode())

    @property
    def states(self) -> list[str]:
        return [incident.state for incident in self.incidents]

    def _take(self, event: dict[str, Any]) -> None:
        action = event["event_action"]
        incident = next((each for each in self.incidents if each.dedup_key == event["dedup_key"] and each.state != "resolved"), None)
        if incident is None:
            if action != "trigger":
                return
            self.incidents.append(incident := Incident(event["dedup_key"]))
        incident.log.append(event)
        incident.state = {"trigger": incident.state, "acknowledge": "acknowledged", "resolve": "resolved"}[action]

    def _errors(self, event: dict[str, Any], size: int) -> Iterator[str]:
        if event.get("routing_key") != self.routing_key or len(self.routing_key) != LENGTH_OF_ROUTING_KEY:
            yield "'routing_key' is invalid"
        if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
            yield "'event_action' is invalid"
        if not 0 < len(event.get("dedup_key", "")) <= LONGEST_KEY:
            yield "'dedup_key' is missing or too long"
        if size > LARGEST_EVENT:
            yield "the event exceeds 512 KB"
        allowed = {"routing_key", "event_action", "dedup_key"}
        if event.get("event_action") == "trigger":
            allowed |= {"payload", "images", "links", "client", "client_url"}
            yield from _errors_of_payload(event.get("payload") or {})
            if not all(link.get("href", "").startswith("https://") and "text" in link for link in event.get("links", ())):
                yield "'links' need a href and a text"
        if unknown := set(event) - allowed:
            yield f"{sorted(unknown)} are unknown"


def _errors_of_payload(payload: dict[str, Any]) -> Iterator[str]:
    if not 0 < len(payload.get("summary", "")) <= LONGEST_SUMMARY:
        yield "'payload.summary' is missing or too long"
    if not payload.get("source"):
        yield "'payload.source' is missing"
    if payload.get("severity") not in SEVERITIES:
        yield "'payload.severity' is invalid"
    if "timestamp" in payload and dt.datetime.fromisoformat(payload["timestamp"]).tzinfo is None:
        yield "'payload.timestamp' has no zone"
    if unknown := set(payload) - {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}:
        yield f"'payload' has {sorted(unknown)}"
