"""``new-dataset`` and ``new-model``: declarations to begin with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.cli.arguments import add_verb

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs

KNOWN_WHEN_THE_DAY_IS_OVER = 24


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``new-dataset`` and ``new-model``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    verb = add_verb(verbs, common, "new-dataset", "write a dataset.yaml to begin with, after a CSV file where there is one", new_dataset)
    verb.add_argument("name", metavar="NAME", help="the dataset's name")
    verb.add_argument(
        "--like", type=Path, metavar="FILE", help="a CSV file of one day; a date in its name (2024-01-01) stands for the partition"
    )
    verb.add_argument(
        "--known-after", type=float, default=KNOWN_WHEN_THE_DAY_IS_OVER, metavar="HOURS",
        help="hours after its day begins until its rows are known (default: 24); negative: before",
    )  # fmt: skip

    text = "write a model.yaml and a features.py to begin with, after the datasets of its rows and its target"
    verb = add_verb(verbs, common, "new-model", text, new_model)
    verb.add_argument("name", metavar="NAME", help="the model's name")
    verb.add_argument("--rows", required=True, metavar="DATASET", help="the dataset whose rows are scored")
    verb.add_argument("--target", required=True, metavar="DATASET.COLUMN", help="what is predicted, where its label arrives")
    verb.add_argument(
        "--positive-above",
        type=float,
        metavar="X",
        help="a classification: rows whose target is above X are positive; without it, a text is one of several classes",
    )


def new_dataset(arguments: argparse.Namespace) -> int:
    """Write a dataset.yaml to begin with, and print where it is and what to do next.

    :param arguments: ``name``, ``like`` (a CSV file; None: no example) and ``known_after`` (hours after a row's day begins, UTC)
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import user_name
    from include.evergreen.config import Catalog
    from include.evergreen.operations import scaffold

    path = scaffold.new_dataset(Catalog(), arguments.name, like=arguments.like, known_after_hours=arguments.known_after, owner=user_name())
    _print_next(path, f"evergreen ingest {arguments.name} DATE")
    return 0


def new_model(arguments: argparse.Namespace) -> int:
    """Write a model.yaml and a features.py to begin with, and print where they are and what to do next.

    :param arguments: ``name``, ``rows``, ``target`` (``DATASET.COLUMN``) and ``positive_above`` (None: a regression, unless it is boolean)
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import user_name
    from include.evergreen.config import Catalog
    from include.evergreen.operations import scaffold

    path = scaffold.new_model(
        Catalog(), arguments.name, rows=arguments.rows, target=arguments.target, positive_above=arguments.positive_above, owner=user_name()
    )
    _print_next(path, f"evergreen run {arguments.name} --as-of DATE")
    return 0


def _print_next(path: Path, then: str) -> None:
    from include.evergreen.config.loader import shown_path

    print(f"Written: {shown_path(path)}. Look through it, complete it, and then:")
    print(f"  evergreen check\n  {then}")
