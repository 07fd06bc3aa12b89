"""What the watcher does, each under the lease of ours and each by itself: the error of one keeps no other from its work."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from evergreen_airflow.channels import send
from evergreen_airflow.watch import facts
from include.evergreen.config import Catalog
from include.evergreen.foundation import clock
from include.evergreen.oncall import escalate
from include.evergreen.operations.noticing import (
    Attempt,
    Deadlines,
    Declared,
    Retries,
    attempts_to_settle,
    full_disks,
    keep,
    longest_expected,
    old_champions,
    record_attempts,
    settle,
    unanswered_firings,
)
from include.evergreen.operations.noticing.record import CHUNK
from include.evergreen.operations.noticing.stuck import FLOOR_SECONDS
from include.evergreen.state.alerts import Finding, Place, Severity, forget_old_failures, pass_time

log = logging.getLogger(__name__)
SILENT_AFTER = dt.timedelta(seconds=40)  # a worker says every 5 s that it lives
OVERLAP = dt.timedelta(minutes=10)  # between two looks at what failed, beyond Airflow's own time-out of heartbeats
FIRST_LOOK_BACK = dt.timedelta(days=1)
LOOK_BACK = dt.timedelta(days=7)  # when a watcher begins, at what failed while none was there
LOOKS_BEFORE_UNWELL = 2  # a component that misses one heartbeat on a busy machine is no alert
RUN_LATE_AFTER = dt.timedelta(minutes=10)
TASK_LATE_AFTER = dt.timedelta(minutes=5)  # in the queue, while no other begins; Airflow itself takes it back after ten
TRIGGER_LATE_AFTER = dt.timedelta(minutes=2)  # for a triggerer to take it
LOOKS_BEFORE_LATE = 6  # at the same run: one that catches up makes one after the other
MANY_LATE = 10  # DAGs whose runs are late at once: the scheduler is what is unwell
MOST_REMEMBERED = 100_000
MOST_SETTLED = 1000  # attempts that are looked at in one round


@dataclass
class Watch:
    """What a watcher remembers between its rounds; all of it can be lost, and costs a longer look then.

    :param look_back: how far the first look at failures goes
    """

    look_back: dt.timedelta = LOOK_BACK
    declared: Declared = field(default_factory=Declared)
    deadlines: Deadlines = field(default_factory=Deadlines)
    since: dt.datetime | None = None
    told: dict[object, None] = field(default_factory=dict)  # attempts that were recorded
    waiting: list[Attempt] = field(default_factory=list)
    settled_to: int = 0
    active: set[int] = field(default_factory=set)
    newest_run: int | None = None
    expected: dict[object, float | None] = field(default_factory=dict)
    unwell: dict[str, int] = field(default_factory=dict)
    overdue: dict[tuple[str, dt.datetime], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.retries = Retries(self.look_back)

    def notice_failures(self) -> None:
        """Count attempts that failed or died since the last look, and those whose worker is silent."""
        started = clock.now()
        since = self.since or started - self.look_back
        for rows in facts.failed_attempts(since):
            self._record(facts.attempts_of([row for row in rows if _identity(row) not in self.told]))
        silent = [
            row for row in facts.running_tasks() if row.last_heartbeat_at is not None and row.last_heartbeat_at < started - SILENT_AFTER
        ]
        if silent:
            record_attempts(facts.attempts_of(silent, "silent"), self.declared)
        self.since = started - OVERLAP - _heartbeat_timeout()

    def notice_runs(self) -> None:
        """Count failures of runs that have ended as failed since the last look: of tasks that never ran, or of the run itself."""
        newest, active = facts.newest_run(), facts.active_runs()
        if self.newest_run is None:
            rows = facts.failed_runs(newer_than=max(0, newest - facts.RECENT_RUNS), since=clock.now() - self.look_back)
        else:
            rows = facts.failed_runs(among=self.active - active, newer_than=self.newest_run)
        failures = facts.failures_of_runs({row.run for row in rows})
        self._record(facts.attempts_of(failures))
        with_failures = {row.run for row in failures}
        self._record(facts.run_attempts([row for row in rows if row.run not in with_failures]))
        self.newest_run, self.active = newest, active

    def settle(self) -> None:
        """See what is well again: some of the attempts of open alerts in each round, all of them in turn."""
        for _ in range(MOST_SETTLED // CHUNK):
            open_attempts = attempts_to_settle(self.settled_to)
            if open_attempts:
                settle(open_attempts, facts.standings({attempt.instance for attempt in open_attempts}, SILENT_AFTER))
            self.settled_to = open_attempts[-1].id if len(open_attempts) == CHUNK else 0
            if not self.settled_to:
                return

    def notice_components(self) -> None:
        """Keep the alerts of Airflow's own components."""
        findings = []
        for name, (is_well, heartbeat) in facts.component_health().items():
            self.unwell[name] = 0 if is_well else self.unwell.get(name, 0) + 1
            if self.unwell[name] >= LOOKS_BEFORE_UNWELL:
                findings.append(_component(name, heartbeat))
        scheduler_is_well = not self.unwell.get("scheduler")
        if scheduler_is_well and (queued := facts.queued_tasks(clock.now() - TASK_LATE_AFTER)):
            findings += _workers(queued, facts.has_begun)
        if not self.unwell.get("triggerer") and (unheard := facts.unheard_triggers(clock.now() - TRIGGER_LATE_AFTER)):
            findings.append(_full_triggerer(unheard))
        elif small := _small_triggerer(len(Catalog().model_names())):
            findings.append(small)
        overdue = facts.overdue_dags(clock.now() - RUN_LATE_AFTER) if scheduler_is_well else []
        self.overdue = {run: self.overdue.get(run, 0) + 1 for run in overdue}
        late = [run for run, looks in self.overdue.items() if looks >= LOOKS_BEFORE_LATE]
        if len(late) > MANY_LATE:
            findings.append(_idle_scheduler(late))
        keep("airflow", findings, "It answers again.")
        keep("late", [self._late(*run) for run in late if len(late) <= MANY_LATE], "Its run has begun, or is no longer due.")

    def _late(self, dag_id: str, due: dt.datetime) -> Finding:
        subject = self.declared.subject(dag_id)
        message = (
            f"{dag_id} should have begun a run at {due:%Y-%m-%d %H:%M} UTC, and the scheduler has made none, though it answers and may "
            f"make one: its log says why."
        )
        place = Place(dag_id=dag_id, model=subject.model, dataset=subject.dataset)
        severity: Severity = "critical" if subject.stops_live else "warning"
        return Finding(f"late/{dag_id}"[:250], severity, message, {"due": f"{due:%Y-%m-%d %H:%M} UTC"},
                       model=subject.model, dataset=subject.dataset, places=(place,))  # fmt: skip

    def notice_import_errors(self) -> None:
        """Keep the alerts of files that do not parse."""
        findings = []
        for file, trace in facts.import_errors():
            line = next((line for line in reversed(trace.strip().splitlines()) if line.strip()), "")
            message = f"{file} does not parse, so its DAGs stay as they were, or are not there: {line[:500]}"
            findings.append(Finding(f"parsing/{file}"[:250], "warning", message, {"file": file, "error": line[:500]}, error=trace[-3500:]))
        keep("parsing", findings, "It parses again, or is gone.")

    def notice_late_data(self) -> None:
        """Keep the alerts of datasets that are past their deadline."""
        late = self.deadlines.late(self.declared, facts.ingest_dags(), facts.first_run)
        keep("freshness", [item.finding for item in late], "What was missing has come.")

    def notice_what_stands(self) -> None:
        """Keep the alerts of firings without an answer, of champions past their age, and of disks that fill."""
        keep("trigger", unanswered_firings(), "The gate has decided on its training.")
        keep("age", old_champions(self.declared), "A newer version serves, or its age is no alert any more.")
        keep("disk", full_disks(facts.folders()), "There is room again.")

    def notice_retries(self) -> None:
        """Keep the alerts of DAGs whose runs need another attempt far more often than they did."""
        findings = self.retries.findings(self.declared, facts.newest_runs, lambda runs: facts.standings(runs, SILENT_AFTER))
        keep("retries", findings, "Its attempts succeed again as often as they did.")

    def notice_stuck_tasks(self) -> None:
        """Keep the alerts of tasks that run far longer than they ever did."""
        running = [row for row in facts.running_tasks() if row.start_date is not None]
        now = clock.now()
        by_key: dict[str, list[tuple[Any, float]]] = {}
        for row in running:
            seconds = (now - row.start_date).total_seconds()
            if seconds < FLOOR_SECONDS:
                continue
            if row.id not in self.expected:
                self.expected[row.id] = longest_expected(facts.past_durations(row.dag_id, row.task_id))
            expected = self.expected[row.id]
            if expected is not None and seconds > expected:
                by_key.setdefault(f"stuck/{row.dag_id}/{row.task_id}"[:250], []).append((row, expected))
        self.expected = {row.id: self.expected[row.id] for row in running if row.id in self.expected}
        keep("stuck", [self._stuck(key, rows) for key, rows in by_key.items()], "It has ended.")

    def _stuck(self, key: str, rows: list[tuple[Any, float]]) -> Finding:
        row, expected = rows[0]
        subject = self.declared.subject(row.dag_id)
        place = Place(dag_id=row.dag_id, task_id=row.task_id, run_id=row.run_id, map_index=row.map_index, try_number=row.try_number,
                      model=subject.model, dataset=subject.dataset, partition=(row.partition_key or "")[:40])  # fmt: skip
        message = (
            f"{place.task_id} of {place.dag_id} has been running since {row.start_date:%Y-%m-%d %H:%M} UTC ({place.run_id}); "
            f"by its own past it should have ended within {expected / 60:.0f} minutes."
        )
        return Finding(key, "warning", message, {"runs": [other.run_id for other, _ in rows], "expected_seconds": round(expected)},
                       model=subject.model, dataset=subject.dataset, places=(place,))  # fmt: skip

    def _record(self, attempts: list[Attempt]) -> None:
        _, waiting = record_attempts(attempts, self.declared)
        self.told.update(dict.fromkeys(_identity_of(attempt) for attempt in set(attempts) - set(waiting)))
        if len(self.told) > MOST_REMEMBERED:
            self.told = {}


