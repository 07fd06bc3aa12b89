"""Writes text into Markdown, of which nothing is read as markup."""

from __future__ import annotations

import re

_MARKS = re.compile(r"[\\`*\[\]<>&|~#]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word marks nothing


def escape_markdown(text: str) -> str:
    """Write text so that Markdown shows it as it stands, in a paragraph, a heading or a cell of a table.

    :param text: whatever a person, the data or a library says; its line breaks become blanks
    :returns: the same text as inline Markdown (CommonMark, and GitHub's tables), for within a line
    """
    return _MARKS.sub(r"\\\g<0>", " ".join(text.splitlines()))
