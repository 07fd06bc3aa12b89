"""Generates a text that matches a regular expression, for synthetic rows."""

from __future__ import annotations

import re
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np

MOST_REPEATS = 3  # of what may be repeated without end
_PRINTABLE = [chr(code) for code in range(33, 127)]


def matching(pattern: str, rng: np.random.Generator) -> str | None:
    """Make up a text that a pattern matches.

    :param pattern: a regular expression of Python's
    :param rng: what draws among the possible texts
    :returns: the text; None where the pattern uses what this does not write (look-around, back-references), or is none
    """
    try:
        text = "".join(_written(part, rng) for part in parser.parse(pattern))
    except (NotImplementedError, re.error):
        return None
    return text if re.search(pattern, text) else None


def _written(part: tuple[Any, Any], rng: np.random.Generator) -> str:
    code, given = part
    if code is codes.LITERAL:
        return chr(given)
    if code is codes.ANY or code is codes.NOT_LITERAL or code is codes.IN:
        return str(rng.choice([char for char in _PRINTABLE if code is codes.ANY or re.fullmatch(_one_of(part), char)]))
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        least, most, repeated = given
        times = rng.integers(least, min(int(most), least + MOST_REPEATS) + 1)
        return "".join(_written(inner, rng) for _ in range(times) for inner in repeated)
    if code is codes.SUBPATTERN:
        return "".join(_written(inner, rng) for inner in given[-1])
    if code is codes.BRANCH:
        return "".join(_written(inner, rng) for inner in given[1][rng.integers(len(given[1]))])
    if code is codes.AT:
        return ""
    raise NotImplementedError(str(code))


def _one_of(part: tuple[Any, Any]) -> str:
    """A character class, written out again."""
    code, given = part
    if code is codes.NOT_LITERAL:
        return f"[^{re.escape(chr(given))}]"
    return "[" + "".join(_of_class(member) for member in given) + "]"


def _of_class(part: tuple[Any, Any]) -> str:
    code, given = part
    if code is codes.NEGATE:
        return "^"
    if code is codes.LITERAL:
        return re.escape(chr(given))
    if code is codes.RANGE:
        return f"{re.escape(chr(given[0]))}-{re.escape(chr(given[1]))}"
    if code is codes.CATEGORY:
        return _CATEGORIES[given]
    raise NotImplementedError(str(code))


_CATEGORIES = {
    codes.CATEGORY_DIGIT: r"\d",
    codes.CATEGORY_NOT_DIGIT: r"\D",
    codes.CATEGORY_SPACE: r"\s",
    codes.CATEGORY_NOT_SPACE: r"\S",
    codes.CATEGORY_WORD: r"\w",
    codes.CATEGORY_NOT_WORD: r"\W",
}
