"""``prepare``: the databases, made or brought to the newest schema."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from include.evergreen.cli.arguments import add_verb

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``prepare``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    verb = add_verb(verbs, common, "prepare", "make the databases, or bring them to the newest schema; safe to repeat", prepare)
    verb.add_argument("--worker-role", metavar="ROLE", help="PostgreSQL: the role that runs tasks; it gets what its work needs")
    verb.add_argument("--reader-role", metavar="ROLE", help="PostgreSQL: the role that only reads, for the API server")


def prepare(arguments: argparse.Namespace) -> int:
    """Make the databases of Evergreen and MLflow, or bring them to the newest schema, and print where they are.

    :param arguments: ``worker_role`` and ``reader_role``, of PostgreSQL (None: no role is granted anything)
    :returns: the exit code 0
    """
    from include.evergreen.foundation.settings import Settings
    from include.evergreen.state.access import grant_access
    from include.evergreen.state.database import migrate
    from include.evergreen.state.mlflow_store import prepare_store

    migrate()
    if arguments.worker_role or arguments.reader_role:
        grant_access(worker=arguments.worker_role, reader=arguments.reader_role)
    prepare_store()
    print(f"The databases of Evergreen and MLflow are ready, under {Settings.from_environment().home}.")
    return 0
