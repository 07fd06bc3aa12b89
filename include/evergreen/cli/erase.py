"""``erase``: a person's rows, by key, from all that is stored and from what the source still delivers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from include.evergreen.cli.arguments import add_verb

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs

UNSEARCHED_SHOWN = 10
NOT_EVERYTHING = 1


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``erase``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "delete a person's rows, by key, from a dataset and from what was made of it"
    details = (
        ": all versions, raw and quarantined rows, predictions, training frames, reports. "
        "Later deliveries of these rows are dropped. The same command goes on where it was killed. See docs/guides/personal-data.md."
    )
    verb = add_verb(verbs, common, "erase", text, erase, details)
    verb.add_argument("dataset", metavar="DATASET", help="the name of a declared dataset")
    verb.add_argument(
        "--key", required=True, action="append", metavar="COLUMN=VALUE",
        help="a key or personal column and its value; given again, rows that have all of them",
    )  # fmt: skip
    verb.add_argument("--reason", required=True, metavar="R", help="why, for the ledger, where it stays: name the request, not the person")
    verb.add_argument("--dry-run", action="store_true", help="say what would be erased, and change nothing")


def erase(arguments: argparse.Namespace) -> int:
    """Delete a person's rows and what was made of them, and print what went.

    :param arguments: ``dataset``, ``key`` (texts ``COLUMN=VALUE``), ``reason`` and ``dry_run``
    :returns: the exit code; 1 when files are left to be searched by hand
    """
    from include.evergreen.cli.progress import progress
    from include.evergreen.cli.user import actor
    from include.evergreen.config import Catalog
    from include.evergreen.data.conditions import parse_conditions
    from include.evergreen.operations.erasure.erase import erase as erase_rows

    catalog = Catalog()
    dataset = catalog.dataset(arguments.dataset)
    subject = parse_conditions(dataset, arguments.key)
    with progress() as show:
        outcome = erase_rows(
            catalog, dataset, subject, actor=actor(), reason=arguments.reason, dry_run=arguments.dry_run, progress=show
        )  # fmt: skip
    counts = ", ".join(f"{number:,} {name}" for name, number in outcome.counts.items()) or "nothing"
    print(f"{dataset.name}: {'would erase' if outcome.dry else 'erased'} {counts}, in {len(outcome.partitions)} partitions.")
    if outcome.unsearched:
        print(f"Not searched, as they lack the key columns or their model is no longer declared: {len(outcome.unsearched)}. By hand:")
        print("\n".join(f"  {path}" for path in outcome.unsearched[:UNSEARCHED_SHOWN]))
        return NOT_EVERYTHING
    if not outcome.dry:
        print(f"Subject {outcome.subject[:12]} is in the ledger; what the source still delivers of it is dropped.")
        print("Not touched: the source itself, MLflow's artifacts, backups, Airflow's logs. See docs/guides/personal-data.md.")
    return 0
