"""Render pages with every value escaped and a policy under which nothing runs and nothing is loaded."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from include.evergreen.foundation.errors import EvergreenError
from include.evergreen.state.pauses import active_pause

TEMPLATES = Path(__file__).with_name("templates")
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


def render(request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> HTMLResponse:
    """Render a template as a page. It also receives ``airflow`` (base path of Airflow's UI) and ``pause`` (the active pause's summary).

    :param request: the request
    :param template: file name of the template
    :param status: HTTP status code
    :param headers: additional response headers
    :param **values: variables of the template
    :returns: the page, with its security policy
    """
    if "pause" not in values:
        values["pause"] = _active_pause()
    nonce = secrets.token_urlsafe(16)
    html = fragment(request, template, nonce=nonce, **values)
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    return HTMLResponse(html, status, {**(headers or {}), **PRIVATE, "Content-Security-Policy": policy})


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
    return _environment().get_template(template).render(airflow=airflow, **values)


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
    environment.filters["in_path"] = lambda text: quote(text, safe="")
    return environment
