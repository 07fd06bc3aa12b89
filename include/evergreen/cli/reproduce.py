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
    text = "train a version again from its record, and compare what it predicts, bit for bit"
    words = f"{text.capitalize()}. Nothing is written. Exit code 1 when it differs."
    verb = verbs.add_parser("reproduce", parents=[common], help=text, description=words)
    common_arguments.add_model(verb)
    verb.add_argument("version", metavar="VERSION", type=int, help="the number of a registered version")
    common_arguments.add_json(verb)
    verb.set_defaults(verb=run)


def run(arguments: argparse.Namespace) -> int:
    from include.evergreen.cli.progress import progress
    from include.evergreen.config import Catalog
    from include.evergreen.operations.reproduce import reproduce

    catalog = Catalog()
    model = common_arguments.known_model(catalog, arguments.model)
    with progress() as shown:
        found = reproduce(catalog, model, arguments.version, shown)
    if arguments.json:
        print(json.dumps({**asdict(found), "as_of": str(found.as_of), "is_identical": found.is_identical}, indent=2))
    else:
        _tell(found)
    return 0 if found.is_identical else DIFFERS


def _tell(found: Reproduction) -> None:
    subject = f"{found.model} version {found.version} ({found.semver}), as of {found.as_of}"
    if found.is_identical:
        rows = " and ".join(f"{each.rows} {each.rows_of}" for each in found.compared)
        print(f"{subject}: IDENTICAL. Trained again, it predicts {rows} bit for bit as the registered artifact does.")
        if found.changed:
            print("Changed since, without any effect on it:")
    else:
        print(f"{subject}: DIFFERS.")
        for each in found.compared:
            print(f"  {each.rows_of}: {each.differing} of {each.rows} predictions differ, by {each.largest:.3g} at most")
        if found.is_same_model:
            print("  The predictions are the same, bit for bit, but not all that it was trained on is as it was.")
        print("What is not as the record says:" if found.changed or found.frame else "Nothing else is known to have changed.")
    for words in (*found.changed, *([found.frame] if found.frame else [])):
        print(f"  {words}")
