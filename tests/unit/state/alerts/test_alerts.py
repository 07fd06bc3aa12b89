"""One alert for one cause; what people do about it is theirs, is in the ledger, and is not undone by who looked a moment earlier."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.state import ledger
from include.evergreen.state.alerts import (
    KINDS,
    Alert,
    Filter,
    NoSuchAlertError,
    Place,
    Scope,
    StaleActError,
    acknowledge,
    assign,
    comment,
    count_alerts,
    list_alerts,
    open_alerts,
    pass_time,
    raise_alert,
    resolve,
    resolve_alert,
    show_alert,
    snooze,
    unacknowledge,
)
from include.evergreen.state.alerts.maintenance_windows import end_maintenance, plan_maintenance, planned_maintenance
from include.evergreen.state.alerts.raising import BACK_SOON, FLAPS
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.state.database.tables import task_failures
from include.evergreen.state.task_failures import record_failure
from tests.unit.flights import rows_of

pytestmark = pytest.mark.usefixtures("home")
HOUR = dt.timedelta(hours=1)
WEATHER = Place("weather.ingest", "fetch", dataset="weather", run_id="night", partition="2013-02-09")
SCORE = Place("air_time.score", "score", model="air_time", run_id="night", partition="2013-02-09")


class Clock:
    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 29, 3, 12, tzinfo=dt.UTC)

    def pass_(self, time: dt.timedelta) -> None:
        self.now += time


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    time = Clock()
    monkeypatch.setattr(clock, "now", lambda: time.now)
    return time


def raised(key: str = "task/gone", **values: Any) -> Alert:
    raise_alert(key, **{"severity": "warning", "message": "the source is gone", "places": [WEATHER], **values})
    return next(alert for alert in open_alerts() if alert.key == key)


def timeline(alert: Alert) -> list[tuple[str, str]]:
    return [(event.kind, event.actor) for event in show_alert(alert.id).events]


def test_a_cause_that_is_seen_a_thousand_times_is_one_alert_that_counts_and_names_each_place_once(time: Clock) -> None:
    assert raise_alert("task/gone", severity="warning", message="the source is gone", places=[WEATHER], times=400)
    time.pass_(HOUR)
    assert not raise_alert("task/gone", severity="warning", message="the source is gone", places=[WEATHER, SCORE], times=600)
    [alert] = open_alerts()
    assert (alert.times, alert.last_at - alert.first_at) == (1000, HOUR)
    assert [(place.dag_id, place.times) for place in show_alert(alert.id).places] == [("air_time.score", 1), ("weather.ingest", 2)]
    assert timeline(alert) == [("raised", "")], "counting is no event"


def test_two_who_see_a_cause_at_once_raise_one_alert() -> None:
    with ThreadPoolExecutor(4) as pool:
        new = list(pool.map(lambda _: raise_alert("task/gone", severity="warning", message="gone", places=[WEATHER]), range(12)))
    assert sorted(new) == [False] * 11 + [True]
    assert [alert.times for alert in open_alerts()] == [12]


def test_an_alert_of_no_known_kind_is_refused() -> None:
    with pytest.raises(KeyError, match="'sorrow'"):
        raise_alert("sorrow/1", severity="warning", message="?")
    assert open_alerts() == []


def test_acknowledging_is_not_resolving_and_names_who_has_it(time: Clock) -> None:
    alert = acknowledge(raised().id, actor="ada")
    assert (alert.state, alert.assignee, alert.is_open) == ("acknowledged", "ada", True)
    assert acknowledge(alert.id, actor="ada") == alert, "done already"
    with pytest.raises(
        StaleActError, match=r"acknowledged now: ada acknowledged it \(ada, 2026-11-29 03:12 UTC\)\. ada has it\. To take it over"
    ):
        acknowledge(alert.id, actor="bob")
    assert timeline(alert) == [("raised", ""), ("acknowledged", "ada")]


def test_an_act_on_what_somebody_else_changed_meanwhile_is_refused_and_says_who(time: Clock) -> None:
    seen = raised()
    snooze(seen.id, until=time.now + HOUR, actor="ada", revision=seen.revision)
    for act in (
        lambda: acknowledge(seen.id, actor="bob", revision=seen.revision),
        lambda: assign(seen.id, to="bob", actor="bob", revision=seen.revision),
        lambda: resolve(seen.id, reason="it is well", actor="bob", revision=seen.revision),
    ):
        with pytest.raises(StaleActError, match="ada snoozed it until 2026-11-29 04:12 UTC"):
            act()
    comment(seen.id, text="I look into it", actor="bob")
    assert [alert.state for alert in open_alerts()] == ["snoozed"]


def test_each_act_is_in_the_timeline_and_in_the_ledger_with_who(time: Clock) -> None:
    alert = raised(model="air_time")
    acknowledge(alert.id, actor="ada")
    assign(alert.id, to="bob", actor="ada")
    assign(alert.id, to="cleo", actor="cleo")
    comment(alert.id, text="the feed's owner knows", actor="cleo")
    unacknowledge(alert.id, actor="cleo")
    snooze(alert.id, until=time.now + HOUR, actor="bob")
    resolve(alert.id, reason="restored from the backup", actor="bob")
    acts = [("acknowledged", "ada"), ("assigned", "ada"), ("assigned", "cleo"), ("commented", "cleo"), ("unacknowledged", "cleo"),
            ("snoozed", "bob"), ("resolved", "bob")]  # fmt: skip
    assert timeline(alert) == [("raised", ""), *acts]
    recorded = [(entry.kind, entry.model, json.loads(str(entry.body))) for entry in rows_of(entries)]
    assert [(kind, model, body["act"], body["actor"]) for kind, model, body in recorded] == [
        ("acknowledgement", "air_time", *act) for act in acts
    ]
    assert ledger.verify() == []


def test_who_gets_an_alert_from_somebody_else_has_not_acknowledged_it() -> None:
    alert = raised()
    assert assign(alert.id, to="bob", actor="ada").state == "firing"
    assert assign(alert.id, to="bob", actor="bob").state == "acknowledged"


def test_a_resolved_alert_can_be_commented_on_and_nothing_else() -> None:
    alert = resolve(raised().id, reason="it is well", actor="ada")
    assert resolve(alert.id, reason="it is well", actor="ada") == alert, "done already"
    comment(alert.id, text="it was the disk", actor="bob")
    with pytest.raises(StaleActError, match="resolved now: it is well \\(ada.*it is a new alert"):
        acknowledge(alert.id, actor="bob")


def test_an_alert_whose_cause_is_gone_resolves_itself_and_says_so() -> None:
    alert = raised()
    assert resolve_alert("task/gone")
    assert not resolve_alert("task/gone")
    detail = show_alert(alert.id)
    assert (detail.alert.state, detail.alert.resolved_by, detail.events[-1].message) == ("resolved", None, "Its cause is gone.")
    assert all(place.cleared_at for place in detail.places)


def test_a_cause_that_comes_back_soon_is_the_same_alert_and_later_or_after_a_person_a_new_one(time: Clock) -> None:
    first = raised()
    acknowledge(first.id, actor="ada")
    resolve_alert("task/gone")
    time.pass_(BACK_SOON / 2)
    again = raised()
    assert (again.id, again.state, again.assignee, again.times, again.reopened) == (first.id, "firing", "ada", 2, 1)
    resolve_alert("task/gone")
    time.pass_(BACK_SOON)
    second = raised()
    assert (second.id, second.times) == (first.id + 1, 1)
    resolve(second.id, reason="it is well", actor="ada")
    assert raised().id == second.id + 1


def test_a_cause_that_comes_and_goes_stays_one_open_alert_until_it_has_stayed_away(time: Clock) -> None:
    first = raised()
    for _ in range(FLAPS):
        assert resolve_alert("task/gone")
        time.pass_(dt.timedelta(minutes=1))
        raised()
    for _ in range(20):
        resolve_alert("task/gone")
        time.pass_(dt.timedelta(minutes=1))
        assert [alert.id for alert in open_alerts()] == [first.id]
        raised()
    assert len(timeline(first)) == 1 + 2 * FLAPS, "no line, and no message, for each time that it comes and goes"
    resolve_alert("task/gone")
    time.pass_(BACK_SOON - dt.timedelta(seconds=1))
    assert pass_time() == 0
    time.pass_(dt.timedelta(seconds=1))
    assert pass_time() == 1
    assert open_alerts() == []


def test_the_snoozed_wake_and_the_forgotten_fire_again_once(time: Clock) -> None:
    put_aside, forgotten = raised("task/a"), raised("task/b")
    snooze(put_aside.id, until=time.now + HOUR, actor="ada")
    acknowledge(forgotten.id, actor="bob", remind_after=HOUR)
    time.pass_(HOUR - dt.timedelta(seconds=1))
    assert pass_time() == 0
    time.pass_(dt.timedelta(seconds=1))
    assert (pass_time(), pass_time()) == (2, 0)
    assert [(alert.key, alert.state, alert.assignee) for alert in list_alerts(Filter())] == [
        ("task/b", "firing", "bob"),
        ("task/a", "firing", "ada"),
    ]
    assert timeline(put_aside)[-1] == ("woke", "")
    assert timeline(forgotten)[-1] == ("reminded", "")


@pytest.mark.parametrize(
    "put_aside",
    [
        lambda alert, time: acknowledge(alert.id, actor="ada"),
        lambda alert, time: snooze(alert.id, until=time.now + HOUR, actor="ada"),
    ],
)
def test_what_becomes_critical_fires_again(put_aside: Callable[[Alert, Clock], Alert], time: Clock) -> None:
    alert = raised()
    put_aside(alert, time)
    assert raised().state != "firing", "the same again is no news"
    assert raised(severity="critical").state == "firing"
    assert timeline(alert)[-1] == ("worsened", "")


@pytest.mark.parametrize("ahead", [dt.timedelta(), -HOUR, dt.timedelta(days=7, seconds=1)])
def test_nothing_is_snoozed_into_the_past_or_for_ever(ahead: dt.timedelta, time: Clock) -> None:
    alert = raised()
    with pytest.raises(ConfigError, match="allowed: within 7 days"):
        snooze(alert.id, until=time.now + ahead, actor="ada")
    assert open_alerts() == [alert]


def test_a_planned_outage_snoozes_what_fires_meanwhile_and_nothing_else(time: Clock) -> None:
    window = plan_maintenance("weather", hours=2, actor="ada", reason="the feed moves")
    assert plan_maintenance("weather", hours=2, actor="ada", reason="the feed moves") == window
    assert planned_maintenance() == [window]
    silenced = raised("task/a")
    assert (silenced.state, silenced.snoozed_until) == ("snoozed", time.now + 2 * HOUR)
    assert raised("task/b", places=[WEATHER, SCORE]).state == "firing", "air_time is under no maintenance"
    time.pass_(2 * HOUR)
    pass_time()
    assert raised("task/a").state == "firing"
    assert raised("task/c").state == "firing"


def test_an_outage_that_ended_early_silences_nothing_more(time: Clock) -> None:
    window = plan_maintenance("weather", hours=2, actor="ada", reason="the feed moves")
    end_maintenance(window.id, actor="ada")
    assert planned_maintenance() == []
    assert raised().state == "firing"


def test_a_reader_sees_the_alerts_of_their_dags_and_of_an_alert_only_their_places() -> None:
    both = raised("task/both", places=[WEATHER, SCORE])
    ours = raised("rejections/air_time", places=[], model="air_time")
    theirs = raised("task/theirs")
    everybody = raised("ledger/damage", places=[], severity="critical")
    scope = Scope(frozenset({"air_time.score"}))
    assert {alert.id for alert in list_alerts(Filter(), scope)} == {both.id, ours.id, everybody.id}
    assert count_alerts(Filter(), scope) == {("critical", "firing"): 1, ("warning", "firing"): 2}
    detail = show_alert(both.id, scope)
    assert ([place.dag_id for place in detail.places], detail.hidden) == (["air_time.score"], 1)
    for number in (theirs.id, 10**6):
        with pytest.raises(NoSuchAlertError, match=f"There is no alert {number}"):
            show_alert(number, scope)
    assert list_alerts(Filter(), Scope(frozenset())) == [everybody]


def test_a_run_has_the_alerts_of_its_own_failures_also_when_a_later_run_failed_of_the_same_cause() -> None:
    alert = raised("task/feed")
    for run_id in ("first", "second"):
        place = Place("weather.ingest", "fetch", dataset="weather", run_id=run_id)
        raise_alert("task/feed", severity="warning", message="it failed", dataset="weather", places=[place])
        counted(alert.id, run_id)
    for run_id in ("first", "second"):
        of_run = Filter(dag_id="weather.ingest", run_id=run_id)
        assert [found.id for found in list_alerts(of_run)] == [alert.id]
        assert list_alerts(Filter(dag_id="weather.ingest", task_id="validate", run_id=run_id)) == []
        assert list_alerts(of_run, Scope(frozenset({"air_time.score"}))) == []
    assert list_alerts(Filter(dag_id="weather.ingest", run_id="third")) == []


def counted(alert_id: int, run_id: str) -> None:
    """Have the alert count a failure, as the watcher does."""
    about = {"dag_id": "weather.ingest", "task_id": "fetch", "run_id": run_id, "map_index": -1, "try_number": 1}
    record_failure(**about, partition="", error_class="OSError", error="no feed")  # type: ignore[arg-type]
    with writing() as connection:
        connection.execute(task_failures.update().where(task_failures.c.run_id == run_id).values(alert_id=alert_id))


def test_asking_for_a_place_tells_nothing_of_those_that_the_reader_may_not_see() -> None:
    both = raised("task/both", places=[WEATHER, SCORE])
    scope = Scope(frozenset({"air_time.score"}))
    assert [alert.id for alert in list_alerts(Filter(dag_id="air_time.score"), scope)] == [both.id]
    for hidden in (
        Filter(dag_id="weather.ingest"),
        Filter(task_id="fetch"),
        Filter(name="weather"),
        Filter(dag_id="weather.ingest", run_id="night"),
    ):
        assert list_alerts(hidden, scope) == []


def test_the_inbox_is_filtered_searched_and_paged_the_critical_first() -> None:
    slow = raised("stuck/weather", message="100% slower than_ever")
    bad = raised("task/bad", severity="critical", error="ValueError: no such column", places=[SCORE])
    done = resolve(raised("task/done").id, reason="it is well", actor="ada")
    acknowledge(slow.id, actor="ada")

    def ids(limit: int = 50, offset: int = 0, **chosen: Any) -> list[int]:
        return [alert.id for alert in list_alerts(Filter(**chosen), limit=limit, offset=offset)]

    assert ids() == [bad.id, slow.id]
    assert (ids(limit=1), ids(limit=1, offset=1)) == ([bad.id], [slow.id])
    assert ids(states=("resolved",)) == [done.id]
    assert ids(name="weather") == ids(assignee="ada") == ids(kind="stuck") == ids(text="0% SLOWER") == ids(text="than_e") == [slow.id]
    assert ids(text="such column") == ids(dag_id="air_time.score", task_id="score", run_id="night") == ids(severity="critical") == [bad.id]
    assert ids(text="%") == [slow.id], "a sign of LIKE is a character like others"


def test_a_secret_in_an_errors_words_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_TOKEN", "abc123xyz")
    assert raised(error="401 for https://me:pw@feed/?token=zzz with abc123xyz").error == "401 for https://me:***@feed/?token=*** with ***"


def test_every_kind_says_what_it_means() -> None:
    assert all(kind.title and kind.meaning.endswith(".") for kind in KINDS.values())
