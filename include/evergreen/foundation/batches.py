"""Batches: so many values a statement takes, and so long a lock is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def in_batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield ``items`` in their order, ``size`` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
