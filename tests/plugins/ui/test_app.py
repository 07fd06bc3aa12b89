from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.evergreen.data.validation import record_validation
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY, parse_any
from include.evergreen.monitoring.overview import Bar, ColumnOverview, WindowOverview
from include.evergreen.monitoring.verdicts import ColumnVerdict
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import reports
from include.evergreen.state.stage_status import record_stage

if TYPE_CHECKING:
    from fastapi.routing import APIRoute
    from fastapi.testclient import TestClient

    from tests.plugins.conftest import LogIn

pytestmark = pytest.mark.usefixtures("home")
DAY = "2013-02-09"
VALIDATION = f"/evergreen/dags/weather.ingest/validations/{DAY}"
REPORT = f"/evergreen/dags/flight_delay.monitor/reports/{DAY}"
WINDOW = f"/evergreen/dags/flight_delay.monitor/windows/{DAY}"
DOCUMENT = f"{REPORT}/document"


def check(**changes: Any) -> dict[str, Any]:
    return {
        "expectation": "expect_column_values_to_be_between",
        "arguments": {"column": "temp", "min_value": -40, "max_value": 120},
        "on_fail": "quarantine",
        "passed": True,
        "failed_rows": 0,
        "observed": "",
        "examples": [],
        **changes,
    }


def record(dataset: str = "weather", **changes: Any) -> None:
    found = {"verdict": "passed", "reason": "all 1 checks passed", "rows": 72, "quarantined": 0, "checks": [check()], **changes}
    record_validation(dataset, DAY, "d1935t", found)


def store_report(html: str, model: str = "flight_delay") -> None:
    path = f"reports/{model}/{DAY}/aaaa.html"
    storage.write_bytes(path, html.encode())
    forget_file(path, model)


def forget_file(path: str, model: str = "flight_delay") -> None:
    """Record a report without writing its file."""
    with writing() as connection:
        values = {"model": model, "partition": DAY, "path": path, "input_digest": "x", "recorded_at": clock.now()}
        connection.execute(reports.insert().values(**values))


def our_routes() -> list[APIRoute]:
    from fastapi.routing import APIRoute

    from evergreen_airflow.ui.app import create_app

    routes = create_app().routes
    assert all(isinstance(route, APIRoute) for route in routes), "something is mounted that this file does not check"
    return [route for route in routes if isinstance(route, APIRoute)]


# --- who may see what -----------------------------------------------------------------------------------------------


def test_every_route_refuses_an_anonymous_visitor(anonymous: TestClient) -> None:
    record()
    store_report("<p>secret</p>")
    routes = our_routes()
    assert len(routes) >= 2
    for route in routes:
        for subject in ("weather.ingest", "flight_delay.monitor", "~"):
            path = route.path.format(dag_id=subject, partition=DAY, version=1, alert_id=1, kind="task", name="frame.js")
            for method in route.methods:
                answer = anonymous.request(method, f"/evergreen{path}")
                assert answer.status_code == 401, f"{method} {path}"
                assert "secret" not in answer.text


def test_a_visitor_who_is_not_logged_in_is_shown_the_way_to_the_login_and_back(anonymous: TestClient) -> None:
    answer = anonymous.get(VALIDATION)
    assert "You are not logged in" in answer.text
    assert f'href="/api/v2/auth/login?next={VALIDATION.replace("/", "%2F")}"' in answer.text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"])
def test_the_routes_are_documented_to_nobody(anonymous: TestClient, reader: TestClient, path: str) -> None:
    assert anonymous.get(f"/evergreen{path}").status_code == 404
    assert reader.get(f"/evergreen{path}").status_code == 404


@pytest.mark.parametrize("path", [VALIDATION, REPORT, DOCUMENT])
def test_a_user_without_the_permission_to_read_dags_is_refused(log_in: LogIn, path: str) -> None:
    record()
    store_report("<p>secret</p>")
    answer = log_in(None).get(path)
    assert answer.status_code == 403
    assert "You do not have access to this DAG" in answer.text
    assert "secret" not in answer.text


