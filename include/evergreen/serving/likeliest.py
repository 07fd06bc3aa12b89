"""Predictions of several classes: of each row its likeliest classes, and how likely each is. That is what is served, kept and measured.

A prediction is a row of 2 k + 1 floats, k being `KEPT`, or the number of the classes where there are fewer: the numbers of its k likeliest
classes, the likeliest first; their probabilities; and what each other class that the version knows has, among which the rest is shared
evenly. Probabilities have 32 bits. So a row of a thousand classes takes no more than one of `KEPT`, and with up to `KEPT` classes nothing
is left out. A class that the version does not know has no probability at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

KEPT: Final = 32
NO_CLASS: Final = -1  # the number of what is no class, such as one that nobody asks for
ROWS_AT_ONCE: Final = 10_000


def likeliest(probabilities: np.ndarray) -> np.ndarray:
    """Keep the likeliest classes of each row; of equally likely ones those with the lower number.

    :param probabilities: rows x classes, by the classes' numbers
    :returns: rows x (2 k + 1), as the module says
    """
    import numpy as np

    rows, classes = probabilities.shape
    kept = min(KEPT, classes)
    made = np.empty((rows, 2 * kept + 1))
    for first in range(0, rows, ROWS_AT_ONCE):
        given = probabilities[first : first + ROWS_AT_ONCE].astype("float32")
        numbers = _first(given, kept)
        values = np.take_along_axis(given, numbers, axis=1).astype("float64")
        rest = (1 - values.sum(axis=1, keepdims=True)).clip(0) / (classes - kept) if classes > kept else np.zeros((len(given), 1))
        made[first : first + ROWS_AT_ONCE] = np.concatenate([numbers, values, rest], axis=1)
    return made


def _first(given: np.ndarray, kept: int) -> np.ndarray:
    """The numbers of the ``kept`` greatest of each row, the greatest first; of equal ones the lower number first."""
    import numpy as np

    if kept == given.shape[1]:
        return np.argsort(-given, axis=1, kind="stable")
    # of floats that are not negative, the bits have the same order; no two of a row have the same rank
    ranks = given.view("int32").astype("int64") * -given.shape[1] + np.arange(given.shape[1])
    chosen = np.argpartition(ranks, kept - 1, axis=1)[:, :kept]
    order = np.argsort(np.take_along_axis(ranks, chosen, axis=1), axis=1)
    return np.take_along_axis(chosen, order, axis=1)


def numbers(predicted: np.ndarray) -> np.ndarray:
    """Take the numbers of the likeliest classes.

    :param predicted: as `likeliest` has it
    :returns: rows x k whole numbers, as floats; `NO_CLASS` where there is none
    """
    return predicted[:, : predicted.shape[1] // 2]


def values(predicted: np.ndarray) -> np.ndarray:
    """Take the probabilities of the likeliest classes.

    :param predicted: as `likeliest` has it
    :returns: rows x k
    """
    return predicted[:, predicted.shape[1] // 2 : -1]


def decided(predicted: np.ndarray) -> np.ndarray:
    """Take the likeliest class of each row.

    :param predicted: as `likeliest` has it
    :returns: its number, one float a row
    """
    return predicted[:, 0]


def probability(predicted: np.ndarray, number: np.ndarray | int, known: np.ndarray) -> np.ndarray:
    """Say how likely a class is.

    :param predicted: as `likeliest` has it
    :param number: of the class: one for all rows, or one for each
    :param known: by number, whether the version that predicts knows the class
    :returns: one probability a row; 0 of a class that it does not know
    """
    import numpy as np

    if isinstance(number, int):
        is_it = numbers(predicted) == number
        named, rest = np.where(is_it, values(predicted), 0.0).sum(axis=1), predicted[:, -1]
        is_known = 0 <= number < len(known) and bool(known[number])
        return np.where(is_it.any(axis=1), named, rest if is_known else 0.0)
    asked = number.astype("int64")
    is_it = numbers(predicted) == asked[:, None]
    named = np.where(is_it, values(predicted), 0.0).sum(axis=1)
    may_be = (asked >= 0) & (asked < len(known)) & np.append(known, False)[np.clip(asked, 0, len(known))]
    found: np.ndarray = np.where(is_it.any(axis=1), named, np.where(may_be, predicted[:, -1], 0.0))
    return found


def spread(predicted: np.ndarray, classes: int) -> np.ndarray:
    """Write out how likely each class is.

    :param predicted: as `likeliest` has it
    :param classes: how many numbers of classes there are
    :returns: rows x classes; what a class has that the version does not know means nothing
    """
    import numpy as np

    made = np.repeat(predicted[:, -1:], classes, axis=1)
    named = numbers(predicted).astype("int64")
    row, place = np.nonzero((named >= 0) & (named < classes))
    made[row, named[row, place]] = values(predicted)[row, place]
    return made


def renumbered(predicted: np.ndarray, own: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Number classes otherwise.

    :param predicted: as `likeliest` has it, by the numbers of ``own``
    :param own: the classes of the version that predicts, in their order
    :param wanted: the classes in the order that is asked for
    :returns: the same by the numbers of ``wanted``; a class that is none of these has the number ``len(wanted)``
    """
    import numpy as np

    if tuple(own) == tuple(wanted):
        return predicted
    place = {text: number for number, text in enumerate(wanted)}
    table = np.array([*(place.get(text, len(wanted)) for text in own), NO_CLASS], dtype="float64")  # of NO_CLASS, which is -1, the last
    made = predicted.copy()
    numbers(made)[:] = table[numbers(predicted).astype("int64")]
    return made


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Put predictions of several versions one below the other, of which one may know more classes than another.

    :param parts: as `likeliest` has them, at least one
    :returns: all rows, in their order
    """
    import numpy as np

    width = max(numbers(part).shape[1] for part in parts)

    def widened(part: np.ndarray) -> Iterator[np.ndarray]:
        lacking = width - numbers(part).shape[1]
        yield np.pad(numbers(part), ((0, 0), (0, lacking)), constant_values=NO_CLASS)
        yield np.pad(values(part), ((0, 0), (0, lacking)))
        yield part[:, -1:]

    return np.concatenate([np.concatenate(list(widened(part)), axis=1) for part in parts])
