"""A program: sets up FAB as docs/guides/roles.md says, in an Airflow of its own, and prints as JSON what each user may do.

python -m tests.plugins.fab_roles GUIDE < USERS     # {"name": ["role", ...], ...}
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from include.evergreen.foundation.garbage import collect_seldom

ROOT = Path(__file__).resolve().parents[2]
DAY = "2013-02-09"
PASSWORD = "of-the-first-user"
ALERTS = {  # by where they were seen
    "weather": ["weather.ingest"], "delays": ["flight_delay.train"], "times": ["air_time.train"],
    "both": ["flight_delay.train", "air_time.train"], "platform": [],
}  # fmt: skip


def main() -> None:
    collect_seldom()
    with contextlib.redirect_stdout(sys.stderr):
        answers = _answers(Path(sys.argv[1]), json.load(sys.stdin))
    print(json.dumps(answers))


def _answers(guide: Path, users: dict[str, list[str]]) -> dict[str, dict[str, int]]:
    _prepare_airflow()
    for command in (*_commands(guide), _first_user(), _first_user()):  # a second start finds the user
        _airflow(command)
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from fastapi.testclient import TestClient

    from include.evergreen.state.alerts import Place, raise_alert

    with get_application_builder() as builder:
        for name, roles in users.items():
            assert builder.sm.add_user(name, name, name, f"{name}@example.org", [builder.sm.find_role(role) for role in roles], "secret")
    app = create_app(apps="core")
    manager: Any = get_auth_manager()
    for name, places in ALERTS.items():
        raise_alert(f"task/{name}", severity="warning", message=name, places=[Place(dag_id=dag_id, task_id="x") for dag_id in places])
    answers: dict[str, dict[str, int]] = {}
    users["admin"] = []
    with manager.flask_app.app_context():
        login = TestClient(app).post("/auth/token", json={"username": "admin", "password": PASSWORD})
        assert login.status_code == 201, login.text
        for name in users:
            user = manager.security_manager.find_user(name)
            client = TestClient(app, cookies={"_token": manager.generate_jwt(user)}, raise_server_exceptions=False)
            answers[name] = dict(_tried(client, name))
    return answers


def _prepare_airflow() -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.utils.db import initdb

    from include.evergreen.state.database import migrate

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(str(ROOT / "dags"), bundle_path=ROOT / "dags", bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    migrate()


def _commands(guide: Path) -> list[list[str]]:
    """The arguments of ``airflow`` in the first block of commands."""
    block = re.search(r"```bash\n(.*?)```", guide.read_text(), re.DOTALL)
    assert block
    lines = [shlex.split(line, comments=True) for line in block[1].splitlines()]
    return [words[1:] for words in lines if words]


def _first_user() -> list[str]:
    """The arguments of ``airflow`` with which docker-compose.yaml makes the first user."""
    commands = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]["setup"]["command"][-1].splitlines()
    [line] = [command for command in commands if command.startswith("airflow users create")]
    return shlex.split(line.replace("$$ADMIN_PASSWORD", PASSWORD))[1:]


def _airflow(arguments: list[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    parsed = get_parser().parse_args(arguments)
    parsed.func(parsed)


def _tried(client: Any, user: str) -> Iterator[tuple[str, int]]:
    """What was tried, and the status of the answer: 403 is a refusal."""
    names: set[str] = set()
    for dag_id in ("weather.ingest", "flight_delay.train", "flight_delay.promote", "flight_delay.approve", "air_time.train",
                   "air_time.promote", "evergreen.pause"):  # fmt: skip
        yield f"see {dag_id}", client.get(f"/api/v2/dags/{dag_id}").status_code
        body = {"logical_date": None, "conf": {"version": 1, "reason": "a good one", "action": "promote"}}
        if dag_id == "evergreen.pause":
            body["conf"] = {"action": "pause", "hours": 1, "reason": "a bad feed"}
        answer = client.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        yield f"trigger {dag_id}", answer.status_code
        names |= {answer.json()["triggering_user_name"]} if answer.status_code == 200 else set()
        yield f"switch {dag_id}", client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": False}).status_code
    backfill = {"dag_id": "weather.ingest", "from_date": f"{DAY}T00:00:00Z", "to_date": f"{DAY}T00:00:00Z"}
    yield "backfill weather.ingest", client.post("/api/v2/backfills", json=backfill).status_code
    for page in ("flight_delay.train/versions", "air_time.train/versions", f"weather.ingest/validations/{DAY}"):
        yield f"page {page}", client.get(f"/evergreen/dags/{page}").status_code
    for number, name in enumerate(ALERTS, start=1):
        yield f"alert {name}", client.get(f"/evergreen/api/alerts/{number}").status_code
        yield f"alert page {name}", client.get(f"/evergreen/alerts/{number}").status_code
        answer = client.post(f"/evergreen/api/alerts/{number}/comment", json={"text": "seen"})
        yield f"act {name}", answer.status_code
        names |= {answer.json()["events"][-1]["actor"]} if answer.status_code == 200 else set()
    yield "inbox", len(client.get("/evergreen/api/alerts").json()["alerts"])
    yield "nav", client.get("/api/v2/plugins").status_code
    listed = client.get("/api/v2/dags?limit=100").json()
    yield "named", names == {user}
    yield "listed", len(listed.get("dags", []))


if __name__ == "__main__":
    main()
