"""``features``: what each model's features are, where they come from, and who else uses them."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.cli.terminal import console, new_table

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``features``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "list each feature with its description, the columns and days that it comes from, and the models that have it too"
    verb = common_arguments.add_verb(verbs, common, "features", text, show_features)
    verb.add_argument("model", metavar="MODEL", nargs="?", help="the name of a declared model (default: all)")
    common_arguments.add_json(verb)


def show_features(arguments: argparse.Namespace) -> int:
    """Print the features of every model, or of one, as tables; a model whose features cannot be told goes to stderr.

    :param arguments: ``model`` (None: all) and ``json``
    :returns: the exit code; 1 when there is a model whose features cannot be told
    """
    from include.evergreen.cli.progress import progress
    from include.evergreen.config import Catalog
    from include.evergreen.features.lineage import feature_list

    with progress() as show:
        lineage = feature_list(Catalog(), arguments.model, show)
    if arguments.json:
        print(json.dumps(lineage, indent=2))
    else:
        _print_tables(lineage["models"])
    for model, problem in lineage["problems"].items():
        print(f"{model}: {problem}", file=sys.stderr)
    return 1 if lineage["problems"] else 0


def _print_tables(models: dict[str, list[dict[str, Any]]]) -> None:
    for model, features in models.items():
        table = new_table(model, "feature", "kind", "description", "from", "also in")
        for feature in features:
            origins = "\n".join(origin["description"] for origin in feature["from"])
            also_in = "\n".join(other["model"] + ("" if other["same"] else " (differs)") for other in feature["also_in"])
            table.add_row(feature["name"], feature["kind"], feature["description"], origins or "nothing", also_in or "-")
        console().print(table)
