"""The UI as people use it: open the pages, trigger, backfill, follow the links."""

import time
from contextlib import contextmanager

import pytest

from include.evergreen.registry.champions import champion
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import candidates
from tests.integration.airflow_under_test import MODELS
from tests.integration.forms import leave, open_form, press, run_backfill, run_scheduled_training

DRAWN_WITHIN_MS = 180_000
DAGS = (
    [f"{dataset}.ingest" for dataset in ("outcomes", "schedules", "weather")]
    + [
        f"{model}.{stage}"
        for model in ("air_time", "flight_delay")
        for stage in ("train", "score", "monitor", "retrain", "approve", "promote")
    ]
    + ["evergreen.rescore", "evergreen.maintenance", "evergreen.audit", "evergreen.pause"]
)

OF_EACH_KIND = [dag_id for dag_id in DAGS if dag_id.startswith(("weather.", "flight_delay.", "evergreen."))]
READ_BY = ("2013-01-21", "2013-01-22")  # by whom the outcomes of the day before are


@pytest.fixture(scope="module")
def window(browser, ten_days):
    """Whose pages share what the browser has loaded of the UI."""
    window = browser.new_context(base_url=ten_days.airflow.url, viewport={"width": 1400, "height": 1200}, reduced_motion="reduce")
    yield window
    window.close()


@pytest.fixture
def page(window):
    """A new page of the UI, which must end without an error of its own."""
    with opened(window) as page:
        yield page


@pytest.fixture(scope="class")
def the_list(window):
    """The list of all DAGs, from which people go to one and come back."""
    with opened(window) as page:
        yield page


@contextmanager
def opened(window):
    page = window.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close(run_before_unload=True)  # which waits for nothing: Chromium may take minutes to leave a report of four megabytes
    assert errors == []


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.3)


class TestThoseWhoGoFromDagToDag:  # a class, so that their list is closed after the last of them: an open one asks and draws all the time
    def test_the_list_shows_all_dags_and_no_import_error(self, the_list):
        the_list.goto("/dags")
        the_list.get_by_text(f"{len(DAGS)} Dags").wait_for()
        assert the_list.get_by_text("Dag Import Errors").count() == 0

    @pytest.mark.parametrize("dag_id", OF_EACH_KIND)
    def test_the_page_of_every_kind_of_dag_opens_and_says_what_the_dag_does(self, the_list, dag_id):
        if not the_list.url.endswith("/dags"):
            the_list.goto("/dags")
        the_list.get_by_role("link", name=dag_id, exact=True).first.click()
        the_list.get_by_role("heading", name=dag_id).wait_for()
        the_list.get_by_role("button", name="Dag Docs").click()
        docs = the_list.locator("[role=dialog][data-state=open]")
        docs.get_by_role("heading", name=dag_id).last.wait_for()
        the_list.keyboard.press("Escape")
        docs.wait_for(state="hidden")
        the_list.go_back()


@pytest.mark.parametrize("dag_id", DAGS)
def test_every_dag_has_docs_under_its_name(running, dag_id):
    assert running.api.get(f"dags/{dag_id}/details")["doc_md"].lstrip().startswith(f"# {dag_id}\n")


def test_a_backfill_from_the_form_cascades_to_scoring_and_monitoring_for_just_the_days_that_read_it(page, ten_days):
    ten_days.backfill("schedules", "2013-01-21", "2013-01-22")
    ten_days.backfill("weather", "2013-01-20", "2013-01-21")
    before = ten_days.tasks_of("score", "monitor")
    run_backfill(page, "outcomes.ingest", "2013-01-20", "2013-01-21")

    def new_tasks():
        return {task for task in ten_days.tasks_of("score", "monitor") if task not in before}

    expected = {(f"{model}.{stage}", day, "success") for model in MODELS for stage in ("score", "monitor") for day in READ_BY}
    ten_days.settle(lambda: new_tasks() == expected)
    assert new_tasks() == expected


def test_training_by_hand_with_a_past_as_of_trains_as_of_that_day_and_promotes_nothing(page, ten_days):
    serving = champion("flight_delay")
    run_scheduled_training(page, "flight_delay.train", "2013-01-06")

    def trained():
        with reading() as connection:
            return connection.execute(candidates.select().where(candidates.c.as_of == "2013-01-06")).first()

    wait_until(trained)
    ten_days.settle()
    assert champion("flight_delay") == serving


def test_a_run_without_a_partition_key_is_red_and_its_log_says_what_to_do(page, ten_days):
    query = "SELECT run_id FROM dag_run WHERE dag_id = 'flight_delay.score' AND partition_key IS NULL AND state = 'failed'"
    before = ten_days.look(query)

    def without_key():
        return [each for each in ten_days.look(query) if each not in before]

    form = open_form(page, "flight_delay.score")
    press(page, form.get_by_role("button", name="Trigger", exact=True), "/dagRuns")
    leave(page)
    wait_until(without_key)
    ((run_id,),) = without_key()
    page.goto(f"/dags/flight_delay.score/runs/{run_id}/tasks/score")
    page.get_by_text("Trigger it again with a partition key such as 2013-02-09").first.wait_for()


@pytest.mark.parametrize(
    ("dag_id", "task_id", "button", "words"),
    [
        ("weather.ingest", "validate", "Validation result", "expect_column_values_to_be_between"),
        ("flight_delay.monitor", "monitor", "Drift report", None),
    ],
)
def test_the_links_of_a_task_open_what_they_name(page, ten_days, dag_id, task_id, button, words):
    done = next(task for task in ten_days.api.task_instances(dag_id, state="success") if task["task_id"] == task_id)
    page.goto(f"/dags/{dag_id}/runs/{done['dag_run_id']}/tasks/{task_id}/details")
    drawn = DRAWN_WITHIN_MS if button == "Drift report" else None  # by a process of its own, when it is opened
    with page.expect_response(lambda answer: "/evergreen/dags/" in answer.url and answer.status != 202, timeout=drawn) as opened:
        link = page.get_by_role("link", name=button)
        link.evaluate("link => link.removeAttribute('target')")
        link.click()
    assert opened.value.status == 200
    if words:
        page.get_by_text(words).first.wait_for()
