"""``pause`` and ``resume``: the one switch that holds all automatic promotion and retraining."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from include.evergreen.cli.arguments import add_verb

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``pause`` and ``resume``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    details = ". An active pause is replaced. People can still promote and roll back by hand."
    verb = add_verb(verbs, common, "pause", "hold all automatic promotion and retraining, for some hours", pause, details)
    verb.add_argument("--hours", required=True, type=float, metavar="H", help="how long, from now on; it ends by itself")
    verb.add_argument("--reason", required=True, metavar="R", help="why, for the ledger and for whoever meets the pause")

    verb = add_verb(verbs, common, "resume", "end the pause of automatic promotion and retraining before its time", resume)
    verb.add_argument("--reason", required=True, metavar="R", help="why, for the ledger")


def pause(arguments: argparse.Namespace) -> int:
    """Hold all automatic promotion and retraining for some hours, and print until when.

    :param arguments: ``hours`` (from now) and ``reason``
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.state import pauses

    print(f"{pauses.pause(hours=arguments.hours, actor=actor(), reason=arguments.reason).message}.")
    return 0


def resume(arguments: argparse.Namespace) -> int:
    """End the pause before its time, and print which it was, or that nothing is paused.

    :param arguments: ``reason``
    :returns: the exit code 0, whether there was a pause or not
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.state import pauses

    lifted = pauses.lift(actor=actor(), reason=arguments.reason)
    print(f"Lifted: {lifted.message}." if lifted else "Nothing is paused.")
    return 0
