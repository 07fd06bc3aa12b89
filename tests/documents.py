"""What a page of the documentation has its reader save and run."""

from __future__ import annotations

import re
import shlex


def files(text: str) -> list[tuple[str, str]]:
    """Each file that is shown in full: the path that stands before it, and its content."""
    return re.findall(r"`([^\s`]+)`:\n\n```(?:python|yaml)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The command lines of all blocks without a language, as a shell splits them; comments are left out."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for language, block in blocks if not language for line in block.splitlines()]
    return [line for line in lines if line]


def section(text: str, heading: str) -> str:
    """From the heading of the second level that begins with ``heading`` to the next one."""
    found = re.search(rf"^## {re.escape(heading)}.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading begins with {heading!r}"
    return found[0]
