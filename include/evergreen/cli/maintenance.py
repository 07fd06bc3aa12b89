"""``maintain``: what the DAG evergreen.maintenance does every night, in this process."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from include.evergreen.cli.arguments import add_verb

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.operations.maintenance import Removal

PROBLEMS_FOUND = 1
SHOWN = 20  # removals; all of them are in the log


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``maintain``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "remove what is kept no longer and what no record names, and verify what is kept"
    details = ". Exit code 1 when records lack their files, or files do not hold what was recorded."
    verb = add_verb(verbs, common, "maintain", text, maintain, details)
    verb.add_argument("--dry-run", action="store_true", help="remove and mark nothing; say what would be")
    verb.add_argument(
        "--grace-hours", type=float, metavar="N", help="leave alone what was written less than N hours ago; 0 only where nothing runs"
    )
    verb.add_argument("--sample", type=int, metavar="N", help="how many partition versions and prediction sets are read again; 0: none")


def maintain(arguments: argparse.Namespace) -> int:
    """Run the four steps of the nightly maintenance, and print what went and what is damaged or lost.

    :param arguments: ``dry_run``, ``grace_hours`` and ``sample`` (None: the environment's, or the default)
    :returns: the exit code; 1 when anything is damaged or lost, or retention was not applied to a dataset
    """
    from include.evergreen.config import Catalog
    from include.evergreen.foundation import clock
    from include.evergreen.operations.maintenance import Limits, apply_retention, records_without_files, remove_orphans, verify_sample

    limits = Limits.from_environment(grace_hours=arguments.grace_hours, sample=arguments.sample)
    retained = apply_retention(catalog := Catalog(), limits, dry_run=arguments.dry_run)
    _print_removals("Retention", retained.removals, dry_run=arguments.dry_run)
    if retained.versions:
        print(f"  of {len(retained.versions)} superseded versions, whose records stay")
    if retained.figures:
        print(f"  and {retained.figures} superseded observations")
    _print_removals("Orphans", remove_orphans(catalog, limits, dry_run=arguments.dry_run), dry_run=arguments.dry_run)
    lost = records_without_files()
    print(f"Records without files: {len(lost) or 'none'}")
    for file in lost:
        print(f"  {file.subject}: {file.path} is gone; {file.fix}")
    verified = verify_sample(limits.sample, night=f"{clock.now():%Y-%m-%d}")
    print(f"Verified: {verified.checked} of {verified.population} versions and prediction sets; {len(verified.damage) or 'none'} damaged")
    for damaged in verified.damage:
        print(f"  {damaged.subject}: {damaged.message}; {damaged.fix}")
    for problem in retained.problems:
        print(f"Not done: {problem}")
    return PROBLEMS_FOUND if lost or verified.damage or retained.problems else 0


def _print_removals(step: str, removals: Sequence[Removal], *, dry_run: bool) -> None:
    done = "would remove" if dry_run else "removed"
    folders = Counter(removal.path.split("/")[0] or "unfinished files" for removal in removals)
    words = f" ({', '.join(f'{count} of {folder}' for folder, count in folders.items())})" if folders else ""
    print(f"{step}: {done} {len(removals)} files, {_size(sum(removal.size for removal in removals))}{words}")
    for removal in removals[:SHOWN]:
        print(f"  {removal.path} ({_size(removal.size)}): {removal.why}")
    if len(removals) > SHOWN:
        print(f"  and {len(removals) - SHOWN} more; -v lists them all")


def _size(size: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
