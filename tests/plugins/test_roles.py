"""The guide of roles, carried out: FAB's users of two teams, against Airflow's own API and our pages."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tools.embedded import ROOT

pytest.importorskip("airflow.providers.fab")
USERS = {
    "ada": ["base", "delays-engineer"],
    "grace": ["base", "delays-lead"],
    "bo": ["base", "times-engineer"],
    "olga": ["base", "operator"],
}
Answers = dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    home: Path = tmp_path_factory.mktemp("fab")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "EVERGREEN", "MLFLOW"))},
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
        "EVERGREEN_HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
    }
    command = [sys.executable, "-m", "tests.plugins.fab_roles", str(ROOT / "docs/guides/roles.md")]
    done = subprocess.run(command, env=environment, cwd=ROOT, input=json.dumps(USERS), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    answered: Answers = json.loads(done.stdout)
    return answered


def allowed(answers: Answers, user: str, act: str) -> set[str]:
    """On what the user may do this; whatever is refused is refused for want of permission, and nothing fails for another reason."""
    statuses = {name.removeprefix(f"{act} "): status for name, status in answers[user].items() if name.startswith(f"{act} ")}
    assert set(statuses.values()) <= {200, 403, 404}
    return {name for name, status in statuses.items() if status != 403}


def test_a_team_s_engineer_ingests_and_trains_and_neither_promotes_nor_pauses(answers: Answers) -> None:
    assert allowed(answers, "ada", "trigger") == allowed(answers, "ada", "switch") == {"weather.ingest", "flight_delay.train"}
    assert allowed(answers, "ada", "backfill") == {"weather.ingest"}


def test_its_lead_approves_and_promotes_and_does_not_train(answers: Answers) -> None:
    assert allowed(answers, "grace", "trigger") == {"flight_delay.promote", "flight_delay.approve"}
    assert allowed(answers, "grace", "backfill") == set()


def test_the_other_team_trains_its_own_model_and_does_not_even_see_this_one(answers: Answers) -> None:
    assert allowed(answers, "bo", "trigger") == {"air_time.train"}
    assert allowed(answers, "bo", "see") == {"weather.ingest", "air_time.train", "air_time.promote", "evergreen.pause"}
    assert allowed(answers, "bo", "page") == {"air_time.train/versions", "weather.ingest/validations/2013-02-09"}
    assert allowed(answers, "bo", "backfill") == set()


def test_the_operator_pauses_and_has_no_model(answers: Answers) -> None:
    assert allowed(answers, "olga", "trigger") == allowed(answers, "olga", "see") == {"evergreen.pause"}
    assert allowed(answers, "olga", "page") == set()


def test_the_first_user_that_compose_makes_may_do_everything(answers: Answers) -> None:
    assert 403 not in answers["admin"].values()
    assert len(allowed(answers, "admin", "trigger")) == len(allowed(answers, "admin", "see")) == 7


def test_pages_are_shown_to_who_may_read_their_dag(answers: Answers) -> None:
    assert allowed(answers, "ada", "page") == {"flight_delay.train/versions", "weather.ingest/validations/2013-02-09"}
    assert allowed(answers, "grace", "page") == {"flight_delay.train/versions"}


def test_a_list_shows_what_one_may_read_alone(answers: Answers) -> None:
    assert {user: statuses["listed"] for user, statuses in answers.items()} == {
        "ada": 10, "grace": 6, "bo": 10, "olga": 4, "admin": 19,
    }  # fmt: skip


def test_a_run_has_the_name_of_who_triggered_it(answers: Answers) -> None:
    assert all(statuses["named"] for statuses in answers.values())


def test_one_sees_the_alerts_of_the_dags_that_one_reads_and_acts_on_those_that_one_edits(answers: Answers) -> None:
    seen, acted = {}, {}
    for user in answers:
        statuses = answers[user]
        kinds = ("weather", "delays", "times", "both", "platform")
        seen[user] = {kind for kind in kinds if statuses[f"alert {kind}"] == statuses[f"alert page {kind}"] == 200}
        assert all(statuses[f"act {kind}"] == statuses[f"alert {kind}"] == 404 for kind in set(kinds) - seen[user]), (
            "as if it were not there"
        )
        acted[user] = {kind for kind in seen[user] if statuses[f"act {kind}"] == 200}
        assert statuses["inbox"] == len(seen[user])
        assert statuses["nav"] == 200, "which is what the navigation is made of"
    everything = {"weather", "delays", "times", "both", "platform"}
    assert seen == {
        "ada": everything - {"times"}, "grace": everything - {"times", "weather"}, "bo": everything - {"delays"}, "olga": {"platform"},
        "admin": everything,
    }  # fmt: skip
    assert acted == {
        "ada": {"weather", "delays", "both"}, "grace": set(), "bo": {"times", "both"}, "olga": {"platform"}, "admin": everything,
    }  # fmt: skip
