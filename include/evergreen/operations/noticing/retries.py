"""Retries that pile up: DAGs whose runs need another attempt far more often than they did, though they succeed in the end.

What failed for good, or died, has an alert of its own, and its run counts on neither side. A run counts once, however many of its
attempts failed: those of one run have one cause, and are no evidence that it comes more often.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.operations.noticing.attempts import Attempt, Instance, Standing, Word
from include.evergreen.operations.noticing.causes import cause_of
from include.evergreen.operations.noticing.declared import Declared
from include.evergreen.state.alerts import Alert, Finding, Place
from include.evergreen.state.alerts.raising import MOST_PLACES
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import alert_places, alerts, task_failures

KIND = "retries"
NEWEST = 12  # runs of a DAG, which are compared with
PAST = 100  # runs before them at most, and
FEWEST_PAST = 24  # at least
RISEN = 1e-5  # a chance below it raises: 6,000 DAGs that run nightly, and are as they were, then raise an alert in half a year
FALLEN = 0.05  # a chance above it resolves; far from the other, so that nothing comes and goes
MOST_DAGS = 50  # that are looked at in one round; the others follow in the next
MOST_SHOWN = 5
ENDED = frozenset({"success", "failed"})
OVERLAP = dt.timedelta(minutes=1)  # between two looks at what failed


class Run(NamedTuple):
    """A run that has ended, of live data. ``is_retried`` says that an attempt of it failed, and none for good."""

    run_id: str
    ended_at: dt.datetime
    is_retried: bool


class Share(NamedTuple):
    """So many runs, of which so many were retried."""

    retried: int
    runs: int


class Rise(NamedTuple):
    """What was seen of a DAG when its share had jumped; what was before is what it is compared with until it has fallen."""

    task_id: str
    run_id: str
    retried: int
    runs: int
    retried_before: int
    runs_before: int

    @property
    def past(self) -> Share:
        """The runs before the newest, as they were then."""
        return Share(self.retried_before, self.runs_before)


NewestRuns = Callable[[str], Sequence[Run]]
Standings = Callable[[Collection[Instance]], Mapping[Instance, Standing]]


def chance(newest: Share, past: Share) -> float:
    """Say how likely so many of the newest runs are retried, if they are as those of the past: Fisher's exact test, one-sided.

    It needs no estimate of the rate and holds for few runs, since it asks only how the retried runs fall on the two (R. A. Fisher, The
    Design of Experiments, 1935, section 11; here on the tail of the hypergeometric distribution).

    :param newest: the newest runs
    :param past: those before them
    :returns: from 0 to 1
    """
    retried = newest.retried + past.retried
    ways = [
        math.comb(newest.runs, number) * math.comb(past.runs, retried - number)
        for number in range(newest.retried, min(newest.runs, retried) + 1)
    ]
    return sum(ways) / math.comb(newest.runs + past.runs, retried)


def has_risen(newest: Share, past: Share) -> bool:
    """Tell whether the share of retried runs has surely jumped.

    :param newest: the newest runs
    :param past: those before them
    :returns: false, too, where there are too few to tell
    """
    return newest.runs == NEWEST and past.runs >= FEWEST_PAST and chance(newest, past) < RISEN


class Retries:
    """Looks at the DAGs of which a run with a failed attempt has ended, and at those of open alerts: some in each round, all in turn.

    :param look_back: how far the first look goes
    """

    def __init__(self, look_back: dt.timedelta) -> None:
        self._since = clock.now() - look_back
        self._running: set[Instance] = set()
        self._waiting: dict[str, None] = {}

    def findings(self, declared: Declared, newest_runs: NewestRuns, standings: Standings) -> list[Finding]:
        """Find the DAGs whose share of retried runs has jumped and has not fallen since, by what their attempts said.

        :param declared: what is declared
        :param newest_runs: gives the newest runs of a DAG, the newest first
        :param standings: says where runs stand; one that is not among them was deleted
        :returns: one for each cause
        """
        with reading() as connection:
            found = _open_alerts(connection)
        key_of = {dag_id: key for key, (_, rises) in found.items() for dag_id in rises}
        self._waiting |= dict.fromkeys((*self._ended(standings), *key_of))
        for dag_id in list(self._waiting)[:MOST_DAGS]:
            del self._waiting[dag_id]
            with reading() as connection:
                told = _told_runs(connection, dag_id)
                runs = [run for run in newest_runs(dag_id) if run.run_id not in told][: NEWEST + PAST]
                if dag_id in key_of:
                    rises = found[key_of[dag_id]][1]
                    if chance(_share(runs[:NEWEST]), rises[dag_id].past) > FALLEN:
                        del rises[dag_id]
                    continue
                if (dismissed_at := _dismissed_at(connection, dag_id)) is not None:
                    runs = [run for run in runs if run.ended_at > dismissed_at]
                if has_risen(_share(runs[:NEWEST]), _share(runs[NEWEST:])):
                    key, what, rise = _rise(connection, declared, dag_id, runs)
                    rises = found.setdefault(key, (what, {}))[1]
                    if len(rises) < MOST_PLACES:
                        rises[dag_id] = rise
        return [_finding(declared, key, what, rises) for key, (what, rises) in found.items() if rises]

    def _ended(self, standings: Standings) -> list[str]:
        """The DAGs of which a run with a failed attempt has ended since the last look."""
        started = clock.now()
        with reading() as connection:
            self._running |= _failing_since(connection, self._since)
        self._since = started - OVERLAP
        stand = {run: standing for run, standing in standings(self._running).items() if run in self._running}
        self._running = {run for run, standing in stand.items() if standing.state not in ENDED}
        return sorted({run.dag_id for run in stand} - {run.dag_id for run in self._running})


def _share(runs: Collection[Run]) -> Share:
    return Share(sum(run.is_retried for run in runs), len(runs))


def _open_alerts(connection: sa.Connection) -> dict[str, tuple[str, dict[str, Rise]]]:
    """What each open alert is about, and the DAGs that it names."""
    query = alerts.select().where(alerts.c.resolved_at.is_(None), alerts.c.kind == KIND)
    found = {}
    for alert in (Alert(**row._mapping) for row in connection.execute(query)):
        found[alert.key] = alert.evidence["what"], {dag_id: Rise(**rise) for dag_id, rise in alert.evidence["dags"].items()}
    return found


def _failing_since(connection: sa.Connection, since: dt.datetime) -> set[Instance]:
    """The runs of which an attempt failed that is counted in no alert."""
    failed = (task_failures.c.recorded_at >= since, task_failures.c.alert_id.is_(None))
    rows = connection.execute(sa.select(task_failures.c.dag_id, task_failures.c.run_id).where(*failed).distinct())
    return {Instance(row.dag_id, "", row.run_id) for row in rows}


def _told_runs(connection: sa.Connection, dag_id: str) -> set[str]:
    """The runs of which something is counted in an alert of its own."""
    told = (task_failures.c.dag_id == dag_id, task_failures.c.alert_id.is_not(None))
    return set(connection.execute(sa.select(task_failures.c.run_id).where(*told).distinct()).scalars())


def _dismissed_at(connection: sa.Connection, dag_id: str) -> dt.datetime | None:
    """When a person resolved an alert of this DAG last: what was so until then is not what it is compared with."""
    here = alert_places.join(alerts, alerts.c.id == alert_places.c.alert_id)
    mine = (alert_places.c.dag_id == dag_id, alerts.c.kind == KIND, alerts.c.resolved_by.is_not(None))
    return connection.execute(sa.select(sa.func.max(alerts.c.resolved_at)).select_from(here).where(*mine)).scalar()


def _rise(connection: sa.Connection, declared: Declared, dag_id: str, runs: Sequence[Run]) -> tuple[str, str, Rise]:
    """The key of the cause that most of the newest runs were retried of, what it is, and where it was seen last."""
    retried = [run.run_id for run in runs[:NEWEST] if run.is_retried]
    said = (task_failures.c.dag_id == dag_id, task_failures.c.run_id.in_(retried), task_failures.c.alert_id.is_(None))
    by_cause: dict[str, list[tuple[str, sa.Row[Any]]]] = defaultdict(list)
    for row in connection.execute(task_failures.select().where(*said).order_by(task_failures.c.id)):
        attempt = Attempt(Instance(dag_id, row.task_id, row.run_id, row.map_index), row.try_number, "retrying")
        cause = cause_of(attempt, Word(row.error_class, row.error), declared.subject(dag_id))
        by_cause[cause.key.partition("/")[2]].append((cause.what, row))
    rest, seen = max(by_cause.items(), key=lambda item: len({row.run_id for _, row in item[1]}), default=(dag_id, []))
    what, task_id = (seen[-1][0], str(seen[-1][1].task_id)) if seen else ("Nothing was written down of why", "")
    return f"{KIND}/{rest}", what[:500], Rise(task_id, retried[0], *_share(runs[:NEWEST]), *_share(runs[NEWEST:]))


def _finding(declared: Declared, key: str, what: str, rises: dict[str, Rise]) -> Finding:
    subjects = {dag_id: declared.subject(dag_id) for dag_id in rises}
    seen = [
        f"{dag_id}: {rise.retried} of the newest {rise.runs} runs, {rise.retried_before} of the {rise.runs_before} before"
        for dag_id, rise in sorted(rises.items())
    ]
    more = f"; and {len(seen) - MOST_SHOWN} more DAGs" if len(seen) > MOST_SHOWN else ""
    message = f"Retries pile up, and still succeed. {'; '.join(seen[:MOST_SHOWN])}{more}. {what}"
    names = {(subject.model, subject.dataset) for subject in subjects.values()}
    model, dataset = names.pop() if len(names) == 1 else ("", "")
    places = tuple(
        Place(dag_id=dag_id, task_id=rise.task_id, run_id=rise.run_id, model=subjects[dag_id].model, dataset=subjects[dag_id].dataset)
        for dag_id, rise in rises.items()
    )
    evidence = {"what": what, "dags": {dag_id: rise._asdict() for dag_id, rise in sorted(rises.items())}}
    return Finding(key[:250], "warning", message, evidence,
                   model=model, dataset=dataset, places=places)  # fmt: skip