def test_airflow_is_asked_about_the_very_dag_of_the_page(reader: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", lambda *, details, **_: details.id == "weather.ingest")
    record("weather")
    record("outcomes")
    assert reader.get(VALIDATION).status_code == 200
    assert reader.get(f"/evergreen/dags/outcomes.ingest/validations/{DAY}").status_code == 403
    assert reader.get(f"{VALIDATION.replace('weather', 'outcomes')}?dag_id=weather.ingest").status_code == 403


@pytest.mark.parametrize("path", [VALIDATION, REPORT, DOCUMENT])
def test_a_page_is_read_only(reader: TestClient, path: str) -> None:
    assert reader.post(path, json={}).status_code == 405


# --- the page of a validation ---------------------------------------------------------------------------------------


def test_a_validation_shows_verdict_counts_and_every_check(reader: TestClient) -> None:
    failed = check(passed=False, failed_rows=1234, examples=["130.5", "131.0"])
    rows = check(expectation="expect_table_row_count_to_be_between", on_fail="error", failed_rows=None, observed="73000", arguments={})
    record(verdict="quarantined", rows=71766, quarantined=1234, checks=[rows, failed])
    page = reader.get(VALIDATION)
    assert page.status_code == 200
    for shown in ("Rows quarantined", "73,000", "71,766", "1,234", "1 of 2", "weather, 2013-02-09"):
        assert shown in page.text
    for shown in ("expect_column_values_to_be_between", "min_value: -40", "quarantine the rows", "130.5", "131.0"):
        assert shown in page.text
    for shown in ("expect_table_row_count_to_be_between", "stop the partition", "73000", "d1935t", "UTC"):
        assert shown in page.text
    assert page.text.index("130.5") < page.text.index("expect_table_row_count"), "failed checks come first"
    assert 'href="/dags/weather.ingest"' in page.text


@pytest.mark.parametrize(
    ("verdict", "tone", "words"),
    [
        ("passed", "good", "Every row was accepted."),
        ("warned", "fair", "but a check failed"),
        ("quarantined", "fair", "were quarantined, each with its reason"),
        ("stopped", "bad", "This partition was not published"),
    ],
)
def test_a_verdict_is_said_in_words_and_colour(reader: TestClient, verdict: str, tone: str, words: str) -> None:
    record(verdict=verdict)
    page = reader.get(VALIDATION).text
    assert f'class="panel {tone}"' in page
    assert words in page


def test_a_stopped_partition_says_why_and_claims_no_accepted_row(reader: TestClient) -> None:
    record(verdict="stopped", reason="40 of 72 rows fail, which is more than allowed", rows=32, quarantined=40)
    page = reader.get(VALIDATION).text
    assert "40 of 72 rows fail, which is more than allowed" in page
    assert "rows accepted" not in page
    assert "valid rows" in page


def validated(days: int, **changes: Any) -> None:
    """The partitions before `DAY`, of which the n-th last has n quarantined rows."""
    for ago in range(days, 0, -1):
        day = DAILY.shift(DAY, -ago)
        found = {"verdict": "quarantined", "reason": "", "rows": 72 - ago, "quarantined": ago, "checks": [check()], **changes}
        record_validation("weather", day, "d1935t", found)


def test_a_partition_is_shown_beside_the_thirty_before_it_each_a_link_to_its_own_page(reader: TestClient) -> None:
    validated(33)
    record_validation("outcomes", DAILY.shift(DAY, -1), "x", {"verdict": "passed", "reason": "", "rows": 1, "quarantined": 0, "checks": []})
    record(rows=70, quarantined=2)
    page = reader.get(VALIDATION).text
    assert page.count('<rect class="bar') == 2 * 31, "valid and invalid rows; no check failed"
    assert page.count('<rect class="bar here"') == 2
    assert "70 in this partition; the median of the 30 previous partitions is 56.5" in page
    assert "2 in this partition; the median of the 30 previous partitions is 15.5" in page
    assert 'aria-label="2013-01-10: 30"' in page
    assert "2013-01-09" not in page, "that is the 31st before"
    assert page.count('aria-current="page"') == 2
    assert reader.get(VALIDATION.replace("2013-02-09", "2013-01-10")).status_code == 200, "where the first bar leads"


def test_the_neighbouring_partitions_are_one_click_away(reader: TestClient) -> None:
    validated(1)
    record()
    page = reader.get(VALIDATION).text
    assert '<a rel="prev" href="2013-02-08">' in page
    assert 'rel="next"' not in page
    before = reader.get(VALIDATION.replace("2013-02-09", "2013-02-08")).text
    assert '<a rel="next" href="2013-02-09">' in before
    assert 'rel="prev"' not in before


def test_a_check_that_failed_shows_when_it_failed_before(reader: TestClient) -> None:
    failed = check(passed=False, status="failed", failed_rows=7)
    validated(3, checks=[failed, check(arguments={"column": "wind_speed"})])
    whole = check(passed=False, status="failed", failed_rows=None, expectation="volume", arguments={}, observed="72 rows")
    record(
        verdict="quarantined",
        checks=[check(passed=False, status="failed", failed_rows=9), whole, check(arguments={"column": "wind_speed"})],
    )
    page = reader.get(VALIDATION).text
    assert page.count('<svg class="spark"') == 2, "none for the check that passed"
    assert 'aria-label="Failed rows: 9 in this partition; the median of the 3 previous partitions is 7"' in page
    assert 'aria-label="Failed: 1 in this partition; the median of the 3 previous partitions is 0"' in page


def test_a_check_that_was_not_evaluated_says_why_and_counts_as_neither(reader: TestClient) -> None:
    skipped = check(status="not_evaluated", passed=True, failed_rows=None, expectation="reference", observed="airports has no partition")
    record(checks=[check(status="passed"), skipped])
    page = reader.get(VALIDATION).text
    assert "<strong>not evaluated</strong>" in page
    assert "airports has no partition" in page
    assert "0 of 2" in page
    assert "checks not evaluated" in page


def test_a_partition_that_was_stopped_is_drawn_hollow(reader: TestClient) -> None:
    validated(2, verdict="stopped")
    record()
    page = reader.get(VALIDATION).text
    assert page.count('<rect class="bar hollow"') == 4
    assert "2013-02-08: 71 (stopped)" in page


def test_the_first_partition_has_no_charts_and_one_without_rows_is_drawn_too(reader: TestClient) -> None:
    record(rows=0)
    assert "No earlier partition was validated." in reader.get(VALIDATION).text
    assert "<svg" not in reader.get(VALIDATION).text
    validated(2, rows=0, quarantined=0)
    assert "0 in this partition; the median of the 2 previous partitions is 0" in reader.get(VALIDATION).text


def test_a_chart_has_words_for_those_who_do_not_see_it(reader: TestClient) -> None:
    validated(2)
    record()
    page = reader.get(VALIDATION).text
    for number in (1, 2):
        assert f'aria-labelledby="chart-{number}-title chart-{number}-desc"' in page
        assert f'<title id="chart-{number}-title">' in page
        assert f'<desc id="chart-{number}-desc">' in page
    assert "style=" not in page, "the policy would ignore it"


def test_one_row_among_many_is_still_seen() -> None:
    from evergreen_airflow.ui.history import Chart, Point

    chart = Chart("rows", [Point(DAY, 1_000_000), Point(DAY, 1), Point(DAY, 0)])
    assert [bar.height for bar in chart.bars] == [120.0, 2.0, 0.0]


def test_whatever_the_data_holds_is_shown_as_text(reader: TestClient) -> None:
    evil = "<script>alert(1)</script>"
    tampered = check(passed=False, examples=[evil], observed=f'"{evil}', arguments={evil: evil}, expectation=evil, on_fail=f"'{evil}")
    validated(2, checks=[tampered])
    record(verdict="stopped", reason=evil, checks=[tampered])
    page = reader.get(VALIDATION)
    assert re.findall(r"<script[^>]*>", page.text.lower()) == [own_script(page)]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


def own_script(page: Any) -> str:
    """The only one that a page has: under the nonce of its policy, from ourselves."""
    [nonce] = re.findall(r"script-src 'nonce-([\w-]+)'", page.headers["content-security-policy"])
    [path] = re.findall(r'src="(/evergreen/static/frame\.js\?v=\w+)"', page.text)
    return f'<script nonce="{nonce}" src="{path}">'.lower()


def test_no_other_script_than_our_own_could_run_on_a_page_even_so(reader: TestClient) -> None:
    record()
    for path in (VALIDATION, f"/evergreen/dags/weather.ingest/validations/{DAY}1"):
        policy = reader.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert re.search(r"script-src 'nonce-[\w-]{20,}';", policy), "its own, under a nonce that is new each time"
        assert "connect-src 'none'" in policy
        assert "unsafe" not in policy


def test_what_an_address_holds_is_shown_as_text(reader: TestClient) -> None:
    page = reader.get("/evergreen/dags/%3Cscript%3E.ingest/validations/%3Cscript%3E")
    assert page.status_code == 400
    assert re.findall(r"<script[^>]*>", page.text.lower()) == [own_script(page)]
    assert 'href="/dags/%3Cscript%3E.ingest"' in page.text


def test_a_partition_that_was_never_validated_says_what_to_do(reader: TestClient) -> None:
    record("outcomes")
    page = reader.get(VALIDATION)
    assert page.status_code == 404
    assert "No validation of weather for 2013-02-09 yet" in page.text
    assert "trigger the DAG with the partition key 2013-02-09" in page.text


@pytest.mark.parametrize("partition", ["2013-2-9", "2013-02-30", "junk; drop table", "2013-02-09T00:00", "..%2f..", "²013-02-09"])
@pytest.mark.parametrize("page", [VALIDATION, REPORT])
def test_a_mangled_partition_is_refused(reader: TestClient, page: str, partition: str) -> None:
    answer = reader.get(page.replace(str(DAY), partition))
    assert answer.status_code in ({404} if "%2f" in partition else {400})
    assert "not a date" in answer.text or answer.status_code == 404


@pytest.mark.parametrize("dag_id", ["flight_delay.monitor", "weather", ".ingest", "weather.train", "evergreen.maintenance", "~"])
def test_a_dag_that_ingests_nothing_has_no_validations(reader: TestClient, dag_id: str) -> None:
    record()
    answer = reader.get(VALIDATION.replace("weather.ingest", dag_id))
    assert answer.status_code == 404
    assert "is not the ingest DAG of a dataset" in answer.text


# --- the report -----------------------------------------------------------------------------------------------------


def test_a_report_has_the_frame_of_all_pages_around_it(reader: TestClient) -> None:
    store_report("<html>its own</html>")
    page = reader.get(REPORT)
    assert page.status_code == 200
    assert f'<iframe src="{DAY}/document" sandbox="allow-scripts"' in page.text and "its own" not in page.text
    assert 'aria-label="Evergreen"' in page.text and 'href="/evergreen/dags/flight_delay.train/versions"' in page.text
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    assert "frame-src 'none'" in reader.get("/evergreen/alerts").headers["content-security-policy"]


def test_a_report_that_is_not_rendered_has_nothing_to_frame(reader: TestClient) -> None:
    assert reader.get(DOCUMENT).status_code == 404


def test_the_stored_report_is_served_as_it_is(reader: TestClient) -> None:
    store_report("<html><script>draw()</script>é</html>")
    answer = reader.get(DOCUMENT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == "<html><script>draw()</script>é</html>"


def test_a_report_cannot_act_as_its_reader_nor_load_anything(reader: TestClient) -> None:
    store_report("<html></html>")
    headers = reader.get(DOCUMENT).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["sandbox"] == "allow-scripts", "with allow-same-origin its scripts would have the reader's session"
    assert policy["default-src"] == "'none'"
    assert not {"connect-src", "frame-src"} & set(policy)
    assert "http" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_a_report_of_another_model_is_not_served(reader: TestClient) -> None:
    store_report("<p>secret</p>", model="air_time")
    for path in (REPORT, DOCUMENT):
        answer = reader.get(path)
        assert answer.status_code == 404
        assert "secret" not in answer.text


@pytest.mark.parametrize("dag_id", ["weather.ingest", "flight_delay.score", "flight_delay", ".monitor", "~"])
def test_a_dag_that_monitors_nothing_has_no_reports(reader: TestClient, dag_id: str) -> None:
    store_report("<p>secret</p>")
    answer = reader.get(REPORT.replace("flight_delay.monitor", dag_id))
    assert answer.status_code == 404
    assert "is not the monitor DAG of a model" in answer.text


def test_a_day_that_was_never_scored_says_so(reader: TestClient) -> None:
    page = reader.get(REPORT)
    assert page.status_code == 404
    assert "No drift report of flight_delay for 2013-02-09 yet" in page.text
    assert "was neither scored nor monitored for 2013-02-09" in page.text
    assert 'href="/dags/flight_delay.monitor"' in page.text


def test_a_day_that_waits_says_for_what(reader: TestClient) -> None:
    record_stage("flight_delay", "score", DAY, "waiting", {"message": "waiting for weather/2013-02-08"})
    assert "scoring of flight_delay for 2013-02-09 is waiting: waiting for weather/2013-02-08" in reader.get(REPORT).text


def test_a_day_that_was_scored_and_not_monitored_says_so(reader: TestClient) -> None:
    record_stage("flight_delay", "score", DAY, "done", {"message": "900 rows"})
    assert "was scored for 2013-02-09, but not monitored yet" in reader.get(REPORT).text


# --- our own page of a window ------------------------------------------------------------------------------------------


def _overview(before: bool) -> WindowOverview:
    drifted = ColumnVerdict("distance", "drifted", 3.2, 0.1, 1e-9)
    kinds = ColumnVerdict("carrier <b>", "drifted", 0.2, 0.05, 0.001, new={"<script>": 4}, vanished=["AA"])
    bars = [Bar("below 100", 0.9, 0.1, 0.8 if before else None), Bar("from 100", 0.1, 0.9, 0.2 if before else None)]
    earlier = ColumnVerdict("distance", "alike", 0.02, 0.1, 0.7) if before else None
    names = ["UA", "<i>A carrier whose name is longer than a legend has room for</i>", "never seen before"]
    of_kinds = [Bar(name, share, share, share) for name, share in zip(names, (0.7, 0.298, 0.002), strict=True)]
    columns = [ColumnOverview(drifted, earlier, bars, is_numeric=True), ColumnOverview(kinds, None, of_kinds, is_numeric=False)]
    together = "All columns together tell the window from the reference: AUC 0.700 (p 0.03), most by a with b."
    return WindowOverview(DAY, 3, 1, 900, parse_any("2013-02-02"), 800 if before else None, "importance times effect", columns, together)


@pytest.mark.parametrize("before", [True, False])
def test_a_window_has_a_page_of_figures_distributions_and_what_changed(
    reader: TestClient, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    forget_file("reports/flight_delay/gone.html")
    monkeypatch.setattr("include.evergreen.monitoring.overview.window_overview", lambda *_: _overview(before))
    page = reader.get(WINDOW)
    assert page.status_code == 200
    assert "900 rows up to 2013-02-09 against what version 3 was trained on. Columns are ranked by importance times effect." in page.text
    assert "AUC 0.700 (p 0.03), most by a with b" in page.text
    assert "3.200 (matters from 0.1)" in page.text
    assert ("alike 0.020 (matters from 0.1)" in page.text and "+3.180" in page.text) == before
    assert ("has no profiles of a window up to 2013-02-02" in page.text) == (not before)
    assert ("A week before</th>" in page.text) == before, "no column stands empty"
    assert "<title>below 100: reference 90.0%, window 10.0%" in page.text
    assert "UA 70%, &lt;i&gt;A carrier whose name is lo… 30%</p>" in page.text, "what the bars of a category are"
    assert page.text.count('class="legend') == 1
    assert "<script>" not in page.text and "<i>" not in page.text and "carrier &lt;b&gt;" in page.text
    assert f'href="/evergreen/dags/flight_delay.monitor/reports/{DAY}"' in page.text
    assert len(page.content) < 30_000


def test_a_window_that_was_not_monitored_or_has_no_profiles_says_so(reader: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    page = reader.get(WINDOW)
    assert page.status_code == 404
    assert "No window of flight_delay up to 2013-02-09 yet" in page.text
    forget_file("reports/flight_delay/gone.html")
    page = reader.get(WINDOW)
    assert page.status_code == 404
    assert "flight_delay was not scored for 2013-02-09" in page.text


# --- a report that is not drawn yet ---------------------------------------------------------------------------------

DRAWS = """
import sys, time, pathlib
from include.evergreen.state import storage
model, day = sys.argv[1:]
while not pathlib.Path(GATE).exists():
    time.sleep(0.01)
with pathlib.Path(GATE).open("a") as file:
    file.write("drawn ")
storage.write_bytes(f"reports/{model}/{day}/aaaa.html", b"<html>drawn</html>")
"""


def drawn_by(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Reports are drawn by this code, in a process as usual."""
    from evergreen_airflow.ui import report
    from evergreen_airflow.ui.drawings import ReportRenderer

    monkeypatch.setattr(report, "RENDERER", ReportRenderer((sys.executable, "-c", code)))


def until_drawn() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("render "):
            thread.join(60)


def test_a_report_that_is_not_drawn_yet_is_drawn_once_for_all_who_open_it(
    reader: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    drawn_by(monkeypatch, DRAWS.replace("GATE", repr(str(gate))))
    forget_file(f"reports/flight_delay/{DAY}/aaaa.html")
    for _ in range(3):
        page = reader.get(REPORT)
        assert page.status_code == 202
        assert page.headers["refresh"] == "2"
        assert "Rendering the drift report of flight_delay for 2013-02-09" in page.text
        assert "unsafe" not in page.headers["content-security-policy"]
    gate.touch()
    until_drawn()
    assert gate.read_text() == "drawn "
    assert reader.get(DOCUMENT).text == "<html>drawn</html>"
    assert reader.get(DOCUMENT).text == "<html>drawn</html>"
    assert gate.read_text() == "drawn "


def test_no_more_than_two_are_drawn_at_once(reader: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = tmp_path / "gate"
    drawn_by(monkeypatch, DRAWS.replace("GATE", repr(str(gate))))
    models = ["one", "two", "three"]
    for model in models:
        forget_file(f"reports/{model}/{DAY}/aaaa.html", model)
    pages = [reader.get(REPORT.replace("flight_delay", model)).text for model in models]
    assert ["Other reports are being rendered first" in page for page in pages] == [False, False, True]
    gate.touch()
    until_drawn()
    for model in models[:2]:
        assert reader.get(DOCUMENT.replace("flight_delay", model)).text == "<html>drawn</html>"
    reader.get(REPORT.replace("flight_delay", "three"))
    until_drawn()
    assert reader.get(DOCUMENT.replace("flight_delay", "three")).text == "<html>drawn</html>"


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 503, "was killed by signal 9. Is there enough memory?"),
        ("import sys; print('a warning', file=sys.stderr); sys.exit('evergreen: no room <b>')", 503, "<p>no room &lt;b&gt;</p>"),
        ("import sys; print('evergreen: it has changed since', file=sys.stderr); sys.exit(3)", 404, "<p>it has changed since</p>"),
    ],
)
def test_one_that_could_not_be_drawn_says_why_and_opening_it_again_tries_again(
    reader: TestClient, monkeypatch: pytest.MonkeyPatch, code: str, status: int, words: str
) -> None:
    drawn_by(monkeypatch, code)
    forget_file("reports/flight_delay/gone.html")
    assert reader.get(REPORT).status_code == 202
    until_drawn()
    page = reader.get(REPORT)
    assert page.status_code == status
    assert "refresh" not in page.headers
    assert "The drift report of flight_delay for 2013-02-09 could not be rendered" in page.text
    assert words in page.text
    assert reader.get(REPORT).status_code == 202
    until_drawn()


def test_it_is_the_command_line_that_draws_and_what_it_says_is_shown(reader: TestClient) -> None:
    forget_file(f"reports/flight_delay/{DAY}/aaaa.html.gz")
    assert reader.get(REPORT).status_code == 202
    until_drawn()
    page = reader.get(REPORT)
    assert page.status_code == 404
    assert "cannot be drawn as it was monitored on" in page.text
    assert "the predictions were removed since" in page.text


def test_who_may_not_read_the_dag_has_nothing_drawn(log_in: LogIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn_by(monkeypatch, f"open({str(tmp_path / 'drawn')!r}, 'w')")
    forget_file("reports/flight_delay/gone.html")
    assert log_in(None).get(REPORT).status_code == 403
    until_drawn()
    assert not (tmp_path / "drawn").exists()


# --- around it ------------------------------------------------------------------------------------------------------


def test_a_database_without_tables_says_what_to_run(reader: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    answer = reader.get(VALIDATION)
    assert answer.status_code == 500
    assert "make setup" in answer.text


def test_an_unknown_address_has_a_page_in_words(reader: TestClient) -> None:
    answer = reader.get("/evergreen/nothing")
    assert answer.status_code == 404
    assert "Page not found" in answer.text


def test_links_lead_to_where_airflow_lies_under_a_base_path(reader: TestClient) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from evergreen_airflow.ui.app import create_app

    airflow = FastAPI(root_path="/team/airflow")
    airflow.mount("/evergreen", create_app())
    record()
    page = TestClient(airflow, cookies=reader.cookies).get(f"/team/airflow{VALIDATION}").text
    assert 'href="/team/airflow/dags/weather.ingest"' in page
    refused = TestClient(airflow).get(f"/team/airflow{VALIDATION}").text
    assert f'"/team/airflow/api/v2/auth/login?next=%2Fteam%2Fairflow{VALIDATION.replace("/", "%2F")}"' in refused
