"""``check``: is everything that is declared sound?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    text = "list every problem of every dataset.yaml and model.yaml, with file, line and what is allowed"
    verb = verbs.add_parser("check", parents=[common], help=text, description=text.capitalize() + ".")
    verb.set_defaults(verb=check)


def check(arguments: argparse.Namespace) -> int:
    from include.evergreen.config import Catalog
    from include.evergreen.config.check import check_catalog

    catalog = Catalog()
    problems = check_catalog(catalog)
    if problems:
        print("\n".join(problems))
        print(f"{_counted(len(problems), 'problem')} found. Fix the files and check again.")
        return 1
    datasets, models = _counted(len(catalog.dataset_names()), "dataset"), _counted(len(catalog.model_names()), "model")
    print(f"{datasets} and {models} are sound.")
    return 0


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
