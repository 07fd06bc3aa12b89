"""``card``: the model card of a registered version, written again when it is lost."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    text = "say where the model card of a registered version lies, writing it unless it is there"
    verb = verbs.add_parser("card", parents=[common], help=text, description=text.capitalize() + ".")
    common_arguments.add_model(verb)
    verb.add_argument("version", metavar="VERSION", type=int, help="the registered version's number")
    verb.add_argument("--output", metavar="FILE", type=Path, help="also write a copy to this file, to send it to somebody")
    verb.set_defaults(verb=card)


def card(arguments: argparse.Namespace) -> int:
    from include.evergreen.config import Catalog
    from include.evergreen.promotion.cards import ensure_card, read_card
    from include.evergreen.registry import champions

    catalog = Catalog()
    model = catalog.model(common_arguments.known_model(catalog, arguments.model))
    version = champions.version_number(model.name, arguments.version)
    path = ensure_card(catalog, model, version)
    if arguments.output is not None:
        try:
            arguments.output.write_bytes(read_card(path))
        except OSError as error:
            raise ConfigError(
                f"--output {arguments.output} cannot be written: {error.strerror}. Name a file in a folder that exists."
            ) from error
    print(f"{model.name} version {version.version}: {path} in the storage{f', copied to {arguments.output}' if arguments.output else ''}")
    return 0
