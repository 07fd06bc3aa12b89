"""``rollout``: how a version takes the champion's place step by step, and a person's word on it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.registry.rollouts import Rollout


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``rollout``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "show a model's newest roll-out with its evidence, and what it waits for; or end the one that runs"
    verb = common_arguments.add_verb(verbs, common, "rollout", text, rollout)
    common_arguments.add_model(verb)
    common_arguments.add_json(verb)
    ends = verb.add_mutually_exclusive_group()
    ends.add_argument("--promote", action="store_true", help="make its version champion now; this counts as the approval, too")
    ends.add_argument("--abort", action="store_true", help="let the champion serve all rows again; its version is refused")
    verb.add_argument("--reason", metavar="R", help="why, with --promote or --abort; it is kept in the ledger")


def rollout(arguments: argparse.Namespace) -> int:
    """Print the newest roll-out of a model, or end the one that runs.

    :param arguments: ``model``, ``json``, ``promote``, ``abort`` and ``reason``
    :returns: the exit code; 1 when it could not be ended so
    :raises ConfigError: when no roll-out runs that could be ended, or a reason is missing or has no use
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.config import Catalog
    from include.evergreen.foundation.errors import ConfigError
    from include.evergreen.registry import champions
    from include.evergreen.registry.rollouts import newest_rollout
    from include.evergreen.state.database import reading

    catalog = Catalog()
    model = common_arguments.known_model(catalog, arguments.model)
    if (arguments.promote or arguments.abort) != (arguments.reason is not None):
        raise ConfigError("--reason says why a roll-out is ended: give it with --promote or --abort, and with these alone.")
    if arguments.promote:
        promotion = champions.promote_rolling_out(model, actor=actor(), reason=arguments.reason)
        print(f"{model}: {promotion.message}.")
        return 0 if promotion.promoted else 1
    if arguments.abort:
        print(f"{model}: {champions.abort_rollout(model, actor=actor(), reason=arguments.reason).message}.")
        return 0
    with reading() as connection:
        newest = newest_rollout(connection, model)
    if arguments.json:
        print(json.dumps(newest and newest.as_json(), indent=2))
    elif newest is None:
        print(f"{model} had no roll-out: its versions became champion at once.")
    else:
        print("\n".join(_lines(newest)))
    return 0


def _lines(newest: Rollout) -> list[str]:
    """What it is, each step with what it was decided on, and what comes next."""
    shares = [f"{share:g}" for share in newest.plan["shares"]]
    told = [
        f"{newest.model}: {newest.name}, {newest.word} since {newest.ended_at or newest.started_at:%Y-%m-%d %H:%M} UTC",
        f"  started {newest.started_at:%Y-%m-%d %H:%M} UTC by {newest.actor}: {newest.reason}",
    ]
    for number, step in enumerate(newest.steps):
        share = f", {step['share']:.0%} of the keys (of {', '.join(shares)})" if step["share"] else ""
        told.append(f"  step {number + 1} of {len(shares)}, from {step['first']} on{share}")
        if number < len(newest.evidence):
            told.append(f"    {_evidence(newest.evidence[number])}")
    end = newest.note or "its next monitoring says what it waits for"
    return [*told, f"  waits: {end}" if newest.is_running else f"  {newest.word}: {newest.because}"]


def _evidence(evidence: dict[str, Any]) -> str:
    first, last, count = evidence["partitions"]
    rows = evidence["rows"]
    return f"{first} to {last} ({count}), {rows['version']} rows against {rows['champion']}: {evidence['message']}"
