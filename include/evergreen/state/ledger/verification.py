"""Verifies the ledger: recomputes every hash, and compares the chain with the anchors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.state.database import reading
from include.evergreen.state.ledger.anchors import Anchor, anchors
from include.evergreen.state.ledger.entries import GENESIS, Entry, entries
from include.evergreen.state.ledger.export import read_export

MOST_PROBLEMS = 50  # beyond them, one that says how many more there are


@dataclass(frozen=True)
class LedgerVerification:
    """The result of a verification: how many entries and anchors were read, the newest entry, and one sentence for each problem."""

    entries: int
    newest: str
    anchors: list[Anchor]
    problems: list[str]


def verify() -> list[str]:
    """Verify the ledger as `verified` does, and raise what that raises.

    :returns: what is wrong with it, one sentence each; empty when nothing is
    """
    return verified().problems


def verified() -> LedgerVerification:
    """Verify the ledger in our database against itself and its anchors. Raises `TransientError` when either does not answer.

    :returns: what was read, and what is wrong with it
    """
    known, unreadable = anchors()  # read before the entries: one that is written meanwhile names an entry that we do not read
    with reading() as connection:
        return _verified(entries(connection), known, unreadable)


def verified_file(file: Path, *, model: str | None = None, place: str | None = None) -> LedgerVerification:
    """Verify an export of the ledger, for an auditor. Needs no database.

    Raises `DataError` for a line that is no entry, `TransientError` when ``place`` does not answer.

    :param file: the export
    :param model: says that it is the export of this model alone: then each entry is known to be as it was written, but not
        that none is missing
    :param place: a folder or a URL with anchors to compare with; None for none
    :returns: what was read, and what is wrong with it
    :raises ConfigError: when the file cannot be opened
    """
    known, unreadable = anchors(place) if place else ([], [])
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            return _verified(read_export(lines), known, unreadable, of_one_model=model)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error}. Give the path of a file that `export-ledger` wrote.") from error


def _verified(
    ledger_entries: Iterable[Entry], known: Sequence[Anchor], unreadable: list[str], *, of_one_model: str | None = None
) -> LedgerVerification:
    chain = _Chain(known, of_one_model)
    for entry in ledger_entries:
        chain.add(entry)
    chain.end()
    problems = [*unreadable, *chain.problems]
    if chain.unsaid:
        problems.append(f"and {chain.unsaid} problems more")
    return LedgerVerification(chain.count, chain.newest, list(known), problems)


class _Chain:
    """Takes the entries in the order in which they stand.

    :param known: the anchors to compare with, oldest first
    :param of_one_model: name of the model whose entries alone are to come; None: all are, and none may be missing
    """

    def __init__(self, known: Sequence[Anchor], of_one_model: str | None) -> None:
        self.problems: list[str] = []
        self.unsaid = 0
        self.count = 0
        self.newest = GENESIS
        self._sequence = 0
        self._known = {anchor.sequence: anchor for anchor in reversed(known)}  # the oldest, of those that name the same entry
        self._anchors = known
        self._anchored = 0  # up to here an anchor agrees with the chain
        self._model = of_one_model

    def add(self, entry: Entry) -> None:
        """Compare the next entry with the one before it, with its own hash, and with the anchor that names it.

        :param entry: the next one, as it stands; what is wrong with it is added to ``problems``
        """
        if self._is_next(entry) and entry.previous_hash != self.newest:
            self._problem(f"entry {entry.sequence} ({_words(entry)}) does not follow the entry before it")
        if entry.hash != entry.own_hash():
            self._problem(f"entry {entry.sequence} ({_words(entry)}) was changed after it was written")
        if self._model is not None and entry.model != self._model:
            self._problem(f"entry {entry.sequence} is of {entry.model or 'no model'}; the file is said to be of {self._model} alone")
        self._compare(entry)
        self.count += 1
        self._sequence, self.newest = max(entry.sequence, self._sequence), entry.hash

    def end(self) -> None:
        """Note, after the last entry, whether an anchor names a later one."""
        beyond = [anchor for anchor in self._anchors if anchor.sequence > self._sequence]
        if beyond and self._model is None:
            first = self._sequence + 1
            self._problem(
                f"the tail is cut: the ledger ends with entry {self._sequence}, and the anchor of {beyond[-1].date} names entry "
                f"{beyond[-1].sequence}; entry {first} and what followed it is missing (it was there on {beyond[0].date})"
            )

    def _is_next(self, entry: Entry) -> bool:
        """Whether the entry's number follows the one before; says what is missing when it does not."""
        expected = self._sequence + 1
        if entry.sequence < expected:
            self._problem(f"entry {entry.sequence} ({_words(entry)}) stands after entry {self._sequence}: out of order, or twice")
        elif entry.sequence > expected and self._model is None:
            gap = f"entry {expected} is" if entry.sequence == expected + 1 else f"entries {expected} to {entry.sequence - 1} are"
            self._problem(f"{gap} missing: entry {entry.sequence} follows entry {self._sequence}")
        return entry.sequence == expected

    def _compare(self, entry: Entry) -> None:
        anchor = self._known.get(entry.sequence)
        if anchor is None:
            return
        if anchor.hash == entry.hash:
            self._anchored = entry.sequence
            return
        first = self._anchored + 1
        where = f"entry {first}" if first == entry.sequence else f"one of the entries {first} to {entry.sequence}"
        self._problem(f"{where} was rewritten: entry {entry.sequence} has not the hash that the anchor of {anchor.date} holds")

    def _problem(self, message: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(message)
        else:
            self.unsaid += 1


def _words(entry: Entry) -> str:
    return f"{entry.kind} of {entry.model}" if entry.model else entry.kind
