"""A version's stored model card, below a summary of what has happened since its registration."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from fastapi import Request, Response
from starlette.responses import HTMLResponse

from evergreen_airflow.ui.pages import Problem, fragment
from evergreen_airflow.ui.versions import VersionView

SINCE = "<!-- since registration -->"  # the placeholder in the card
VERSION_NUMBER = re.compile(r"[1-9][0-9]{0,8}")  # as large as the database column allows
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


@dataclass(frozen=True)
class SinceView:
    """What has happened to a version since its card was written.

    :param version: the version
    """

    version: VersionView

    @property
    def role(self) -> str:
        """What the version is now, in one sentence."""
        badge = self.version.badge
        if badge:
            return f"It is now the {badge[1]}."
        return "It is no longer the champion." if self.version.promotions else "It has never been the champion."

    @property
    def approval(self) -> str:
        """The state of its approval; empty if none is required."""
        tone, status = self.version.approval
        return "" if tone == "muted" else status

    @property
    def irreproducible(self) -> str:
        """Why the version can no longer be reproduced; empty if it can."""
        return self.version.history.irreproducible_because or ""


def card_response(request: Request, dag_id: str, model: str, version: str) -> Response:
    """Return the page of one version's card. Passes on `DataError` if the stored card is missing or was changed.

    :param request: the request
    :param dag_id: the DAG in the page's path, to link back to
    :param model: its name, as in ``include/models``
    :param version: number of the version, as it stands in the path
    :returns: the page
    :raises Problem: if the version or its card does not exist
    """
    from include.evergreen.promotion.cards import read_card
    from include.evergreen.registry.overview import version_history

    histories = version_history(model, version=int(version)) if VERSION_NUMBER.fullmatch(version) else []
    history = next(iter(histories), None)
    if history is None:
        raise Problem(
            404,
            f"{model} has no version {version[:20]}",
            "No version with this number is registered.",
            f"The page of versions of {model} lists the registered ones.",
        )
    if not history.card_path:
        raise Problem(
            404,
            f"No model card of {model} version {version} yet",
            "A release without model cards registered it, or its registration is not complete yet.",
            f"To write it, run `evergreen card {model} {version}`.",
        )
    card = read_card(history.card_path).decode()
    since = fragment(request, "since.html", dag_id=dag_id, model=model, view=SinceView(VersionView(history)))
    return HTMLResponse(card.replace(SINCE, since, 1), headers={"Content-Security-Policy": _policy(card)})


def _policy(card: str) -> str:
    """Return a policy under which nothing runs and nothing is loaded. The card's own style sheet is allowed by its digest."""
    styles = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in STYLE.findall(card)]
    allowed = " ".join(f"'sha256-{digest}'" for digest in styles) or "'none'"
    return f"default-src 'none'; style-src {allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
