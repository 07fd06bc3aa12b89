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
    """Write all entries, or those of one model, to ``out``; returns how many. Raises `DataError` for a body that is no JSON."""
    count = 0
    with reading() as connection:
        for entry in entries(connection, model):
            out.write(_line(entry))
            count += 1
    return count


def read_export(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of an export. Raises `DataError` for a line that is none."""
    for number, line in enumerate(lines, start=1):
        try:
            found = json.loads(line)
            body = canonical_json(found["body"])
            yield Entry(
                int(found["sequence"]), found["kind"], found["model"], body, found["recorded_at"], found["previous_hash"], found["hash"]
            )
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
    content = {"sequence": entry.sequence, "kind": entry.kind, "model": entry.model, "body": body, "recorded_at": entry.moment}
    return canonical_json({**content, "previous_hash": entry.previous_hash, "hash": entry.hash}) + "\n"
