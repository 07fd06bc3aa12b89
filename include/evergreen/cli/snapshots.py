"""``snapshot``: what training runs read, and whether it can be read again, bit for bit."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.operations.verification import SnapshotRecord, Verification

PROBLEMS_FOUND = 1
PREFIX_HELP = "the snapshot's digest, or its first eight characters or more"


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``snapshot list``, ``snapshot show`` and ``snapshot verify``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    text = "list, show and verify the snapshots that training runs read"
    actions = common_arguments.add_group(verbs, common, "snapshot", text, noun="action")

    action = common_arguments.add_verb(actions, common, "list", "list the snapshots of a model, newest as_of first", list_snapshots)
    common_arguments.add_model(action)
    common_arguments.add_json(action)

    action = common_arguments.add_verb(actions, common, "show", "show which partitions and versions a snapshot names", show)
    action.add_argument("digest", metavar="DIGEST", help=PREFIX_HELP)
    common_arguments.add_json(action)

    text = "read everything that a snapshot names again, and compare it with the digests"
    details = (
        ". Exit code 1 when something differs; with --model and --all only when no record accounts for it: "
        "what retention or an erasure took away is reported, and is as it should be."
    )
    action = common_arguments.add_verb(actions, common, "verify", text, verify, details)
    which = action.add_mutually_exclusive_group(required=True)
    which.add_argument("digest", metavar="DIGEST", nargs="?", help=PREFIX_HELP)
    which.add_argument("--model", metavar="MODEL", help="all snapshots of one model")
    which.add_argument("--all", action="store_true", help="all snapshots")
    common_arguments.add_json(action)


def list_snapshots(arguments: argparse.Namespace) -> int:
    """Print the snapshots of a model, newest as_of first, each with its size and the versions that were trained on it.

    :param arguments: ``model`` and ``json``
    :returns: the exit code 0
    """
    from include.evergreen.operations.verification import list_model_snapshots

    snapshots = list_model_snapshots(_known(arguments.model))
    if arguments.json:
        print(json.dumps([_as_json(snapshot) for snapshot in snapshots], indent=2))
        return 0
    for snapshot in snapshots:
        print(f"{snapshot.digest[:12]}  {_words(snapshot)}")
    if not snapshots:
        print(f"No snapshot of {arguments.model} yet: none of its trainings has come so far.")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print the partition versions that one snapshot names, with their digests, and what erasures took from it.

    :param arguments: ``digest`` (its beginning is enough) and ``json``
    :returns: the exit code 0
    """
    from include.evergreen.operations.verification import find_by_prefix

    snapshot = find_by_prefix(arguments.digest)
    if arguments.json:
        members = {"members": snapshot.members, "frame_path": snapshot.frame_path, "tombstones": snapshot.tombstones}
        print(json.dumps({**_as_json(snapshot), **members}, indent=2))
        return 0
    print(f"{snapshot.digest} of {snapshot.model}: {_words(snapshot)}")
    for name, member in snapshot.members.items():
        print(f"  {name}  {member['digest']}")
    print(f"  frame  {snapshot.frame_path}")
    for stone in snapshot.tombstones or []:
        print(f"  {stone['member']}: {stone['why']} ({stone['when'][:10]})")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Read everything again that the chosen snapshots name, and print what differs from its digest.

    :param arguments: one of ``digest`` (its beginning is enough), ``model`` and ``all``; and ``json``
    :returns: the exit code; 1 for damage, and of a single snapshot also for what a record accounts for
    """
    from include.evergreen.cli.progress import progress
    from include.evergreen.operations.verification import Verifier, find_by_prefix, list_model_snapshots, recorded_snapshots

    if arguments.digest:
        chosen = [find_by_prefix(arguments.digest)]
    else:
        chosen = recorded_snapshots() if arguments.all else list_model_snapshots(_known(arguments.model))
    verifier = Verifier()
    with progress() as show:
        outcomes = [verifier.verify(snapshot, show) for snapshot in chosen]
    if arguments.json:
        print(json.dumps([_outcome_as_json(outcome) for outcome in outcomes], indent=2))
    else:
        _print_outcomes(outcomes)
    accepted = {"whole"} if arguments.digest else {"whole", "accounted"}
    return 0 if all(outcome.state in accepted for outcome in outcomes) else PROBLEMS_FOUND


def _known(model: str) -> str:
    """``model``, if it is declared, was decided on, or has a snapshot."""
    from include.evergreen.config import Catalog
    from include.evergreen.operations.verification import list_model_snapshots

    return model if list_model_snapshots(model) else common_arguments.known_model(Catalog(), model)


def _print_outcomes(outcomes: list[Verification]) -> None:
    words = {
        "whole": "whole: all of it was read again, and every digest is the same",
        "accounted": "not whole any more, as records say",
        "damaged": "DAMAGED",
    }
    for outcome in outcomes:
        snapshot = outcome.snapshot
        print(f"{snapshot.digest[:12]} of {snapshot.model}, {_words(snapshot)}: {words[outcome.state]}")
        for part in outcome.differing:
            print(f"  {part.name}: {part.state}: {part.message}")
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in words}
    print(
        f"{len(outcomes)} verified: {counts['whole']} whole, {counts['accounted']} not whole as records say, {counts['damaged']} damaged."
    )
    if counts["damaged"]:
        print(
            "What is damaged cannot be trained again as it was. Restore the files from a backup; find out who or what changed the storage."
        )


def _words(snapshot: SnapshotRecord) -> str:
    versions = ", ".join(f"version {number}" for number in snapshot.versions) or "no version registered"
    erased = "; rows were erased since" if snapshot.tombstones else ""
    return f"as of {snapshot.as_of}, {snapshot.window}: {len(snapshot.members)} partitions, {snapshot.rows} rows; {versions}{erased}"


def _as_json(snapshot: SnapshotRecord) -> dict[str, Any]:
    return {
        "digest": snapshot.digest,
        "model": snapshot.model,
        "as_of": snapshot.as_of,
        "window": str(snapshot.window),
        "rows": snapshot.rows,
        "partitions": len(snapshot.members),
        "versions": list(snapshot.versions),
        "is_erased": bool(snapshot.tombstones),
        "recorded_at": snapshot.recorded_at.isoformat(),
    }


def _outcome_as_json(outcome: Verification) -> dict[str, Any]:
    differing = [{"part": part.name, "state": part.state, "message": part.message} for part in outcome.differing]
    return {**_as_json(outcome.snapshot), "state": outcome.state, "checked": outcome.checked, "differing": differing}
