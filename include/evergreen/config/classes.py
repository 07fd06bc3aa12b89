"""Targets of several classes: how many there may be, and what the recall of one of them is called."""

from __future__ import annotations

import re
from typing import Final

MOST_CLASSES: Final = 1000
MOST_NAMED: Final = 20  # of a model with more classes, those alone have a recall of their own that its gate or its rules name
MOST_RANKED: Final = 32  # up to which a prediction names all of them (`serving.likeliest.KEPT`), so that their AUC is estimated
_RECALL: Final = "recall:"
_NAMEABLE: Final = re.compile(r"[\w.\-][\w.\- ]{0,59}")  # what MLflow takes in a name, and no bracket, which begins a slice


def recall_name(text: str) -> str:
    """Name the metric that is the recall of one class.

    :param text: the class, as text
    :returns: ``recall:dent``
    """
    return f"{_RECALL}{text}"


def recalled_class(name: str) -> str | None:
    """Read the name of a metric as the recall of one class.

    :param name: of any metric
    :returns: the class, as text; None of another metric
    """
    return name.removeprefix(_RECALL) if name.startswith(_RECALL) else None


def is_nameable(text: str) -> bool:
    """Whether a class can stand in the name of a metric: letters, digits, ``_``, ``-``, ``.`` and spaces, 60 at most.

    :param text: the class, as text
    :returns: whether it has a recall of its own
    """
    return _NAMEABLE.fullmatch(text) is not None
