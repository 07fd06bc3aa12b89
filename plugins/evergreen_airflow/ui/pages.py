"""Render pages with every value escaped, and a policy under which no script runs but our own two, and nothing is loaded from elsewhere."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evergreen_airflow.ui import URL_PREFIX
from include.evergreen.foundation.errors import EvergreenError
from include.evergreen.state.pauses import active_pause

TEMPLATES = Path(__file__).with_name("templates")
STATIC = {path.name: path for path in sorted(Path(__file__).with_name("static").glob("*.js"))}
_PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class PrivateAnswers:
    """Whatever is answered is for whoever asked alone: it is kept by no cache, unless the answer says otherwise, and is what it says it is.

    :param app: what answers
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the app answer.

        :param scope: of the request
        :param receive: what is sent
        :param send: takes the answer
        """

        async def send_private(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _PRIVATE.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_private)


@dataclass
class Problem(Exception):
    """A page that cannot be shown.

    :param status: HTTP status code
    :param title: what is wrong
    :param message: why
    :param advice: what to do about it
    """

    status: int
    title: str
    message: str
    advice: str = ""


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    runs_scripts: bool = False,
    frames: bool = False,
    **values: Any,
) -> HTMLResponse:
    """Render a template as a page. It also receives ``airflow`` (base path of Airflow's UI) and ``pause`` (the active pause's summary).

    :param request: the request
    :param template: file name of the template
    :param status: HTTP status code
    :param headers: additional response headers
    :param runs_scripts: whether the page's script asks our API, and its form loads the page again
    :param frames: whether the page shows another one of ours in a frame
    :param **values: variables of the template
    :returns: the page, with its security policy
    """
    if "pause" not in values:
        values["pause"] = _active_pause()
    nonce = secrets.token_urlsafe(16)
    html = fragment(request, template, nonce=nonce, **values)
    own, framed = ("'self'" if may else "'none'" for may in (runs_scripts, frames))
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src {own}; base-uri 'none'; "
        f"form-action {own}; frame-ancestors 'self'; frame-src {framed}"
    )
    return HTMLResponse(html, status, {**(headers or {}), "Content-Security-Policy": policy})


def static_file(name: str, *, keep: bool) -> Response:
    """Return one of our scripts.

    :param name: one of `STATIC`
    :param keep: whether browsers may keep it, since its address changes with its content
    :returns: the script
    """
    headers = {"Cache-Control": "private, max-age=31536000, immutable"} if keep else {}
    return Response(_script(name), media_type="text/javascript; charset=utf-8", headers=headers)


@cache
def _script(name: str) -> bytes:
    return STATIC[name].read_bytes()


def _active_pause() -> str:
    """Return the active pause's summary, or an empty string if there is none or our database does not respond."""
    try:
        pause = active_pause()
    except EvergreenError:
        return ""
    return pause.message if pause else ""


def fragment(request: Request, template: str, **values: Any) -> str:
    """Render a template as part of another page.

    :param request: the request
    :param template: file name of the template
    :param **values: variables of the template
    :returns: the HTML
    """
    airflow = request.scope.get("app_root_path", "").rstrip("/")
    return _environment().get_template(template).render(airflow=airflow, ours=f"{airflow}{URL_PREFIX}", **values)


def problem_page(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """Render the page of a problem, with a link back to the DAG, or to the login and from there back to this page.

    :param request: the request
    :param problem: what to show
    :param headers: additional response headers
    :returns: the page
    """
    return render(
        request,
        "problem.html",
        status=problem.status,
        headers=headers,
        problem=problem,
        pause="",  # the reader may not be logged in
        dag_id=request.path_params.get("dag_id"),
        here=quote(request.url.path, safe=""),
    )


@cache
def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.filters["in_path"] = lambda text: quote(str(text), safe="")
    environment.globals["script"] = lambda name: f"{name}?v={hashlib.sha256(_script(name)).hexdigest()[:12]}"
    return environment
