"""The main job is about the example alone, whatever a team has declared, runs and breaks beside it."""

import io

import pytest
from rich.console import Console

from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.state.database import migrate
from tests.tools.fake_airflow import FakeApi
from tools import story as story_module
from tools.dags import expected_dags, list_dag_ids
from tools.example import DATASETS, MODELS, require_example
from tools.landing_zone import COLUMNS
from tools.progress import Progress
from tools.story import HISTORY, Story, StoryError
from tools.summary import print_summary

OWN = list_dag_ids(["census"], ["income"])


@pytest.fixture
def ingested(monkeypatch):
    """The partitions that stand, by dataset: none, until a test says otherwise."""
    found = {}
    monkeypatch.setattr(story_module, "POLL_SECONDS", 0)
    monkeypatch.setattr(story_module, "current_partitions", lambda name, first, last: found.get(name, []))
    return found


def told(tmp_path, api):
    return Story(api, tmp_path, Progress(Console(file=io.StringIO())), lambda: None)


def test_it_switches_on_the_example_s_dags_and_no_other(own_beside, tmp_path):
    api = FakeApi(expected_dags(Catalog()))
    assert api.dags > OWN
    told(tmp_path, api).wait_for_dags()
    assert api.dags - api.paused == list_dag_ids(DATASETS, MODELS) | {"evergreen.rescore"}


def test_a_dag_file_of_one_s_own_that_is_broken_does_not_end_it(own_beside, tmp_path, monkeypatch):
    monkeypatch.setattr(story_module, "POLL_SECONDS", 0)
    api = FakeApi(expected_dags(Catalog()) - {"weather.ingest"}, broken_files=["our_reports.py"])

    def read_now():
        api.dags.add("weather.ingest")

    Story(api, tmp_path, Progress(Console(file=io.StringIO())), read_now).wait_for_dags()
    api.dags.discard("weather.ingest")
    api.broken_files = ["datasets.py"]
    with pytest.raises(StoryError, match=r"cannot parse /opt/dags/datasets\.py"):
        told(tmp_path, api).wait_for_dags()


def test_january_is_that_of_the_example_s_datasets(own_beside, tmp_path, ingested):
    api = FakeApi(expected_dags(Catalog()))
    api.backfill = lambda dag_id, first, last: (api.backfilled.append(dag_id), ingested.update({dag_id.removesuffix(".ingest"): HISTORY}))
    told(tmp_path, api).backfill_history()
    assert api.backfilled == [f"{name}.ingest" for name in DATASETS]


def test_runs_of_one_s_own_that_wait_or_fail_neither_hold_it_up_nor_end_it(own_beside, tmp_path, ingested):
    ingested.update(dict.fromkeys(DATASETS[1:], HISTORY))
    api = FakeApi(expected_dags(Catalog()), active=["census.ingest"], failed=["income.score"])
    api.backfill = lambda dag_id, first, last: ingested.update({DATASETS[0]: HISTORY})
    told(tmp_path, api).backfill_history()


def test_a_failure_of_the_example_ends_it_with_the_task_and_its_log(own_beside, tmp_path, ingested):
    api = FakeApi(expected_dags(Catalog()), failed=["income.score", "weather.ingest"])
    with pytest.raises(StoryError, match=r"^weather\.ingest, task fetch for 2024-01-01, failed"):
        told(tmp_path, api).backfill_history()


def test_the_summary_is_of_the_example(own_beside, tmp_path, monkeypatch):
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    migrate()
    console = Console(file=io.StringIO(), width=120)
    print_summary(console, Catalog())
    shown = console.file.getvalue()
    assert all(model in shown for model in MODELS)
    assert "income" not in shown


def test_without_the_example_it_does_not_start_and_says_what_serves_instead(own_beside):
    require_example(Catalog())
    (own_beside / "datasets/weather/dataset.yaml").unlink()
    with pytest.raises(ConfigError, match=r"unknown dataset 'weather'.*\nTo start Airflow for your own declarations, use `make serve`"):
        require_example(Catalog())


def test_the_example_is_what_ships_and_what_is_landed():
    assert set(DATASETS) == set(COLUMNS)
    require_example(Catalog())
