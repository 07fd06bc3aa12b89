"""Six shapes of docs/guides/shapes.md in one real Airflow: their partitions are backfilled, scored, watched and trained on.

Minutes of an Airflow of its own: `.ci/nightly` runs it, and `make test` has one model of hours (test_your_own_model.py).
"""

import datetime as dt
import shutil
import time
from zoneinfo import ZoneInfo

import pytest

from include.evergreen.config import Catalog
from include.evergreen.monitoring import list_observations
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.registry.champions import champion
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.state.database import migrate
from include.evergreen.state.mlflow_store import prepare_store
from tests.integration.conftest import wait_for_dags
from tests.shapes.living import FOLDER, Living
from tests.unit.flights import at_home
from tools.embedded import EmbeddedAirflow
from tools.ports import reserved_port

SHAPES = ("days_of_new_york", "half_hours", "late_labels", "rows_the_morning_after", "shifts_of_a_plant", "weekly_demand")
TIMEOUT_SECONDS = 600


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    """An Airflow over the declarations of all six, each with a champion that the command line has made."""
    home, include = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("include")
    for name in SHAPES:
        shutil.copytree(FOLDER / name, include, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "data.py"))
    with at_home(home), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_INCLUDE", str(include))
        migrate()
        prepare_store()
        for name in SHAPES:
            shape = Living(name)
            as_of = shape.first_as_of()
            shape.deliver_all(max(shape.model.grain.start(as_of), shape.model.moment(as_of)))
            run_cycle(shape.catalog, shape.model, as_of, reason="the first", actor="a person")
        catalog = Catalog(include)
        with reserved_port() as port, EmbeddedAirflow(home, port=port) as airflow:
            api = airflow.api()
            wait_for_dags(api, len(catalog.dataset_names()) + 6 * len(SHAPES) + 4)
            for dag_id in api.dag_ids():
                api.pause(dag_id, paused=False)
            yield api


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_backfilled_scored_watched_and_trained_again(airflow, name):
    shape = Living(name)
    model, grain = shape.model, shape.model.grain
    before = champion(model.name)
    following = grain.shift(before.as_of, 1)
    metric = f"performance.{model.gate.criteria[0].metric}"
    for dataset, first, last in shape.land(following):
        ends = dataset.grain.start(first), dataset.grain.end(last) - dt.timedelta(minutes=1)
        airflow.backfill(f"{dataset.name}.ingest", *(told_as_in_the_form(dataset, each) for each in ends))
    wait_until(lambda: find_predictions(model.name, following), f"{name}: scoring of {following}")
    wait_until(lambda: list_observations(model.name, metric, following, following), f"{name}: {metric} of {following}")
    assert airflow.runs(f"{model.name}.score", partition_key=following)

    airflow.trigger(f"{model.name}.train", conf={"as_of": following})
    wait_until(lambda: not airflow.runs(f"{model.name}.train", state=["queued", "running"]), f"{name}: the training's end")
    (run,) = airflow.runs(f"{model.name}.train")
    assert (run["state"], champion(model.name).as_of) == ("success", following)


def told_as_in_the_form(dataset, moment):
    """By the clock of the schedule's time zone, which Airflow reads there whatever zone it is written with."""
    return f"{moment.astimezone(ZoneInfo(dataset.schedule.timezone)):%Y-%m-%dT%H:%M:%SZ}"


def wait_until(condition, what):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.5)