@dataclass
class Duty:
    """A work of the watcher, done again after ``every`` seconds."""

    name: str
    every: float
    work: Callable[[Watch], object]
    next_at: float = 0.0

    def do(self, watch: Watch) -> bool:
        """Do it, if it is due.

        :param watch: what the watcher remembers
        :returns: False when it failed; that is logged
        """
        if time.monotonic() < self.next_at:
            return True
        self.next_at = time.monotonic() + self.every
        try:
            self.work(watch)
        except Exception:
            log.exception("The watcher could not %s; it tries again in %g s", self.name, self.every)
            return False
        return True


def own_duties() -> list[Duty]:
    """List what every watcher does.

    :returns: in their order
    """
    return [
        Duty("notice failures", 5, Watch.notice_failures),
        Duty("notice failed runs", 10, Watch.notice_runs),
        Duty("see what is well again", 5, Watch.settle),
        Duty("let time pass", 5, lambda _: pass_time()),
        Duty("tell who is on call", 5, lambda _: escalate(send)),
        Duty("look at Airflow's components", 10, Watch.notice_components),
        Duty("look for files that do not parse", 15, Watch.notice_import_errors),
        Duty("look for late data", 20, Watch.notice_late_data),
        Duty("look at firings, champions and disks", 60, Watch.notice_what_stands),
        Duty("look for stuck tasks", 60, Watch.notice_stuck_tasks),
        Duty("look for retries that pile up", 60, Watch.notice_retries),
        Duty("forget old failures", 3600, lambda _: forget_old_failures()),
    ]


