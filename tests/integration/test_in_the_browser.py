"""The UI as people use it: open the pages, trigger, backfill, follow the links."""

import time
from collections import Counter

import pytest

from include.evergreen.monitoring import list_observations
from include.evergreen.registry.champions import champion
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import candidates
from tests.integration.airflow_under_test import MODELS
from tests.integration.forms import go, leave, open_form, press, run_backfill, run_scheduled_training

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
BACKFILLED, READ_BY = ("2013-01-20", "2013-01-21"), ("2013-01-21",)  # who reads outcomes and weather of the day before


@pytest.fixture(scope="module")
def tab(browse, ten_days):
    """A tab of the UI, and the errors of its own that it met."""
    window, errors = browse(ten_days.airflow.url), []
    page = window.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page, errors
    page.close(run_before_unload=True)  # which waits for nothing: Chromium may take minutes to leave a page
    window.close()


@pytest.fixture
def page(tab):
    """The one tab of these tests, in which nothing goes on between them. A test must end without an error of the page's own."""
    page, errors = tab
    yield page
    leave(page)
    met = list(errors)
    errors.clear()
    assert met == []


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.3)


def test_the_list_shows_all_dags_and_no_import_error_and_leads_to_each(page):
    go(page, "/dags")
    page.get_by_text(f"{len(DAGS)} Dags").wait_for()
    assert page.get_by_text("Dag Import Errors").count() == 0
    for dag_id in DAGS:
        assert page.get_by_role("link", name=dag_id, exact=True).first.get_attribute("href") == f"/dags/{dag_id}"
    page.get_by_role("link", name=OF_EACH_KIND[0], exact=True).first.click()
    page.get_by_role("heading", name=OF_EACH_KIND[0]).wait_for()


@pytest.mark.parametrize("dag_id", OF_EACH_KIND)
def test_the_page_of_every_kind_of_dag_opens_and_says_what_the_dag_does(page, dag_id):
    go(page, f"/dags/{dag_id}")
    page.get_by_role("heading", name=dag_id).wait_for()
    page.get_by_role("button", name="Dag Docs").click()
    docs = page.locator("[role=dialog][data-state=open]")
    docs.get_by_role("heading", name=dag_id).last.wait_for()
    page.keyboard.press("Escape")
    docs.wait_for(state="hidden")


@pytest.mark.parametrize("dag_id", DAGS)
def test_every_dag_has_docs_under_its_name(running, dag_id):
    assert running.api.get(f"dags/{dag_id}/details")["doc_md"].lstrip().startswith(f"# {dag_id}\n")


def test_backfills_one_of_them_from_the_form_whose_inputs_come_in_any_order_score_just_the_days_that_read_them_once_and_monitor_them(
    page, ten_days
):
    before = ten_days.tasks_of("score", "monitor")
    for dataset, days in (("schedules", READ_BY), ("weather", BACKFILLED)):  # no schedule of the day that the last would be read by
        ten_days.api.backfill(f"{dataset}.ingest", days[0], days[-1])
    run_backfill(page, "outcomes.ingest", BACKFILLED[0], BACKFILLED[-1])
    expected = {(f"{model}.{stage}", day, "success") for model in MODELS for stage in ("score", "monitor") for day in READ_BY}

    def new_tasks():
        return list((Counter(ten_days.tasks_of("score", "monitor")) - Counter(before)).elements())

    ten_days.settle(lambda: set(new_tasks()) == expected)
    assert set(new_tasks()) == expected
    assert [task for task in new_tasks() if task[0].endswith(".score")] == [
        (f"{model}.score", day, "success") for model in MODELS for day in READ_BY
    ]
    for model in MODELS:
        assert {find_predictions(model, day).origin for day in READ_BY} == {"backfill"}
        metric = {"flight_delay": "performance.auc", "air_time": "performance.mae"}[model]
        observed = [str(each.partition) for each in list_observations(model, metric, BACKFILLED[0])]
        assert observed == list(READ_BY)


def test_training_by_hand_with_a_past_as_of_trains_as_of_that_day_and_promotes_nothing(page, ten_days):
    serving = champion("flight_delay")
    run_scheduled_training(page, "flight_delay.train", "2013-01-06")

    def trained():
        with reading() as connection:
            return connection.execute(candidates.select().where(candidates.c.as_of == "2013-01-06")).first()

    wait_until(trained)
    ten_days.settle()
    (run,) = ten_days.runs_of("flight_delay.train", "2013-01-06")
    assert (run["state"], ten_days.state_of("flight_delay.train", run["dag_run_id"], "train")) == ("success", "success")
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
    go(page, f"/dags/flight_delay.score/runs/{run_id}/tasks/score")
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
    go(page, f"/dags/{dag_id}/runs/{done['dag_run_id']}/tasks/{task_id}/details")
    page.route("**/document", lambda route: route.abort())  # four megabytes, which Chromium would draw for seconds
    drawn = DRAWN_WITHIN_MS if button == "Drift report" else None  # by a process of its own, when it is opened
    with page.expect_response(lambda answer: "/evergreen/dags/" in answer.url and answer.status != 202, timeout=drawn) as opened:
        link = page.get_by_role("link", name=button)
        link.evaluate("link => link.removeAttribute('target')")
        link.click()
    assert opened.value.status == 200
    if words:
        page.get_by_text(words).first.wait_for()
    else:
        assert page.request.get(f"{opened.value.url}/document").status == 200
