"""Spans: how long a window or a wait is, in time or in partitions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from include.evergreen.foundation.errors import ConfigError

SpanUnit = Literal["minute", "hour", "day", "week", "month", "quarter", "year", "partition"]
SPAN_UNITS: Final[tuple[SpanUnit, ...]] = get_args(SpanUnit)
SPAN_PATTERN: Final = rf"^(0|[1-9][0-9]{{0,6}}) ({'|'.join(SPAN_UNITS)})s?$"
MINUTES: Final[dict[SpanUnit, int]] = {
    "minute": 1, "hour": 60, "day": 1440, "week": 7 * 1440, "month": 31 * 1440, "quarter": 92 * 1440, "year": 366 * 1440
}  # fmt: skip
"""Minutes of each unit of time, at most."""
MONTHS: Final[dict[SpanUnit, int]] = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True)
class Span:
    """A length of partition time, such as ``60 days``, or a number of the partitions that a schedule makes, such as ``4 partitions``.

    How many partitions it is, their `Grain` says, and where one is left out by a schedule, its `Calendar`.
    """

    amount: int
    unit: SpanUnit

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}{'' if self.amount == 1 else 's'}"

    def __bool__(self) -> bool:
        return self.amount > 0

    def __mul__(self, times: int) -> Span:
        return Span(self.amount * times, self.unit)

    @property
    def minutes(self) -> int | None:
        """How many minutes it has at most; None of partitions."""
        return None if self.unit == "partition" else self.amount * MINUTES[self.unit]

    @classmethod
    def parse(cls, text: object, *, subject: str = "") -> Span:
        """Read a span as somebody wrote it.

        :param text: what was written; anything but text is refused, too
        :param subject: what to blame in an error, such as ``--window``; empty: whoever shows the message names it
        :returns: the span
        :raises ConfigError: it is none
        """
        found = re.fullmatch(SPAN_PATTERN, text) if isinstance(text, str) else None
        if found is None:
            number = str(text) if type(text) is int and text >= 0 else "60"
            raise ConfigError(
                f"{subject + ' ' if subject else ''}{str(text)[:80]!r} is no number with a unit; write it such as {number} days or "
                f"{number} partitions; units: {', '.join(SPAN_UNITS)}"
            )
        return cls(int(found[1]), found[2])  # type: ignore[arg-type]


NO_SPAN = Span(0, "day")
WEEK = Span(7, "day")
