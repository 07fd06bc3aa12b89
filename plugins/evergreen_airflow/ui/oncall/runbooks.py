"""The runbook of each kind of alert, ``docs/runbooks/<kind>.md``, served by ourselves so that it is at hand when nothing else is."""

from __future__ import annotations

import re
from functools import lru_cache

from include.evergreen import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "docs" / "runbooks"
_LINK = re.compile(r'href="([a-z-]+)\.md"')


def runbook_html(kind: str) -> str | None:
    """Render the runbook of a kind of alert. HTML within it is shown as text.

    :param kind: name of the kind, one of `KINDS`
    :returns: the page's content; None if this installation came without it
    """
    path = FOLDER / f"{kind}.md"
    return _rendered(path.read_text(encoding="utf-8")) if path.is_file() else None


@lru_cache(maxsize=64)
def _rendered(text: str) -> str:
    from markdown_it import MarkdownIt

    html: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return _LINK.sub(r'href="\1"', html)  # from one runbook to another
