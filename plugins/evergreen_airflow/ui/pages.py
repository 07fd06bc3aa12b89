"""How a page of ours is made: every value escaped, and nothing allowed to run or to load."""

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
from include.evergreen.state.pauses import standing_pause

TEMPLATES = Path(__file__).with_name("templates")
PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Problem(Exception):
    """A page that cannot be shown: its status, and in words why not and what to do."""

    status: int
    title: str
    words: str
    advice: str = ""


def render(request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> HTMLResponse:
    """Fill a template. It knows ``airflow``, the path that Airflow's own pages lie under, and the ``pause`` that stands, in words."""
    if "pause" not in values:
        values["pause"] = _pause()
    nonce = secrets.token_urlsafe(16)
    html = fragment(request, template, nonce=nonce, **values)
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    return HTMLResponse(html, status, {**(headers or {}), **PRIVATE, "Content-Security-Policy": policy})


def _pause() -> str:
    """In words; empty when none stands, or our database does not say."""
    try:
        pause = standing_pause()
    except EvergreenError:
        return ""
    return pause.words if pause else ""


def fragment(request: Request, template: str, **values: Any) -> str:
    """A filled template alone, as part of a page that is made elsewhere."""
    airflow = request.scope.get("app_root_path", "").rstrip("/")
    return _environment().get_template(template).render(airflow=airflow, **values)


def problem_page(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """The page of a problem, with the way back to the DAG, or to the login and from there to here."""
    return render(
        request,
        "problem.html",
        status=problem.status,
        headers=headers,
        problem=problem,
        pause="",  # it may be shown to somebody who is not logged in
        dag_id=request.path_params.get("dag_id"),
        here=quote(request.url.path, safe=""),
    )


@cache
def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.filters["in_path"] = lambda text: quote(text, safe="")
    return environment
