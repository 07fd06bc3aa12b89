"""What reads outside the write lock and writes inside it looks again before it writes, and begins anew when it was overtaken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from include.evergreen.foundation.errors import OvertakenError

log = logging.getLogger(__name__)
TIMES_OVERTAKEN = 3  # before the task's own retry has to do
T = TypeVar("T")


def until_not_overtaken(work: Callable[[], T]) -> T:
    """Do ``work``, and do it again when it was overtaken; passes on the last `OvertakenError` of `TIMES_OVERTAKEN`.

    :param work: reads, computes and records, and raises `OvertakenError`, with nothing recorded, when what it read has changed
    :returns: what ``work`` returned
    """
    for _ in range(TIMES_OVERTAKEN - 1):
        try:
            return work()
        except OvertakenError as error:
            log.info("%s. It is done again.", error)
    return work()
