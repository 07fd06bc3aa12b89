"""docs/guides/your-own-model.md, followed to the letter: from a CSV to a champion, on the command line and in `make serve`."""

import contextlib
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.grain import DAILY, Grain
from include.evergreen.monitoring import list_observations
from include.evergreen.monitoring.triggers import list_firings
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.registry.champions import champion
from include.evergreen.scoring.predictions import list_predictions
from tests.documents import commands, files, section
from tests.integration.conftest import LOOKS_BETWEEN_REQUESTS
from tests.integration.forms import run_backfill, run_training
from tests.unit.flights import at_home
from tests.unit.shop_of_any_grain import MODEL as HOURLY_MODEL
from tests.unit.shop_of_any_grain import Shape, deliver_all, frame_of
from tests.unit.warm import run_code
from tools.rest import AirflowApi

GUIDE = (PROJECT_ROOT / "docs/guides/your-own-model.md").read_text()
MODEL = "delivery_minutes"
HOURLY = Shape(Grain("hour"), Grain("month"), "lag: 1 hour", "lag: 1 month", 3, 2, 1, 1, "2013-03-10")
BIN = Path(sys.executable).parent
FIRST_PORT = 18900  # serve takes the next that is free
TIMEOUT_SECONDS = 240
DAY = r"(\d{4}-\d\d-\d\d)"
BACKFILL = re.compile(rf"`(\w+)\.ingest`[^`]*? from {DAY} to {DAY}", re.DOTALL)
AS_OF = re.compile(rf"\*As of\* {DAY}")


def step(number):
    return section(GUIDE, f"{number}. ")


def run(command, folder):
    """One of the guide's commands, given in the project's folder in a shell that activated `.venv`; returns what it printed."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def evergreen(command, folder):
    """The same of `evergreen`, in a process that has imported what most of its seconds are for."""
    program, *arguments = command
    assert program == "evergreen"
    return run_code(f"import os, sys\nos.chdir({str(folder)!r})\nfrom include.evergreen.cli import main\nsys.exit(main({arguments!r}))")


def wait_until(condition, what):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project folder in which sections 1 to 4 were followed: the files are saved, and their commands were given."""
    folder = tmp_path_factory.mktemp("project")
    with at_home(folder / "var"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_INCLUDE", str(folder / "include"))
        for place, text in files(GUIDE):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_text(text)
        run(["evergreen", "prepare"], folder)
        for number in (1, 2, 3, 4):
            for command in commands(step(number)):
                run(command, folder)
        yield folder


@pytest.fixture(scope="module")
def told(folder):
    """What the command line of section 5 said, by verb."""
    return {command[1]: evergreen(command, folder) for command in commands(step(5))}


@pytest.fixture(scope="module")
def serving(told, folder):
    """The process that section 6 starts, once it tells where the UI is, with an API for it; it is stopped at the end, if not before."""
    assert commands(step(6))[0] == ["make", "serve"]
    asked = ["make", "-n", "--no-print-directory", "serve", f"PORT={FIRST_PORT}"]
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }  # of `make test`, which runs us
    recipe = subprocess.run(asked, cwd=PROJECT_ROOT, env=outside, capture_output=True, text=True, check=True).stdout
    program, *arguments = shlex.split(recipe.splitlines()[-1])
    assert program == ".venv/bin/python"
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": f"{PROJECT_ROOT}:{PROJECT_ROOT / 'plugins'}", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    process.shown = ""
    try:
        while "Press Ctrl-C to stop both" not in process.shown:
            line = process.stdout.readline()
            assert line, process.shown
            process.shown += line
        process.api = AirflowApi(re.search(r"Airflow's UI: (\S+)", process.shown)[1])
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait()


def test_its_files_are_sound_declarations(told):
    assert told["check"] == "2 datasets and 1 model are sound.\n"


def test_its_command_line_makes_a_champion_and_says_what_the_rules_would_do(told, folder):
    as_of = str(re.search(r"--as-of (\S+)", step(5))[1])
    serving = champion(MODEL)
    assert (serving.version, serving.as_of) == (1, as_of)
    assert told["run"].startswith(f"{MODEL} as of {as_of}: version 1 (1.0.0) as of {as_of} is champion.\n")
    assert "Rules: none would fire." in told["run"]
    assert MODEL in told["status"]


def test_its_features_keep_the_promise_of_every_model_s(folder):
    from include.evergreen.testkit import CHECKS, examine

    assert [finding for check in CHECKS for finding in examine(Catalog(), MODEL, check)] == []


