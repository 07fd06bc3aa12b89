"""``prepare``: the databases, made or brought to the newest schema."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from include.evergreen.cli.arguments import add_verb

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``prepare``."""
    add_verb(verbs, common, "prepare", "make the databases, or bring them to the newest schema; safe to repeat", prepare)


def prepare(arguments: argparse.Namespace) -> int:
    """Make the databases of Evergreen and MLflow, or bring them to the newest schema, and print where they are."""
    from include.evergreen.foundation.settings import Settings
    from include.evergreen.state.database import migrate
    from include.evergreen.state.mlflow_store import prepare_store

    migrate()
    prepare_store()
    print(f"The databases of Evergreen and MLflow are ready, under {Settings.from_environment().home}.")
    return 0
