"""``card``: the model card of a registered version, written again when it is lost."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``card``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "say where the model card of a registered version lies, writing it unless it is there"
    verb = common_arguments.add_verb(verbs, common, "card", text, card)
    common_arguments.add_model(verb)
    verb.add_argument("version", metavar="VERSION", type=int, help="the registered version's number")
    verb.add_argument("--output", metavar="FILE", type=Path, help="also write a copy to this file, to send it to somebody")


def card(arguments: argparse.Namespace) -> int:
    """Print where the model card of a registered version lies in the storage, writing it unless it is there.

    :param arguments: ``model``, ``version`` (its number) and ``output`` (a file that gets a copy; None: no copy)
    :returns: the exit code 0
    """
    from include.evergreen.config import Catalog
    from include.evergreen.promotion.cards import ensure_card, read_card
    from include.evergreen.registry import champions

    catalog = Catalog()
    model = catalog.model(common_arguments.known_model(catalog, arguments.model))
    version = champions.version_number(model.name, arguments.version)
    path = ensure_card(catalog, model, version)
    if arguments.output is not None:
        common_arguments.write_output(arguments.output, read_card(path))
    print(f"{model.name} version {version.version}: {path} in the storage{f', copied to {arguments.output}' if arguments.output else ''}")
    return 0
