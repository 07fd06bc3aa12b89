"""What monitoring measures of a window, before it is an observation of a model and a version."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One figure over ``rows`` rows, by the name of its observation; ``low`` and ``high`` are the ends of its interval, if it has one."""

    name: str
    value: float
    rows: int
    low: float | None = None
    high: float | None = None
