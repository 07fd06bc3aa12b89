"""``check``: is everything that is declared sound?"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from include.evergreen.cli.arguments import add_verb
from include.evergreen.cli.terminal import counted

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.config import Catalog


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``check``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    verb = add_verb(
        verbs,
        common,
        "check",
        "list every problem of every dataset.yaml, model.yaml and features.py, and of oncall.yaml, with its file and what is allowed",
        check,
    )
    verb.add_argument(
        "--explain",
        nargs="*",
        metavar="MODEL",
        help="when all is sound, say what will happen when: what is read, scored, measured and trained on (default: of every model)",
    )


def check(arguments: argparse.Namespace) -> int:
    """Print every problem of every declaration, one a line. Warnings go to stderr.

    :param arguments: ``explain``: the models to explain, none named: all; None: not asked for
    :returns: the exit code; 1 when there is any problem, whatever the warnings
    """
    from include.evergreen.config import Catalog
    from include.evergreen.config.check import catalog_warnings, check_catalog
    from include.evergreen.features.check import check_features
    from include.evergreen.oncall import check_oncall
    from include.evergreen.training.rehearsal import check_estimators, check_own_metrics

    catalog = Catalog()
    for name in arguments.explain or ():
        catalog.model_path(name)  # an unknown name is said before the work
    problems = [*check_catalog(catalog), *check_oncall(catalog)]
    if not problems:  # what is not declared soundly cannot be run
        problems = [*check_features(catalog), *check_estimators(catalog), *check_own_metrics(catalog)]
    if problems:
        print("\n".join(problems))
        print(f"{counted(len(problems), 'problem')} found. Fix the files and check again.")
        return 1
    for warning in catalog_warnings(catalog):
        print(f"warning: {warning}", file=sys.stderr)
    datasets, models = counted(len(catalog.dataset_names()), "dataset"), counted(len(catalog.model_names()), "model")
    print(f"{datasets} and {models} are sound.")
    if arguments.explain is not None:
        _explain(catalog, arguments.explain or catalog.model_names())
    return 0


def _explain(catalog: Catalog, models: list[str]) -> None:
    from include.evergreen.foundation import clock
    from include.evergreen.operations.timetable import explain

    for name in models:
        print()
        print("\n".join(explain(catalog, catalog.model(name), clock.now())))