def test_its_path_through_airflow_leads_to_the_next_champion(serving, browse, folder):
    as_of = str(AS_OF.search(step(6))[1])
    backfills = {dataset: tuple(map(str, days)) for dataset, *days in BACKFILL.findall(step(6))}
    assert set(backfills) == {"orders", "deliveries"}
    assert f"{MODEL}.train" in serving.shown
    page = browse(serving.api.url).new_page()
    page.set_default_timeout(60_000)
    for dataset, (first, last) in backfills.items():
        run_backfill(page, f"{dataset}.ingest", first, last)

    scored = DAILY.between(*backfills["orders"])
    observed = DAILY.between(*backfills["deliveries"])  # they include the labels of the day that section 5 scored
    wait_until(
        lambda: len(list_observations(MODEL, "performance.mae", observed[0], observed[-1])) == len(observed), "monitoring with the labels"
    )
    assert [each.partition for each in list_predictions(MODEL, scored[0], scored[-1])] == scored
    wait_until(lambda: not serving.api.runs(f"{MODEL}.monitor", state=["queued", "running"]), "the last run's end")

    run_training(page, f"{MODEL}.train", as_of)
    wait_until(lambda: champion(MODEL).as_of == as_of, "the next champion")
    page.close()
    for command in commands(step(6))[1:]:
        assert MODEL in evergreen(command, folder)
    told = json.loads(run(["evergreen", "status", "--json"], folder))
    assert told["models"][MODEL]["champion"]["as_of"] == str(as_of)


def test_a_model_of_hours_is_served_watched_and_trained_in_the_same_airflow(serving, folder):
    """With prices by the month: runs have the hours as keys, and hours are backfilled as days are."""
    catalog, hours = HOURLY.declare(folder / "include"), Grain("hour").between("2013-03-12T0600Z", "2013-03-12T0800Z")
    declared = catalog.model_path(HOURLY_MODEL)
    declared.write_text(declared.read_text().replace("above: 0.0001", "above: 1000"))  # no rule trips: it trains once, when it is asked to
    deliver_all(catalog, Grain("hour").start(hours[0]))
    run_cycle(catalog, catalog.model(HOURLY_MODEL), hours[0], reason="the first", actor="a person")
    asked = time.monotonic()
    looks = itertools.count()
    while not {"visits.ingest", f"{HOURLY_MODEL}.score"} <= serving.api.dag_ids():
        assert time.monotonic() < asked + TIMEOUT_SECONDS
        for dag_id in ("orders.ingest", f"{MODEL}.train") if next(looks) % LOOKS_BETWEEN_REQUESTS == 0 else ():  # whose files they are in
            with contextlib.suppress(ConfigError, TransientError):
                serving.api.parse_again(dag_id)
        time.sleep(1)
    wait_until(lambda: not {"visits.ingest", "results.ingest", f"{HOURLY_MODEL}.score"} & serving.api.paused_dag_ids(), "switching on")
    for dataset, delivered in (("results", hours[:2]), ("visits", hours[1:2])):
        landing = folder / "var" / "landing" / dataset
        landing.mkdir(parents=True, exist_ok=True)
        for hour in delivered:
            frame_of(catalog.dataset(dataset), hour).to_csv(landing / f"{hour}.csv", index=False)
        first, last = (f"{hour[:13]}:00:00Z" for hour in (delivered[0], delivered[-1]))
        serving.api.backfill(f"{dataset}.ingest", first, f"{last[:14]}59:59Z")
    wait_until(lambda: len(list_observations(HOURLY_MODEL, "performance.mae")) == 2, "monitoring with the labels of two hours")
    assert [each.partition for each in list_observations(HOURLY_MODEL, "performance.mae")] == hours[:2]
    assert [each.partition for each in list_predictions(HOURLY_MODEL)] == hours[:2]
    assert {run["partition_key"] for run in serving.api.runs(f"{HOURLY_MODEL}.score")} == {hours[1]}

    serving.api.trigger(f"{HOURLY_MODEL}.train", conf={"as_of": hours[2]})
    wait_until(lambda: champion(HOURLY_MODEL).as_of == hours[2], "the next champion")
    assert list_firings(HOURLY_MODEL) == []
    wait_until(lambda: not serving.api.runs(f"{HOURLY_MODEL}.train", state=["queued", "running"]), "the run's end")


def test_a_ctrl_c_leaves_no_process(serving, folder):
    assert len(processes_of(folder)) > 5
    serving.send_signal(signal.SIGINT)
    out, _ = serving.communicate()
    assert serving.returncode == 0, out
    assert processes_of(folder) == []


def processes_of(folder):
    """All of the Airflow there, MLflow's UI among them."""
    home = f"AIRFLOW_HOME={folder / 'var' / 'airflow'}".encode()
    return [number for number in filter(str.isdigit, os.listdir("/proc")) if home in environment_of(number)]


def environment_of(process):
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
