"""How long a task may run before it counts as stuck, by its own past."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

PAST = 20  # newest successes that are compared with
FEWEST = 5
FLOOR_SECONDS = 600.0  # nothing that runs for less is stuck
SPREADS = 6.0
TIMES = 3.0
_MAD_TO_SIGMA = 1.4826


def longest_expected(seconds: Sequence[float]) -> float | None:
    """Say how long a task may run: its median, and `SPREADS` robust standard deviations, and no less than `TIMES` the median.

    One slow run among those of the past does not move it.

    :param seconds: how long its newest successes took
    :returns: seconds, at least `FLOOR_SECONDS`; None when fewer than `FEWEST` are known
    """
    if len(seconds) < FEWEST:
        return None
    median = statistics.median(seconds)
    spread = _MAD_TO_SIGMA * statistics.median(abs(value - median) for value in seconds)
    return max(FLOOR_SECONDS, TIMES * median, median + SPREADS * spread)