def _component(name: str, heartbeat: str) -> Finding:
    spoken = name.replace("_", " ")
    consequence = {
        "scheduler": "nothing new starts",
        "triggerer": "approvals and retraining wait unheard",
        "dag_processor": "changes of DAGs and declarations are not seen",
    }[name]
    severity: Severity = "warning" if name == "dag_processor" else "critical"
    message = f"Airflow's {spoken} does not answer, so {consequence}. Its last heartbeat: {heartbeat[:19]}."
    return Finding(f"airflow/{name.replace('_', '-')}", severity, message, {"component": spoken, "last_heartbeat": heartbeat})


def _idle_scheduler(late: list[tuple[str, dt.datetime]]) -> Finding:
    """One alert for all the runs that it does not make."""
    first, due = late[0]
    message = (
        f"Airflow's scheduler answers, and makes no runs: {len(late)} DAGs should have begun one, the first ({first}) at "
        f"{due:%Y-%m-%d %H:%M} UTC."
    )
    return Finding("airflow/scheduler", "critical", message, {"component": "scheduler"})


def _full_triggerer(unheard: int) -> Finding:
    from airflow.configuration import conf

    capacity = conf.getint("triggerer", "capacity")
    message = (
        f"{unheard} deferred tasks wait for room in a triggerer, which takes {capacity} at most, so that these sensors and approvals hear "
        f"nothing. Raise AIRFLOW__TRIGGERER__CAPACITY above the number of models, or start another triggerer."
    )
    return Finding("airflow/triggerer", "critical", message, {"component": "triggerer", "capacity": capacity})


