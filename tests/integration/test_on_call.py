"""On call in a real browser, against a real Airflow: an alert appears by itself, one click takes it, and everyone else sees that."""

import time
from contextlib import contextmanager

import jwt
import pytest

from include.evergreen.state.alerts import Place, raise_alert, show_alert
from tests.integration.airflow_under_test import TIMEOUT_SECONDS
from tests.integration.forms import go

DAG = "flight_delay.score"
LIVE_MS = 15_000  # until a page shows what has changed
ALERT_MS = 120_000  # until what happened is an alert, or none any more, on a busy machine
BELL_COUNTS = """() => [...document.images].some((image) => /^data:image.svg.*<text/.test(decodeURIComponent(image.src)))"""


def token_of(running, name):
    """The token of somebody with a name: an embedded Airflow itself knows nobody by name."""
    secret = (running.home / "airflow" / "secret").read_text()
    token = running.api.login()
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = {"kid": jwt.get_unverified_header(token)["kid"]}
    return jwt.encode({**claims, "sub": name, "role": "ADMIN"}, secret, algorithm="HS512", headers=headers)


@contextmanager
def browsed_by(browse, running, name):
    context = browse(running.airflow.url, extra_http_headers={"Authorization": f"Bearer {token_of(running, name)}"})
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
    yield page
    context.close()
    assert errors == []


@pytest.fixture(scope="module")
def failed_run(ten_days):
    """A run of a scoring without a day, which fails for good."""
    running = ten_days  # after them, since they allow no failure
    run_id = running.api.trigger(DAG)
    wait_until(lambda: running.state_of(DAG, run_id, "score") == "failed")
    return run_id


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.3)
    return found


def raised(key, run_id, **about):
    place = Place(DAG, "score", "flight_delay", run_id=run_id, try_number=1)
    about = {"severity": "critical", "message": f"The scoring failed ({key})", "model": "flight_delay", "places": [place], **about}
    raise_alert(f"task/{key}", **about)


def frame_of(page):
    return page.frame_locator("iframe[title='On call']")


def test_a_task_fails_its_alert_appears_is_taken_with_one_click_run_again_and_resolves_itself(browse, running, ten_days):
    day, dag_id = "2013-06-08", "outcomes.ingest"
    file = running.home / "landing" / "outcomes" / f"{day}.csv"
    taken = file.rename(file.with_suffix(".away"))
    with browsed_by(browse, running, "ada") as ada, browsed_by(browse, running, "grace") as grace:
        ada.goto("/plugin/on-call")  # in Airflow's frame
        frame_of(ada).get_by_role("heading", name="On call").wait_for()
        grace.goto("/evergreen/alerts")  # on her phone
        run_id = running.api.trigger(dag_id, partition_key=day)
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/fetch"
        ours, theirs = frame_of(ada).locator(".row", has_text=day), grace.locator(".row", has_text=day)
        theirs.wait_for(timeout=ALERT_MS)
        ours.wait_for(timeout=ALERT_MS)
        ada.wait_for_function(BELL_COUNTS, timeout=ALERT_MS, polling=500)
        running.api.patch(path, {"note": "I look at it tomorrow. Bo"})

        ours.get_by_role("button", name="Acknowledge").click()
        ours.get_by_text("acknowledged", exact=True).wait_for()
        theirs.get_by_text("ada", exact=True).wait_for(timeout=LIVE_MS)
        assert theirs.get_by_role("button").count() == 0
        number = int(theirs.get_attribute("data-key"))
        assert (show_alert(number).alert.state, show_alert(number).alert.assignee) == ("acknowledged", "ada")
        note = wait_until(lambda: "acknowledged" in (running.api.get(path)["note"] or "") and running.api.get(path)["note"])
        assert note.startswith(f"I look at it tomorrow. Bo\n[Evergreen alert {number}] ")
        assert note.endswith("acknowledged by ada") and note.count("\n") == 1

        go(ada, f"/dags/{dag_id}/runs/{run_id}/plugin/run-alerts")  # the run's own tab
        tab = ada.frame_locator("iframe[title='Alerts']")
        tab.locator(".row").get_by_role("link").click()
        tab.get_by_text(f"{day}.csv").first.wait_for()
        taken.rename(file)
        tab.get_by_role("button", name="Clear and run again").click()
        dialog = tab.get_by_role("dialog")
        dialog.get_by_text(run_id).first.wait_for()
        assert running.api.get(path)["try_number"] == 1, "it asks first"
        dialog.get_by_role("button", name="Clear and run again").click()
        tab.locator(".timeline").get_by_text("Cleared").first.wait_for()
        tab.locator(".facts").get_by_text("by itself").wait_for(timeout=ALERT_MS)
        theirs.wait_for(state="detached", timeout=LIVE_MS)
        assert running.api.get(path)["state"] == "success"

        tab.get_by_role("link", name="Log").click()  # which is Airflow's, so it leaves the frame
        ada.wait_for_url(f"**/dags/{dag_id}/runs/**/tasks/fetch**")
    events = [(event.kind, event.actor) for event in show_alert(number).events]
    assert events == [("raised", ""), ("acknowledged", "ada"), ("commented", "ada"), ("resolved", "")]
    running.settle()


def test_whoever_acts_on_what_is_no_longer_so_is_told_who_was_faster(browse, running, failed_run):
    raised("second", failed_run)
    with browsed_by(browse, running, "ada") as ada, browsed_by(browse, running, "grace") as grace:
        for page in (ada, grace):
            page.goto("/evergreen/alerts?text=second")
        grace.route("**/evergreen/alerts?*", lambda route: route.abort())  # hers is not told of what follows
        ada.get_by_role("button", name="Acknowledge").last.click()
        ada.locator(".row").get_by_text("acknowledged", exact=True).wait_for()
        grace.locator(".row").get_by_role("button", name="Acknowledge").click()
        grace.get_by_text("ada acknowledged it").wait_for()


def test_several_are_taken_at_once_by_keyboard_and_keep_their_selection_while_the_list_changes(browse, running, failed_run):
    for key in ("third-a", "third-b", "third-c"):
        raised(key, failed_run, severity="warning")
    with browsed_by(browse, running, "ada") as ada:
        ada.goto("/evergreen/alerts")
        ada.keyboard.press("/")
        ada.keyboard.type("third-")
        ada.wait_for_url("**text=third-*")
        ada.locator(".row").nth(2).wait_for()
        ada.keyboard.press("Escape")
        for key in "jxjx":
            ada.keyboard.press(key)
        ada.get_by_text("2 selected").wait_for()
        raised("third-d", failed_run, severity="warning")  # above them all
        ada.locator(".row").nth(3).wait_for(timeout=LIVE_MS)
        assert ada.get_by_text("2 selected").is_visible() and ada.locator(".row input:checked").count() == 2
        ada.keyboard.press("a")
        ada.get_by_text("2 alerts are acknowledged.").wait_for()
        ada.locator(".row.acknowledged").nth(1).wait_for()  # the list comes after the message
        assert ada.locator(".row.acknowledged").count() == 2
