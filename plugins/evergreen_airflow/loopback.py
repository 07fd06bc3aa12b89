"""What keeps an Airflow without a login to this machine.

``[core] simple_auth_manager_all_admins`` makes whoever asks an administrator, so a page of the internet, open in a browser on this
machine, must not be able to ask: neither under a name of its own that it resolves to 127.0.0.1 (DNS rebinding; its requests have
that name in ``Host``), nor by posting to 127.0.0.1 from where it is (its requests have its place in ``Origin``).
"""

from __future__ import annotations

import re
from typing import Any

from airflow.configuration import conf
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SIMPLE_AUTH_MANAGER = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
_ORIGIN = re.compile(rf"https?://{_HOST.pattern}", re.IGNORECASE)


class LoopbackOnly:
    """ASGI middleware that rejects requests whose ``Host``, or ``Origin`` if there is one, is not this machine's own name.

    Starlette's ``TrustedHostMiddleware`` does not look at ``Origin``.

    :param app: gets the requests that are not rejected
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 403.

        :param scope: of the connection; ``http`` and ``websocket`` are checked, ``lifespan`` is passed on
        :param receive: passed on
        :param send: passed on, or takes the rejection
        """
        if scope["type"] in {"http", "websocket"} and (reason := _rejection(Headers(scope=scope))):
            await PlainTextResponse(reason, status_code=403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def root_middlewares() -> list[dict[str, Any]]:
    """Return the middlewares of the whole API server.

    :returns: `LoopbackOnly`, as a plugin declares it, where everyone is an administrator; else none
    """
    is_open = conf.get("core", "auth_manager") == SIMPLE_AUTH_MANAGER and conf.getboolean("core", "simple_auth_manager_all_admins")
    return [{"name": "evergreen loopback only", "middleware": LoopbackOnly}] if is_open else []


def _rejection(headers: Headers) -> str | None:
    for name, allowed, is_required in (("host", _HOST, True), ("origin", _ORIGIN, False)):
        values = headers.getlist(name)
        if any(not allowed.fullmatch(value) for value in values) or len(values) > 1 or (is_required and not values):
            return (
                f"This Airflow has no login and makes everyone an administrator, so it answers requests from this machine only, and not "
                f"those with the {name.title()} {', '.join(values)[:200]!r}. Open it as localhost, 127.0.0.1 or [::1], on any port "
                f"(from elsewhere through `ssh -L`), or run an Airflow with a login: docker-compose.yaml.\n"
            )
    return None
