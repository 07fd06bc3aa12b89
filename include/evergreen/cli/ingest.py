"""``ingest`` and ``correct-knowledge``: partitions of one dataset, without Airflow, and when they were known."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import EARLIEST, LATEST
from include.evergreen.foundation.span import Span

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.data.correct_knowledge import Correction
    from include.evergreen.data.partitions import PartitionVersion

LONGEST_RANGE = Span(3660, "day")
DATA_AT_FAULT = 3


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``ingest`` and ``correct-knowledge``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    verb = common_arguments.add_verb(verbs, common, "ingest", "fetch, validate and publish partitions of a dataset", ingest)
    verb.add_argument("dataset", metavar="DATASET", help="the name of a declared dataset")
    verb.add_argument(
        "first",
        metavar="PARTITION",
        type=common_arguments.partition,
        help="its key: a date such as 2013-01-05, or, within a day, a time such as 2013-01-05T0500Z",
    )
    verb.add_argument("--to", dest="last", metavar="DATE", type=common_arguments.partition, help="the last partition of a range")
    verb.add_argument(
        "--known-at", metavar="WHEN", type=common_arguments.parse_start,
        help="since when changed content is known: a date (its beginning, in UTC) or a timestamp; by default what dataset.yaml says",
    )  # fmt: skip
    verb.add_argument(
        "--backfill", action="store_true", help="ingest history: known by the dataset's rule, and nobody is paged for it"
    )  # fmt: skip

    text = "correct when stored partitions of a dataset were known, after dataset.yaml or a known-at time was corrected"
    details = ". What was trained or scored before stays as it is; what is read from now on sees the corrected times."
    verb = common_arguments.add_verb(verbs, common, "correct-knowledge", text, correct_knowledge, details)
    verb.add_argument("dataset", metavar="DATASET", help="the name of a declared dataset")
    for flag, name, day in (("--from", "first", "first"), ("--to", "last", "last")):
        verb.add_argument(
            flag, dest=name, type=common_arguments.partition, metavar="DATE", help=f"the {day} partition (default: of all)"
        )  # fmt: skip
    verb.add_argument(
        "--known-at", metavar="WHEN", type=common_arguments.parse_start,
        help="since when the one partition's current version was known; by default what dataset.yaml declares",
    )  # fmt: skip
    verb.add_argument("--reason", required=True, metavar="R", help="why, for the ledger")
    verb.add_argument("--dry-run", action="store_true", help="print what would be corrected, and change nothing")


def ingest(arguments: argparse.Namespace) -> int:
    """Ingest one partition of a dataset or a range of them, and print what came of each.

    A partition whose data is at fault does not stop the others.

    :param arguments: ``dataset``, ``first``, ``last`` (None: the first alone), ``known_at`` (None: as dataset.yaml says) and ``backfill``
    :returns: the exit code; 3 when the data of any partition was at fault
    :raises ConfigError: when the range has no day, or more than `LONGEST_RANGE`
    """
    from include.evergreen.cli.progress import progress
    from include.evergreen.config import Catalog
    from include.evergreen.data.ingestion import ingest as ingest_partition
    from include.evergreen.data.partitions import OlderDeliveryError

    dataset = Catalog().dataset(arguments.dataset)
    days, longest = (
        dataset.grain.between(arguments.first, arguments.last or arguments.first),
        dataset.grain.partitions_in(LONGEST_RANGE),
    )
    if not 0 < len(days) <= longest:
        raise ConfigError(
            f"{dataset.name}: the range {arguments.first} to {arguments.last} has {len(days)} {dataset.grain.noun}s; "
            f"give 1 to {longest}, the first {dataset.grain.noun} first."
        )
    lines, stopped = [], 0
    with progress() as show:
        for done, day in enumerate(days):
            show("ingest", done, len(days))
            try:
                version, is_new = ingest_partition(
                    dataset, day, "backfill" if arguments.backfill else "live", known_at=arguments.known_at
                )  # fmt: skip
            except DataError as error:
                stopped += 1
                lines.append(f"{day}: failed: {error}")
                continue
            except OlderDeliveryError as error:  # another ingestion, which began later, was quicker
                lines.append(f"{day}: not published: {error}")
                continue
            lines.append(
                f"{day}: version {version.version} {'published' if is_new else 'is already there, unchanged'}: {version.rows} rows, "
                f"{version.quarantined} in quarantine, known at {version.knowledge_time:%Y-%m-%d %H:%M} UTC, digest {version.digest[:12]}"
            )
        show("ingest", len(days), len(days))
    print("\n".join(lines))
    return DATA_AT_FAULT if stopped else 0


def correct_knowledge(arguments: argparse.Namespace) -> int:
    """Give stored partitions the knowledge that dataset.yaml declares now, or one of them a time, and print what changed.

    :param arguments: ``dataset``, ``first`` and ``last`` (None: of all), ``known_at`` (None: as dataset.yaml says), ``reason``, ``dry_run``
    :returns: the exit code 0, whether there was anything to correct or not
    """

    from include.evergreen.cli.terminal import counted
    from include.evergreen.cli.user import actor
    from include.evergreen.config import Catalog
    from include.evergreen.data import correct_knowledge as correction

    catalog = Catalog()
    dataset = catalog.dataset(arguments.dataset)
    first, last = arguments.first or EARLIEST, arguments.last or LATEST
    if arguments.dry_run:
        corrected = correction.plan_corrections(dataset, first, last, known_at=arguments.known_at)
    else:
        corrected = correction.correct_knowledge(
            dataset, first, last, actor=actor(), reason=arguments.reason, known_at=arguments.known_at
        )  # fmt: skip
    for done in corrected:
        version = done.version
        print(f"{version.partition}: version {version.version} {_knowledge_text(version)} -> {_knowledge_text(done)}")
    if not corrected:
        print(f"Nothing to correct: what is stored of {dataset.name} is known as dataset.yaml declares, or as it was given.")
        return 0
    would = "would be" if arguments.dry_run else "was" if len(corrected) == 1 else "were"
    print(f"{counted(len(corrected), 'version')} {would} corrected.")
    if readers := [model.name for model in catalog.models_reading(dataset.name)]:
        print(f"Days that {', '.join(readers)} scored before keep their predictions until they are scored again: see the verb rescore.")
    return 0


def _knowledge_text(known: PartitionVersion | Correction) -> str:
    rows = f", its rows by {known.knowledge_column}" if known.knowledge_column else ""
    return f"known at {known.knowledge_time:%Y-%m-%d %H:%M} UTC{rows}"
