"""``reproduce``: is a version what its record says, down to the last bit?"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.operations.reproduce import Reproduction

DIFFERS = 1


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``reproduce``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "train a version again from its record, and compare what it predicts, bit for bit"
    details = ". Nothing is written. Exit code 1 when it differs."
    verb = common_arguments.add_verb(verbs, common, "reproduce", text, run, details)
    common_arguments.add_model(verb)
    verb.add_argument("version", metavar="VERSION", type=int, help="the number of a registered version")
    common_arguments.add_json(verb)


def run(arguments: argparse.Namespace) -> int:
    """Train a version again, and print whether it predicts the same, bit for bit, and what changed since.

    :param arguments: ``model``, ``version`` (its number) and ``json``
    :returns: the exit code; 1 when anything differs
    """
    from include.evergreen.cli.progress import progress
    from include.evergreen.config import Catalog
    from include.evergreen.operations.reproduce import reproduce

    catalog = Catalog()
    model = common_arguments.known_model(catalog, arguments.model)
    with progress() as show:
        reproduction = reproduce(catalog, model, arguments.version, show)
    if arguments.json:
        print(json.dumps({**asdict(reproduction), "as_of": str(reproduction.as_of), "is_identical": reproduction.is_identical}, indent=2))
    else:
        _tell(reproduction)
    return 0 if reproduction.is_identical else DIFFERS


def _tell(reproduction: Reproduction) -> None:
    subject = f"{reproduction.model} version {reproduction.version} ({reproduction.semver}), as of {reproduction.as_of}"
    if reproduction.is_identical:
        rows = " and ".join(f"{compared.rows} {compared.rows_of}" for compared in reproduction.compared)
        print(f"{subject}: IDENTICAL. Trained again, it predicts {rows} bit for bit as the registered artifact does.")
        if reproduction.changed:
            print("Changed since, without any effect on it:")
    else:
        print(f"{subject}: DIFFERS.")
        for compared in reproduction.compared:
            print(f"  {compared.rows_of}: {compared.differing} of {compared.rows} predictions differ, by {compared.largest:.3g} at most")
        if reproduction.is_same_model:
            print("  The predictions are the same, bit for bit, but not all that it was trained on is as it was.")
        print("What is not as the record says:" if reproduction.changed or reproduction.frame else "Nothing else is known to have changed.")
    for words in (*reproduction.changed, *([reproduction.frame] if reproduction.frame else [])):
        print(f"  {words}")
