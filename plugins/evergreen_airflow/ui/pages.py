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
from starlette.responses import HTMLResponse, Response

from evergreen_airflow.ui import URL_PREFIX
from include.evergreen.foundation.errors import EvergreenError
from include.evergreen.state.pauses import active_pause

TEMPLATES = Path(__file__).with_name("templates")
STATIC = {path.name: path for path in sorted(Path(__file__).with_name("static").glob("*.js"))}
PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


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
    **values: Any,
) -> HTMLResponse:
    """Render a template as a page. It also receives ``airflow`` (base path of Airflow's UI) and ``pause`` (the active pause's summary).

    :param request: the request
    :param template: file name of the template
    :param status: HTTP status code
    :param headers: additional response headers
    :param runs_scripts: whether the page's script asks our API, and its form loads the page again
    :param **values: variables of the template
    :returns: the page, with its security policy
    """
    if "pause" not in values:
        values["pause"] = _active_pause()
    nonce = secrets.token_urlsafe(16)
    html = fragment(request, template, nonce=nonce, **values)
    own = "'self'" if runs_scripts else "'none'"
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src {own}; base-uri 'none'; "
        f"form-action {own}; frame-ancestors 'self'"
    )
    return HTMLResponse(html, status, {**(headers or {}), **PRIVATE, "Content-Security-Policy": policy})


def static_file(name: str) -> Response:
    """Return one of our scripts. Its address changes with its content, so that browsers may keep it.

    :param name: one of `STATIC`
    :returns: the script
    """
    headers = {**PRIVATE, "Cache-Control": "private, max-age=31536000, immutable"}
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
