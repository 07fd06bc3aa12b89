"""Batches: so many values a statement takes, and so long a lock is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def in_batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Divide items: a statement takes so many values, and a lock is held so long.

    :param items: sorted, where the order matters
    :param size: how many at a time, 1 or more
    :returns: slices of that size in the order of the items, the last one shorter; none when there are no items
    """
    return (items[start : start + size] for start in range(0, len(items), size))
