"""``prepare``: the databases, made or brought to the newest schema."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    text = "make the databases, or bring them to the newest schema; safe to repeat"
    verb = verbs.add_parser("prepare", parents=[common], help=text, description=text.capitalize() + ".")
    verb.set_defaults(verb=prepare)


def prepare(arguments: argparse.Namespace) -> int:
    from include.evergreen.foundation.settings import Settings
    from include.evergreen.state.database import migrate
    from include.evergreen.state.mlflow_store import prepare_store

    migrate()
    prepare_store()
    print(f"The databases of Evergreen and MLflow are ready, under {Settings.from_environment().home}.")
    return 0
