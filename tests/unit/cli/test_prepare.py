from __future__ import annotations

from include.evergreen.foundation.settings import Settings
from tests.unit.cli.conftest import Ask


def test_the_databases_are_made_once_and_found_again(ask: Ask) -> None:
    home = Settings.from_environment().home
    for _ in range(2):
        answer = ask("prepare")
        assert (answer.code, answer.err) == (0, "")
        assert answer.out == f"The databases of Evergreen and MLflow are ready, under {home}.\n"
    assert {"evergreen.db", "mlflow.db"} <= {file.name for file in home.iterdir()}
    assert ask("status", "--json").code == 0
