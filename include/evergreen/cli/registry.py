"""``versions``, ``promote`` and ``rollback``: the registered versions, and which of them is champion."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.registry.champions import Promotion, RegisteredVersion


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``versions``, ``promote`` and ``rollback``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    text = "list a model's registered versions, newest first, with what became of each"
    verb = common_arguments.add_verb(verbs, common, "versions", text, versions)
    common_arguments.add_model(verb)
    common_arguments.add_json(verb)

    text = "make a blessed version champion by hand; this counts as the approval, where one is required"
    verb = common_arguments.add_verb(verbs, common, "promote", text, promote)
    common_arguments.add_model(verb)
    verb.add_argument("version", metavar="VERSION", type=int, help="the number of a registered version")
    _add_reason(verb)
    verb.add_argument(
        "--force",
        action="store_true",
        help="also a version trained on older data than the champion, or refused, rolled back or rejected since",
    )

    text = "make the previous champion serve again; no retry brings back the version that was rolled back"
    verb = common_arguments.add_verb(verbs, common, "rollback", text, rollback)
    common_arguments.add_model(verb)
    verb.add_argument("--to", metavar="VERSION", type=int, help="an earlier champion (default: the one before)")
    _add_reason(verb)


def _add_reason(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--reason", required=True, metavar="R", help="why; it is kept in the ledger")


def versions(arguments: argparse.Namespace) -> int:
    """Print a model's registered versions, newest first, each with its role (champion, challenger) and what approval it needs.

    :param arguments: ``model`` and ``json``
    :returns: the exit code 0
    """
    from include.evergreen.config import Catalog
    from include.evergreen.registry import champions

    model = common_arguments.known_model(Catalog(), arguments.model)
    registered = list(reversed(champions.list_versions(model)))
    roles = champions.roles(model)
    if arguments.json:
        print(json.dumps([_as_json(version, roles) for version in registered], indent=2))
        return 0
    for version in registered:
        asked = f"; needs approval: {version.approval_because}" if version.approval_because else ""
        print(f"{version.version:>4}  {version.semver:<9} as of {version.as_of}  {roles.get(version.version, '')}{asked}".rstrip())
    if not registered:
        print(f"No version of {model} is registered: none of its candidates was blessed yet.")
    return 0


def promote(arguments: argparse.Namespace) -> int:
    """Make a version champion by hand, and print what came of it.

    :param arguments: ``model``, ``version`` (its number), ``reason`` and ``force``
    :returns: the exit code; 1 when it was not promoted
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.config import Catalog
    from include.evergreen.registry import champions

    model = common_arguments.known_model(Catalog(), arguments.model)
    outcome = champions.promote(model, arguments.version, actor=actor(), reason=arguments.reason, force=arguments.force)
    return _told(model, outcome)


def rollback(arguments: argparse.Namespace) -> int:
    """Make an earlier champion serve again, and print what came of it.

    :param arguments: ``model``, ``to`` (the number of a version; None: the champion before) and ``reason``
    :returns: the exit code; 1 when nothing was rolled back
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.config import Catalog
    from include.evergreen.registry import champions

    model = common_arguments.known_model(Catalog(), arguments.model)
    return _told(model, champions.rollback(model, to=arguments.to, actor=actor(), reason=arguments.reason))


def _told(model: str, outcome: Promotion) -> int:
    print(f"{model}: {outcome.message}.")
    return 0 if outcome.promoted else 1


def _as_json(version: RegisteredVersion, roles: dict[int, str]) -> dict[str, Any]:
    names = ("version", "semver", "run_key", "artifact_digest", "recipe_digest", "snapshot_digest", "mlflow_run_id", "metrics",
             "approval_because", "irreproducible_because")  # fmt: skip
    document = {name: getattr(version, name) for name in names}
    return {**document, "as_of": version.as_of, "role": roles.get(version.version, "")}
