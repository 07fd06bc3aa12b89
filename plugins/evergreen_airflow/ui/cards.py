"""A version's model card as it was stored, with what has happened since above it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from fastapi import Request, Response
from starlette.responses import HTMLResponse

from evergreen_airflow.ui.pages import PRIVATE, Problem, fragment
from evergreen_airflow.ui.versions import VersionView

SINCE = "<!-- since registration -->"  # where the card leaves room for it
NUMBER = re.compile(r"[1-9][0-9]{0,8}")  # of a version, as the database can hold it
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


@dataclass(frozen=True)
class SinceView:
    """What became of a version after its card was written."""

    version: VersionView

    @property
    def standing(self) -> str:
        mark = self.version.mark
        if mark:
            return f"It is {mark[1]} now."
        return "It serves no more." if self.version.promotions else "It has never served."

    @property
    def approval(self) -> str:
        tone, words = self.version.approval
        return "" if tone == "muted" else words

    @property
    def irreproducible(self) -> str:
        return self.version.found.irreproducible_because or ""


def card_response(request: Request, dag_id: str, model: str, version: str) -> Response:
    """The card of one version. Raises `Problem` when there is none, `DataError` when it is gone or was changed."""
    from include.evergreen.promotion.cards import read_card
    from include.evergreen.registry.overview import version_history

    known = version_history(model, version=int(version)) if NUMBER.fullmatch(version) else []
    found = next(iter(known), None)
    if found is None:
        raise Problem(
            404,
            f"{model} has no version {version[:20]}",
            "No version of this number is registered.",
            f"The registered ones stand on the page of versions of {model}.",
        )
    if not found.card_path:
        raise Problem(
            404,
            f"No model card of {model} version {version} yet",
            "It was registered by a release that wrote none, or its registration has not come that far.",
            f"Write it: `evergreen card {model} {version}`.",
        )
    card = read_card(found.card_path).decode()
    since = fragment(request, "since.html", dag_id=dag_id, model=model, view=SinceView(VersionView(found)))
    return HTMLResponse(card.replace(SINCE, since, 1), headers={**PRIVATE, "Content-Security-Policy": _policy(card)})


def _policy(card: str) -> str:
    """Nothing runs and nothing is loaded; the card's own style sheet is allowed by its digest."""
    styles = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in STYLE.findall(card)]
    allowed = " ".join(f"'sha256-{each}'" for each in styles) or "'none'"
    return f"default-src 'none'; style-src {allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
