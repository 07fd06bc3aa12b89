"""Write Airflow's audit log without holding up the API server, which on SQLite waited for itself.

Airflow writes an entry for each change that somebody asks for, and does so in the event loop. While that waits for SQLite's write lock,
no other request goes on, and so the one that holds the lock cannot give it back: after five seconds one of them fails with "database is
locked", a click with an error of the server's, or a task's own report, and the scheduler may end of it. In a thread, the entry waits for
its turn like every other write.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)
WRITER = "action_logging.<locals>.log_action"


class AuditLogInThread:
    """ASGI middleware that, at the first request, has the app's dependencies that write the audit log write it in a thread.

    :param app: gets every request
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._is_done = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on.

        :param scope: of the connection; names the whole app
        :param receive: passed on
        :param send: passed on
        """
        if not self._is_done and scope["type"] == "http":
            self._is_done = True
            if not write_in_thread(scope["app"]):
                log.warning("audit_log.py does not support this Airflow version; on SQLite its API may find the database locked")
        await self.app(scope, receive, send)


def write_in_thread(app: Any) -> int:
    """Replace what writes the audit log in an app's routes. Safe to repeat.

    :param app: FastAPI's, with Airflow's routes
    :returns: how many dependencies write it
    """
    found = [each for route in app.routes for each in _dependants(getattr(route, "dependant", None))]
    for dependant in found:
        if not getattr(dependant.call, "in_thread", False):
            dependant.call = _in_thread(dependant.call)
    return len(found)


def _dependants(dependant: Any) -> Iterator[Any]:
    for each in getattr(dependant, "dependencies", []):
        if getattr(each.call, "__qualname__", "") == WRITER:
            yield each
        yield from _dependants(each)


def _in_thread(writer: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(writer)
    async def write(request: Any, session: Any, user: Any) -> None:
        entries = _Entries()
        await writer(request=request, session=entries, user=user)
        if entries:
            await run_in_threadpool(_store, session, entries)

    write.in_thread = True  # type: ignore[attr-defined]
    return write


class _Entries(list[Any]):
    """What the writer takes for a session: it adds entries, and commits."""

    add = list.append

    def commit(self) -> None:
        """Nothing is written here."""


def _store(session: Any, entries: list[Any]) -> None:
    session.add_all(entries)
    session.commit()
