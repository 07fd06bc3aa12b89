"""``features``: what each model's features are, where they come from, and who else uses them."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs

PIPED_WIDTH = 160  # columns, where no terminal says how wide it is


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    text = "list each feature with its description, the columns and days that it comes from, and the models that have it too"
    verb = verbs.add_parser("features", parents=[common], help=text, description=text.capitalize() + ".")
    verb.add_argument("model", metavar="MODEL", nargs="?", help="the name of a declared model (default: all)")
    common_arguments.add_json(verb)
    verb.set_defaults(verb=show_features)


def show_features(arguments: argparse.Namespace) -> int:
    from include.evergreen.cli.progress import progress
    from include.evergreen.config import Catalog
    from include.evergreen.features.lineage import feature_list

    with progress() as show:
        found = feature_list(Catalog(), arguments.model, show)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        _print_tables(found)
    for model, problem in found["problems"].items():
        print(f"{model}: {problem}", file=sys.stderr)
    return 1 if found["problems"] else 0


def _print_tables(found: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    for model, features in found["models"].items():
        table = Table(title=model, title_justify="left", box=box.SIMPLE_HEAD)
        for column in ("feature", "kind", "description", "from", "also in"):
            table.add_column(column, overflow="fold")
        for each in features:
            origins = "\n".join(origin["description"] for origin in each["from"])
            also_in = "\n".join(other["model"] + ("" if other["same"] else " (differs)") for other in each["also_in"])
            table.add_row(each["name"], each["kind"], each["description"], origins or "nothing", also_in or "-")
        console.print(table)
