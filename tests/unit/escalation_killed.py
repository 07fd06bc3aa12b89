"""Two rounds of escalation, done again and again in processes that kill themselves (SIGKILL) where the disk has come to another state.

    EVERGREEN_HOME=<an empty home> EVERGREEN_INCLUDE=<a folder with oncall.yaml> python -m tests.unit.escalation_killed

After each death the lease of the dead ends, and a process that lives does both rounds. A server on loopback has taken each message
once, by its key, however often it came. Prints one JSON object: the deaths, what the server took, and what differed.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
import urllib.request
from collections import Counter
from typing import Any

from include.evergreen.foundation import clock
from include.evergreen.oncall import UndeliveredError, escalate
from include.evergreen.oncall.messages import AnyChannel, Message
from include.evergreen.state.alerts import raise_alert, resolve_alert
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import alert_events, leases, notifications
from tests.servers.http import HttpServer
from tests.unit.flights import close_database, rows_of
from tests.unit.killing import Killing

WATCHED = ("oncall/outbox.py", "oncall/escalation.py")
SERVER = HttpServer()


def send(channel: AnyChannel, message: Message) -> None:
    if channel.name == "chat":
        raise UndeliveredError("no such key.", permanent=True)
    document = {"key": message.key, "channel": channel.name, "alerts": [alert.id for alert in message.alerts]}
    request = urllib.request.Request(SERVER.url, json.dumps(document).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


def rounds(start: dt.datetime) -> None:
    threading.settrace(sys.gettrace())  # type: ignore[arg-type]  # the threads that send die at their lines, too
    for minutes in (0, 16):
        escalate(send, start + dt.timedelta(minutes=minutes))


def main() -> None:
    SERVER.answers[""] = SERVER.answers["/"] = lambda request: request.answer(200)
    with SERVER:
        raise_alert("ledger/damage", severity="critical", message="told before, and resolved")
        escalate(send, clock.now())
        resolve_alert("ledger/damage")
        for number in range(5):
            raise_alert(f"task/{number}", severity="critical", message="it failed", model="air_time")
        end_lease()
        start = clock.now() + dt.timedelta(minutes=5)
        killing = Killing(lambda: rounds(start), WATCHED, is_seen_elsewhere=True)
        killing.put_back()
        SERVER.requests.clear()
        killing.live()
        undisturbed, differing, most = state(), [], 0
        for number in killing.points:
            SERVER.requests.clear()
            killing.die(number)
            end_lease()
            killing.live()
            most = max(most, *Counter(json.loads(request.body)["key"] for request in SERVER.requests).values())
            if (found := state()) != undisturbed:
                differing.append({"killed_at": killing.lines[number], "found": found})
    told = {"deaths": len(killing.points), "most_posts_of_one": most, "undisturbed": undisturbed, "differing": differing}
    print(json.dumps(told, default=str))


def end_lease() -> None:
    with writing() as connection:
        connection.execute(leases.update().values(expires_at=clock.now()))
    close_database()


def state() -> dict[str, Any]:
    """What the server took, each once, and what our records say of it."""
    found = {
        "taken": sorted({request.body.decode() for request in SERVER.requests}),
        "notifications": sorted([row.key, row.state] for row in rows_of(notifications)),
        "told": sorted([row.alert_id, row.message] for row in rows_of(alert_events) if row.kind in ("notified", "undelivered")),
    }
    close_database()
    return found


if __name__ == "__main__":
    main()
