"""Airflow's forms, filled in as people do."""

import datetime as dt
import re
from urllib.parse import urlsplit

from playwright.sync_api import TimeoutError as NotShownError

from include.evergreen.foundation.grain import DAILY

LOADS = 3
CLICKS = 10
SHOWN_WITHIN_MS = 10_000
TO_ANOTHER_VIEW = "path => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate', {state: {}})) }"


def go(page, path):
    """To a view of the UI: as its own links go there where it is open, for all of it to load anew takes two seconds of a processor."""
    if not urlsplit(page.url).path.startswith(("/dags", "/plugin")):
        page.goto(path)
        return
    _set_state(page, "active")
    page.evaluate(TO_ANOTHER_VIEW, path)


def leave(page):
    """A page that shows runs asks and draws for as long as it is open: until `go` it does nothing. Only where nothing waits in it."""
    if page.get_by_role("dialog").count():
        page.goto("about:blank")
    _set_state(page, "frozen")


def _set_state(page, state):
    session = page.context.new_cdp_session(page)
    session.send("Page.setWebLifecycleState", {"state": state})
    session.detach()


def open_form(page, dag_id):
    """The form behind *Trigger*. A page that met a locked SQLite stays without it, and is loaded again, as people do."""
    button = page.get_by_test_id("trigger-dag-button")
    go(page, f"/dags/{dag_id}")
    page.get_by_role("heading", name=dag_id).wait_for()
    for left in reversed(range(LOADS)):
        try:
            button.click()
            break
        except NotShownError:
            if not left:
                raise
            page.goto(f"/dags/{dag_id}")
    return page.locator("[role=dialog][aria-modal=true]")


def run_backfill(page, dag_id, first, last, *, again=False):
    """Backfill from ``first`` to ``last`` (dates, both included); ``again``: also what ran before."""
    form = open_form(page, dag_id)
    form.get_by_text("Backfill", exact=True).click()
    for day in map(dt.date.fromisoformat, (first, last)):
        form.get_by_text("Select date and time").first.click()
        field = page.get_by_placeholder("YYYY/MM/DD").locator("visible=true")
        field.fill(f"{day:%Y/%m/%d}")
        field.press("Enter")
        form.get_by_text(f"{day:%b %d, %Y}").first.wait_for()  # of one day alone, both ends
        page.keyboard.press("Escape")
        field.wait_for(state="hidden")
    if again:
        form.get_by_text("All Runs", exact=True).click()
    form.get_by_text(re.compile(rf"\b{(DAILY.number(last) - DAILY.number(first)) + 1} runs? will be triggered")).wait_for()
    press(page, form.get_by_role("button", name="Run Backfill"), "/backfills")
    leave(page)


def run_training(page, dag_id, as_of):
    """Of a model without a schedule, whose form asks for the day."""
    form = open_form(page, dag_id)
    form.locator("input[name=element_as_of]").fill(str(as_of))
    _trigger(page, form)


def run_scheduled_training(page, dag_id, as_of):
    """Of a model that trains on a schedule: the run's partition key says as of which day."""
    for left in reversed(range(LOADS)):
        form = open_form(page, dag_id)
        form.get_by_text("Advanced Options", exact=True).click()
        try:
            form.locator("input[name=partitionKey]").fill(str(as_of), timeout=SHOWN_WITHIN_MS)
            break
        except NotShownError:  # as above
            if not left:
                raise
            page.goto("about:blank")
    _trigger(page, form)


def _trigger(page, form):
    press(page, form.get_by_role("button", name="Trigger", exact=True), "/dagRuns")
    leave(page)


def press(page, button, path):
    """Click until Airflow has taken it: SQLite may be locked, which answers with an error of the server's, and the form stays open."""
    for _ in range(CLICKS):
        with page.expect_response(lambda answer: answer.request.method == "POST" and answer.url.endswith(path)) as answer:
            button.click()
        if answer.value.status < 500:
            break
    assert answer.value.ok, answer.value.text()
    button.wait_for(state="hidden")  # the form closes itself; a view that is left with a form open has to be loaded anew
