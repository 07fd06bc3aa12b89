"""One real Airflow for all integration tests: own home, own port, the shipped DAGs over a small include tree."""

import contextlib
import itertools
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from include.evergreen.config import Catalog
from include.evergreen.data.ingestion import ingest
from include.evergreen.data.partitions import current_partitions
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.training.container import MOUNTS
from tests.integration.airflow_under_test import BACKFILLED, DATASETS, HISTORY, MODELS, NIGHTS, TIMEOUT_SECONDS, TRAINED_AS_OF, Running
from tests.servers import daemon_of_the_tests
from tests.servers.docker import DockerDaemon
from tests.templates import template
from tests.unit.flights import at_home, copy_home, empty_template
from tools.embedded import ROOT, EmbeddedAirflow
from tools.landing_zone import lay_out
from tools.ports import reserved_port
from tools.rest import AirflowApi

LOOKS_BETWEEN_REQUESTS = 20
collect_ignore = [] if os.environ.get("EVERGREEN_ALL_SHAPES") else ["test_shapes_in_airflow.py"]  # of .ci/nightly
CHROMIUM = "/usr/bin/chromium"
WITHOUT_MOTION = """
const still = new CSSStyleSheet()
still.replaceSync("*, ::before, ::after { animation: none !important; transition: none !important }")
document.adoptedStyleSheets = [...document.adoptedStyleSheets, still]
"""
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-gpu-rasterization",  # Debian's default, which would be drawn by the processor
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def running(tmp_path_factory):
    """Airflow with three datasets and two models that need few days, all DAGs switched on; gone when the last test here has ended.

    But those of the retraining sensors: their standing runs take a third of each look of the scheduler's, and have a test of their own.
    It has `docker_daemon`, while that is up.
    """
    docker = {}
    if DockerDaemon.why_not() is None:
        docker = {"DOCKER_HOST": daemon_of_the_tests().url, MOUNTS: daemon_of_the_tests().mounts}
    home = copy_home(template(f"history_{HISTORY[0]}_{BACKFILLED[0]}", _make_history), tmp_path_factory.mktemp("home"))
    include = small_include(tmp_path_factory.mktemp("include"))
    before = dict(os.environ)
    os.environ.update(EVERGREEN_HOME=str(home), EVERGREEN_INCLUDE=str(include))
    try:
        with reserved_port() as port, EmbeddedAirflow(home, port=port, environment=docker) as airflow:
            api = airflow.api()
            wait_for_dags(api, 19)
            for dag_id in api.dag_ids():
                api.pause(dag_id, paused=dag_id.endswith(".retrain"))
            yield Running(airflow, api, home, include)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _make_history(home: Path) -> None:
    """The source's year, of which the days before those that Airflow backfills are ingested."""
    with at_home(copy_home(empty_template(), home)):
        shutil.copytree(template("year", lay_out), home / "landing")
        for dataset in map(Catalog().dataset, DATASETS):
            for day in HISTORY:
                if day < BACKFILLED[0]:
                    ingest(dataset, day, "live")


def small_include(folder: Path) -> Path:
    """The shipped datasets and models, trained on days rather than weeks so that nine days are enough, with a gate that they pass."""
    for kind in ("datasets", "models"):
        shutil.copytree(ROOT / "include" / kind, folder / kind, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.glob("models/*/model.yaml"):
        model = yaml.safe_load(path.read_text())
        metric, bound = ("auc", {"at_least": 0.4}) if model["task"] == "classification" else ("mae", {"at_most": 1000})
        worst = {"kind": "slices", "by": "origin", "judge": "worst", "metric": metric, "min_rows": 30, **bound}
        model["train"] |= {"window": "10 days", "min_history": "3 days", "holdout": "2 days"}
        model["gate"] = {"criteria": [{"kind": "absolute", "metric": metric, **bound}, worst]}
        path.write_text(yaml.safe_dump(model, sort_keys=False))
    return folder


def declare_again(running: Running, model: str, text: str, parsed: Callable[[list[dict]], bool]) -> None:
    """Write a model's declaration, and have its DAGs parsed now rather than in two minutes, until the training's tasks are so."""
    (running.include / "models" / model / "model.yaml").write_text(text)
    looks, deadline = itertools.count(), time.monotonic() + TIMEOUT_SECONDS
    while not parsed(running.api.get(f"dags/{model}.train/tasks")["tasks"]):
        assert time.monotonic() < deadline, f"{model}.train was not parsed again"
        if next(looks) % LOOKS_BETWEEN_REQUESTS == 0:
            with contextlib.suppress(ConfigError, TransientError):  # the request before still stands; or SQLite is locked for long
                running.api.parse_again(f"{model}.train")
        time.sleep(0.5)


def wait_for_dags(api: AirflowApi, count: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(api.dag_ids()) < count:
        assert not api.import_errors(), api.import_errors()
        assert time.monotonic() < deadline, api.dag_ids()
        time.sleep(0.3)


@pytest.fixture(scope="package")
def ten_days(running):
    """The days up to the eighth of January, both models trained as of the ninth, and two live nights, up to the tenth."""
    for dataset in DATASETS:
        running.api.backfill(f"{dataset}.ingest", str(BACKFILLED[0]), str(BACKFILLED[-1]))
    running.settle(lambda: all(len(current_partitions(name)) == len(HISTORY) for name in DATASETS))
    for model in MODELS:
        running.api.trigger(f"{model}.train", conf={"as_of": str(TRAINED_AS_OF)})
    running.settle()
    for night in NIGHTS:
        running.api.trigger("schedules.ingest", partition_key=str(night))
        if night > NIGHTS[0]:
            for dataset in ("weather", "outcomes"):
                running.api.trigger(f"{dataset}.ingest", partition_key=str(DAILY.shift(night, -1)))
        running.settle()
    assert running.failures() == []
    running.serving_tasks = running.tasks_of("score", "monitor")
    return running


@pytest.fixture(scope="module")
def browse():
    """Contexts of headless Chromium, as Debian packages it, in which nothing moves: an open page of Airflow's draws 40 times a second.

    Not for the whole session: Playwright's event loop would stay in the way.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)

        def browse(base_url, **options):
            context = chromium.new_context(base_url=base_url, viewport={"width": 1400, "height": 1200}, reduced_motion="reduce", **options)
            context.add_init_script(WITHOUT_MOTION)
            return context

        yield browse
        chromium.close()
