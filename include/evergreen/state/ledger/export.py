"""The ledger as JSON Lines, for an auditor who has no access to the database: one entry a line, its body parsed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TextIO

from include.evergreen.foundation.digest import canonical_json
from include.evergreen.foundation.errors import DataError
from include.evergreen.state.database import reading
from include.evergreen.state.ledger.entries import Entry, entries


def export(out: TextIO, model: str | None = None) -> int:
    """Write the ledger's entries as JSON Lines; raises `DataError` for a body that is no JSON.

    :param out: gets one line for each entry, in their order
    :param model: name of the model; None for all entries
    :returns: how many were written
    """
    count = 0
    with reading() as connection:
        for entry in entries(connection, model):
            out.write(_line(entry))
            count += 1
    return count


def read_export(lines: Iterable[str]) -> Iterator[Entry]:
    """Read the entries of an export.

    :param lines: as `export` wrote them
    :yields: the entries in their order
    :raises DataError: when a line is no entry
    """
    for number, line in enumerate(lines, start=1):
        try:
            document = json.loads(line)
            given = {name: document[name] for name in Entry._fields}
            yield Entry(**{**given, "sequence": int(given["sequence"]), "body": canonical_json(given["body"])})
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"Line {number} is no entry of the ledger ({error!r}). Was the file changed, or cut while it was copied? Export it again."
            ) from None


def _line(entry: Entry) -> str:
    try:
        body = json.loads(entry.body)
    except ValueError:
        raise DataError(
            f"Entry {entry.sequence} ({entry.kind} of {entry.model}) has a body that is no JSON: it was changed after it was written. "
            f"Run `evergreen verify-ledger`."
        ) from None
    return canonical_json({**entry._asdict(), "body": body}) + "\n"
