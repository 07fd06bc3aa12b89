"""``quarantine list``, ``show`` and ``release``: which rows were quarantined, why, and releasing good ones."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.data.quarantine import WaitingRows

SHOWN = 20


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``quarantine list``, ``quarantine show`` and ``quarantine release``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    deeds = common_arguments.add_group(verbs, common, "quarantine", "list, show and release rows that were set aside")

    text = "list the partitions with quarantined rows, with counts and reasons"
    verb = common_arguments.add_verb(deeds, common, "list", text, list_waiting)
    verb.add_argument("dataset", metavar="DATASET", nargs="?", help="the name of a declared dataset (default: all)")
    common_arguments.add_json(verb)

    text = "show the quarantined rows of a partition, each with every reason; personal columns are masked"
    verb = common_arguments.add_verb(deeds, common, "show", text, show)
    _add_partition(verb)
    verb.add_argument("--limit", type=int, default=SHOWN, metavar="N", help=f"rows to show (default: {SHOWN})")
    common_arguments.add_json(verb)

    text = "say that quarantined rows are good: they are published now, and whenever the partition is ingested again"
    verb = common_arguments.add_verb(deeds, common, "release", text, release)
    _add_partition(verb)
    verb.add_argument("--reason", required=True, metavar="R", help="why they are good, for the ledger; name no person")
    chosen = verb.add_mutually_exclusive_group(required=True)
    chosen.add_argument(
        "--where", action="append", metavar="COLUMN=VALUE",
        help="rows with this value; given again, rows that have all of them. quarantine_reason is a column too",
    )  # fmt: skip
    chosen.add_argument("--all", action="store_true", help="every quarantined row of the partition")


def list_waiting(arguments: argparse.Namespace) -> int:
    """Print the partitions of one dataset or of all that have quarantined rows, with how many rows each reason holds back.

    :param arguments: ``dataset`` (None: all) and ``json``
    :returns: the exit code 0
    """
    from include.evergreen.config import Catalog
    from include.evergreen.data.quarantine import waiting

    catalog = Catalog()
    if arguments.dataset:
        catalog.dataset_path(arguments.dataset)
    names = [arguments.dataset] if arguments.dataset else catalog.dataset_names()
    partitions = [partition for name in names for partition in waiting(name)]
    if arguments.json:
        print(json.dumps([_as_json(partition) for partition in partitions], indent=2))
        return 0
    for partition in partitions:
        print(
            f"{partition.dataset} {partition.partition}: {partition.rows} of {partition.source_rows} rows, in version {partition.version}, "
            f"since {partition.since:%Y-%m-%d %H:%M} UTC"
        )
        print("\n".join(f"  {count}: {reason}" for reason, count in partition.reasons.items()))
    if not partitions:
        print(f"No row is quarantined{f' in {arguments.dataset}' if arguments.dataset else ''}.")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print the quarantined rows of a partition with their reasons, personal columns masked.

    :param arguments: ``dataset``, ``partition``, ``limit`` (rows, 1 or more) and ``json``
    :returns: the exit code 0
    :raises ConfigError: when the limit is below 1
    """
    from include.evergreen.config import Catalog
    from include.evergreen.data.quarantine import REASON_COLUMN, masked, quarantined_rows

    if arguments.limit < 1:
        raise ConfigError(f"--limit is {arguments.limit}; give 1 or more.")
    dataset = Catalog().dataset(arguments.dataset)
    version, rows = quarantined_rows(dataset.name, arguments.partition)
    shown = masked(dataset, rows.slice(0, arguments.limit))
    if arguments.json:
        print(json.dumps(shown, indent=2, default=str))
        return 0
    if renamed := [f"{column.name} is {column.from_}" for column in dataset.columns if column.from_]:
        print(f"At the source, {', '.join(renamed)}.")
    for row in shown:
        print(", ".join(f"{name}={'' if value is None else value}" for name, value in row.items() if name != REASON_COLUMN))
        print(f"  {row[REASON_COLUMN]}")
    print(f"{len(shown)} of {rows.num_rows} quarantined rows of {dataset.name} {arguments.partition}, version {version.version}.")
    return 0


def release(arguments: argparse.Namespace) -> int:
    """Publish quarantined rows of a partition in a new version, and print how many, and which models scored without them.

    :param arguments: ``dataset``, ``partition``, ``reason``, and ``all`` or ``where`` (texts ``COLUMN=VALUE``; rows must meet all)
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.config import Catalog
    from include.evergreen.data.conditions import parse_conditions
    from include.evergreen.data.quarantine import REASON_COLUMN
    from include.evergreen.data.release import release as release_rows

    catalog = Catalog()
    dataset = catalog.dataset(arguments.dataset)
    chosen = None if arguments.all else parse_conditions(dataset, arguments.where, extra=[REASON_COLUMN])
    released = release_rows(dataset, arguments.partition, chosen, actor=actor(), reason=arguments.reason)
    print(
        f"{dataset.name} {arguments.partition}: {released.rows} rows released in version {released.version.version}, known from "
        f"{released.version.knowledge_time:%Y-%m-%d %H:%M} UTC; {released.remaining} are still quarantined."
    )
    readers = [model.name for model in catalog.models_reading(dataset.name)]
    if readers:
        print(f"Scores of {', '.join(readers)} that were made before do not know them: see the verb rescore.")
    return 0


def _add_partition(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("dataset", metavar="DATASET", help="the name of a declared dataset")
    verb.add_argument(
        "partition",
        metavar="PARTITION",
        type=common_arguments.partition,
        help="its key: a date such as 2013-02-12, or, within a day, a time such as 2013-02-12T0500Z",
    )


def _as_json(waiting: WaitingRows) -> dict[str, Any]:
    return {**waiting.__dict__, "partition": waiting.partition, "since": waiting.since.isoformat()}
