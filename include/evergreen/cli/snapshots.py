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
    text = "list, show and verify the snapshots that training runs read"
    group = verbs.add_parser("snapshot", parents=[common], help=text, description=text.capitalize() + ".")
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)

    text = "list the snapshots of a model, newest as_of first"
    action = actions.add_parser("list", parents=[common], help=text, description=text.capitalize() + ".")
    common_arguments.add_model(action)
    common_arguments.add_json(action)
    action.set_defaults(verb=list_snapshots)

    text = "show which partitions and versions a snapshot names"
    action = actions.add_parser("show", parents=[common], help=text, description=text.capitalize() + ".")
    action.add_argument("digest", metavar="DIGEST", help=PREFIX_HELP)
    common_arguments.add_json(action)
    action.set_defaults(verb=show)

    text = "read everything that a snapshot names again, and compare it with the digests"
    words = (
        f"{text.capitalize()}. Exit code 1 when something differs; with --model and --all only when no record accounts for it: "
        "what retention or an erasure took away is reported, and is as it should be."
    )
    action = actions.add_parser("verify", parents=[common], help=text, description=words)
    which = action.add_mutually_exclusive_group(required=True)
    which.add_argument("digest", metavar="DIGEST", nargs="?", help=PREFIX_HELP)
    which.add_argument("--model", metavar="MODEL", help="all snapshots of one model")
    which.add_argument("--all", action="store_true", help="all snapshots")
    common_arguments.add_json(action)
    action.set_defaults(verb=verify)


def list_snapshots(arguments: argparse.Namespace) -> int:
    from include.evergreen.operations.verification import list_model_snapshots

    found = list_model_snapshots(_known(arguments.model))
    if arguments.json:
        print(json.dumps([_as_json(each) for each in found], indent=2))
        return 0
    for each in found:
        print(f"{each.digest[:12]}  {_words(each)}")
    if not found:
        print(f"No snapshot of {arguments.model} yet: none of its trainings has come so far.")
    return 0


def show(arguments: argparse.Namespace) -> int:
    from include.evergreen.operations.verification import find_by_prefix

    found = find_by_prefix(arguments.digest)
    if arguments.json:
        members = {"members": found.members, "frame_path": found.frame_path, "tombstones": found.tombstones}
        print(json.dumps({**_as_json(found), **members}, indent=2))
        return 0
    print(f"{found.digest} of {found.model}: {_words(found)}")
    for name, member in found.members.items():
        print(f"  {name}  {member['digest']}")
    print(f"  frame  {found.frame_path}")
    for stone in found.tombstones or []:
        print(f"  {stone['member']}: {stone['why']} ({stone['when'][:10]})")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    from include.evergreen.cli.progress import progress
    from include.evergreen.operations.verification import Verifier, find_by_prefix, list_model_snapshots, recorded_snapshots

    if arguments.digest:
        chosen = [find_by_prefix(arguments.digest)]
    else:
        chosen = recorded_snapshots() if arguments.all else list_model_snapshots(_known(arguments.model))
    verifier = Verifier()
    with progress() as shown:
        outcomes = [verifier.verify(each, shown) for each in chosen]
    if arguments.json:
        print(json.dumps([_outcome_as_json(each) for each in outcomes], indent=2))
    else:
        _print_outcomes(outcomes)
    accepted = {"whole"} if arguments.digest else {"whole", "accounted"}
    return 0 if all(each.state in accepted for each in outcomes) else PROBLEMS_FOUND


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
    for each in outcomes:
        print(f"{each.snapshot.digest[:12]} of {each.snapshot.model}, {_words(each.snapshot)}: {words[each.state]}")
        for part in each.differing:
            print(f"  {part.name}: {part.state}: {part.message}")
    counts = {state: sum(each.state == state for each in outcomes) for state in words}
    print(
        f"{len(outcomes)} verified: {counts['whole']} whole, {counts['accounted']} not whole as records say, {counts['damaged']} damaged."
    )
    if counts["damaged"]:
        print(
            "What is damaged cannot be trained again as it was. Restore the files from a backup; find out who or what changed the storage."
        )


def _words(snapshot: SnapshotRecord) -> str:
    versions = ", ".join(f"version {each}" for each in snapshot.versions) or "no version registered"
    erased = "; rows were erased since" if snapshot.tombstones else ""
    return (
        f"as of {snapshot.as_of}, {snapshot.window_days} days: {len(snapshot.members)} partitions, {snapshot.rows} rows; {versions}{erased}"
    )


def _as_json(snapshot: SnapshotRecord) -> dict[str, Any]:
    return {
        "digest": snapshot.digest,
        "model": snapshot.model,
        "as_of": snapshot.as_of.isoformat(),
        "window_days": snapshot.window_days,
        "rows": snapshot.rows,
        "partitions": len(snapshot.members),
        "versions": list(snapshot.versions),
        "is_erased": bool(snapshot.tombstones),
        "recorded_at": snapshot.recorded_at.isoformat(),
    }


def _outcome_as_json(outcome: Verification) -> dict[str, Any]:
    differing = [{"part": each.name, "state": each.state, "message": each.message} for each in outcome.differing]
    return {**_as_json(outcome.snapshot), "state": outcome.state, "checked": outcome.checked, "differing": differing}