def _small_triggerer(models: int) -> Finding | None:
    """Of a fleet that it cannot hold, before any sensor waits in vain: seen at the first look after the start."""
    from airflow.configuration import conf

    capacity = conf.getint("triggerer", "capacity")
    if models <= capacity:
        return None
    message = (
        f"{models} models are declared, each of which stands armed in a triggerer, and one takes {capacity} deferred tasks at most. Raise "
        f"AIRFLOW__TRIGGERER__CAPACITY to twice the number of models, or start another triggerer and leave this alert acknowledged."
    )
    return Finding("airflow/triggerer", "warning", message, {"component": "triggerer", "capacity": capacity, "models": models})


def _workers(queued: list[Any], has_begun: Callable[[dt.datetime], bool]) -> list[Finding]:
    """What waits in the queue while nothing begins: workers send no heartbeat of their own to Airflow's database."""
    now, first = clock.now(), queued[0]
    if has_begun(now - TASK_LATE_AFTER):
        return []
    running = sum(row.last_heartbeat_at is not None and row.last_heartbeat_at > now - SILENT_AFTER for row in facts.running_tasks())
    state = f"all workers are busy ({running} running)" if running else "no worker takes them"
    message = (
        f"No task has begun for {TASK_LATE_AFTER.seconds // 60} minutes, and {len(queued)} wait in the queue, the first "
        f"({first.task_id} of {first.dag_id}) since {first.queued_dttm:%Y-%m-%d %H:%M} UTC: {state}."
    )
    return [Finding("airflow/workers", "warning" if running else "critical", message, {"component": "workers"})]


def _heartbeat_timeout() -> dt.timedelta:
    from airflow.configuration import conf

    return dt.timedelta(seconds=conf.getint("scheduler", "task_instance_heartbeat_timeout"))


def _identity(row: Any) -> object:
    return row.dag_id, row.task_id, row.run_id, row.map_index, row.try_number, row.state == facts.RETRYING


def _identity_of(attempt: Attempt) -> object:
    return (*attempt.instance, attempt.try_number, attempt.state == "retrying")
