"""``verify-ledger`` and ``export-ledger``: can the record be believed, and how does an auditor get it?"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.state.ledger import LedgerVerification

PROBLEMS_FOUND = 1


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``verify-ledger`` and ``export-ledger``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    text = "check that no entry of the ledger was changed, removed or reordered, and that its tail is there"
    verb = common_arguments.add_verb(verbs, common, "verify-ledger", text, verify_ledger)
    verb.add_argument("--file", type=Path, metavar="FILE", help="verify an export instead; no database is needed")
    verb.add_argument("--model", metavar="MODEL", help="with --file: it is the export of this model alone")
    verb.add_argument("--anchors", metavar="URL", help="with --file: compare it with the anchors in this folder, or at this URL")

    verb = common_arguments.add_verb(verbs, common, "export-ledger", "write the ledger as JSON Lines, one entry a line", export_ledger)
    verb.add_argument("--model", metavar="MODEL", help="the entries of one model alone")
    verb.add_argument("--out", type=Path, metavar="FILE", help="the file to write (default: print it)")


def verify_ledger(arguments: argparse.Namespace) -> int:
    """Verify the ledger in the database or an exported file, and print what is wrong with it.

    :param arguments: ``file`` (None: the database's); with it, ``model`` and ``anchors`` (None: the whole, and compared with no anchors)
    :returns: the exit code; 1 when an entry was changed, removed or reordered
    :raises ConfigError: when ``--model`` or ``--anchors`` is given without ``--file``
    """
    from include.evergreen.operations.audit import verify_records
    from include.evergreen.state import ledger

    if arguments.file is None:
        if arguments.model or arguments.anchors:
            raise ConfigError("--model and --anchors say what the file of --file is; the ledger in the database is verified as a whole.")
        return _tell(verify_records(), "The ledger")
    verification = ledger.verified_file(arguments.file, model=arguments.model, place=arguments.anchors)
    return _tell(verification, str(arguments.file), of_one_model=arguments.model, is_compared=arguments.anchors is not None)


def export_ledger(arguments: argparse.Namespace) -> int:
    """Write the ledger, or the entries of one model, as ``verify-ledger --file`` reads it; into a file whole, or not at all.

    :param arguments: ``model`` (None: all) and ``out`` (the file; None: stdout)
    :returns: the exit code 0
    """
    from include.evergreen.config import Catalog
    from include.evergreen.state import ledger, storage

    model = common_arguments.known_model(Catalog(), arguments.model) if arguments.model else None
    if arguments.out is None:
        ledger.export(sys.stdout, model)
        return 0
    unfinished = arguments.out.with_name(f".{arguments.out.name}-{os.getpid()}")
    with storage.refusals(str(arguments.out)):
        try:
            with unfinished.open("w", encoding="utf-8") as file:
                count = ledger.export(file, model)
            unfinished.replace(arguments.out)  # whole, or not at all
        finally:
            unfinished.unlink(missing_ok=True)
    one_model = f" --model {model}" if model else ""
    print(f"{count} entries are in {arguments.out}. Verify it with `evergreen verify-ledger --file {arguments.out}{one_model}`.")
    return 0


def _tell(verification: LedgerVerification, subject: str, *, of_one_model: str | None = None, is_compared: bool = True) -> int:
    if verification.problems:
        print("\n".join(verification.problems))
        print("What is named here cannot be trusted. Compare it with a backup before anything else is recorded.")
        return PROBLEMS_FOUND
    if of_one_model:
        print(
            f"{subject}: {verification.entries} entries of {of_one_model}, each as it was written. "
            "Whether one is missing, only the whole tells."
        )
        return 0
    print(f"{subject} is whole: {verification.entries} entries, each chained to the one before it.")
    if verification.anchors:
        newest = verification.anchors[-1]
        print(f"It agrees with {len(verification.anchors)} anchors; the newest, of {newest.date}, holds entry {newest.sequence}.")
    elif is_compared:
        print("There is no anchor yet, so a tail that was cut would not show. evergreen.audit writes one every day.")
    else:
        print(
            f"The newest hash is {verification.newest}. It was compared with no anchor, so a tail that was cut would not show (--anchors)."
        )
    return 0
