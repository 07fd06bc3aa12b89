"""Failed attempts become alerts, each counted once whoever counts it, and alerts resolve when what failed is well again."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.operations.noticing.attempts import Attempt, Instance, Standing, Word
from include.evergreen.operations.noticing.causes import Cause, Subject, cause_of, describe
from include.evergreen.operations.noticing.declared import Declared
from include.evergreen.state.alerts import Alert, Finding, Place, raise_within, resolve_within
from include.evergreen.state.alerts.raising import place_within
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import alert_places, alerts, task_failures
from include.evergreen.state.effects import side_effect
from include.evergreen.state.stage_status import STAGES

GRACE = dt.timedelta(seconds=6)  # for the word of an attempt: it is written down just after Airflow knows that it failed
CHUNK = 200
MOST_DAYS = 400
# Alerts that the core raises at the work that fails, with all it knows: a task that fails of the same is added to its places.
RAISED_AT_WORK = frozenset({*STAGES, "artifact", "bypass", "alias", "ledger"})  # those of stages are named as the stage
OURS = frozenset({"task", "died", "validation", "backfill", "run"})
_AROUND = dt.timedelta(seconds=5)  # between the clocks of hosts


def record_attempts(attempts: Iterable[Attempt], declared: Declared) -> tuple[int, list[Attempt]]:
    """Have each attempt counted in the alert of its cause, exactly once, whoever does it and however often.

    :param attempts: those that failed, that died or that are silent; each may have been counted already
    :param declared: what is declared
    :returns: how many were counted now, and those to come back with since their word may be on its way
    """
    counted, waiting = 0, []
    known = list(attempts)
    for start in range(0, len(known), CHUNK):
        chunk = known[start : start + CHUNK]
        with reading() as connection:
            todo, early = _to_do(connection, chunk)
        waiting += early
        subjects = {dag_id: declared.subject(dag_id) for dag_id in {attempt.instance.dag_id for attempt in todo}}
        if todo:
            with side_effect("alert"), writing() as connection:
                counted += _count(connection, todo, subjects)
    return counted, waiting


class OpenAttempt(NamedTuple):
    """An attempt that is counted in an open alert and was not seen to be made good."""

    id: int
    instance: Instance
    try_number: int
    alert_id: int


def attempts_to_settle(after: int = 0, limit: int = CHUNK) -> list[OpenAttempt]:
    """List attempts of alerts that were not seen to be made good.

    :param after: only those with a higher ``id``: so one goes through all of them, in parts
    :param limit: how many at most
    :returns: by ``id``
    """
    table = task_failures.c
    is_open = (table.alert_id.is_not(None), table.cleared_at.is_(None), table.id > after)
    with reading() as connection:
        rows = connection.execute(task_failures.select().where(*is_open).order_by(table.id).limit(limit)).all()
    return [OpenAttempt(row.id, _instance(row), row.try_number, row.alert_id) for row in rows]


def settle(open_attempts: Sequence[OpenAttempt], standings: Mapping[Instance, Standing]) -> int:
    """Note which attempts were made good, and resolve the alerts that have none left.

    :param open_attempts: those that were looked at
    :param standings: where the instances stand now; one that is not among them was deleted
    :returns: how many were made good
    """
    well = [
        attempt
        for attempt in open_attempts
        if (standing := standings.get(attempt.instance)) is None or standing.is_well(attempt.try_number)
    ]
    with reading() as connection:
        resolved = _resolved(connection, {attempt.alert_id for attempt in open_attempts})
    done = {attempt.id for attempt in (*well, *(attempt for attempt in open_attempts if attempt.alert_id in resolved))}
    if not done:
        return 0
    now = clock.now()
    with side_effect("alert"), writing() as connection:
        still = task_failures.c.id.in_(done) & task_failures.c.cleared_at.is_(None)
        connection.execute(task_failures.update().where(still).values(cleared_at=now))
        deleted = {attempt.alert_id for attempt in well if attempt.instance not in standings}
        _close(connection, {attempt.alert_id for attempt in well}, now, deleted)
    return len(done)


def _to_do(connection: sa.Connection, attempts: Sequence[Attempt]) -> tuple[list[Attempt], list[Attempt]]:
    """Those to count, and those whose word may still come."""
    words = _words(connection, attempts)
    todo, early = [], []
    newest_death = clock.now() - GRACE
    for attempt in attempts:
        row = words.get((attempt.instance, attempt.try_number))
        if row is not None and not _is_to_count(connection, attempt, row):
            continue
        is_early = attempt.state != "silent" and attempt.ended_at is not None and attempt.ended_at > newest_death
        if row is None and attempt.instance.task_id and is_early:
            early.append(attempt)
        else:
            todo.append(attempt)
    return todo, early


def _is_to_count(connection: sa.Connection, attempt: Attempt, row: sa.Row[Any]) -> bool:
    if row.alert_id is None:
        return attempt.state == "failed" or not row.error_class  # one that is tried again and said why is no alert
    if attempt.state != "silent" or row.cleared_at is None:
        return False
    by_hand = sa.select(alerts.c.resolved_by).where(alerts.c.id == row.alert_id)
    return connection.execute(by_hand).scalar() is None  # it was heard of again, and is silent again


def _words(connection: sa.Connection, attempts: Sequence[Attempt]) -> dict[tuple[Instance, int], sa.Row[Any]]:
    of_task: dict[tuple[str, str], set[str]] = defaultdict(set)
    for attempt in attempts:
        of_task[attempt.instance.dag_id, attempt.instance.task_id].add(attempt.instance.run_id)
    table, found = task_failures.c, {}
    for (dag_id, task_id), run_ids in of_task.items():
        query = task_failures.select().where(table.dag_id == dag_id, table.task_id == task_id, table.run_id.in_(run_ids))
        found.update({(_instance(row), row.try_number): row for row in connection.execute(query)})
    return found


def _count(connection: sa.Connection, attempts: Sequence[Attempt], subjects: Mapping[str, Subject]) -> int:
    now, words = clock.now(), _words(connection, attempts)
    groups: dict[str, list[tuple[Attempt, Cause, int]]] = defaultdict(list)
    for attempt in dict.fromkeys(attempts):
        row = words.get((attempt.instance, attempt.try_number))
        if row is not None and not _is_to_count(connection, attempt, row):
            continue  # another process was faster
        word = Word(row.error_class, row.error) if row is not None else Word()
        row_id = row.id if row is not None else _write_down(connection, attempt, now)
        cause = cause_of(attempt, word, subjects[attempt.instance.dag_id])
        groups[cause.key].append((attempt, cause, row_id))
    counted = 0
    for key, group in groups.items():
        rest = []
        for attempt, cause, row_id in group:
            raised = _raised_at_work(connection, attempt, cause, subjects[attempt.instance.dag_id])
            if raised is None:
                rest.append((attempt, cause, row_id))
            else:
                place_within(connection, raised, [_place(attempt, subjects)])
                _assign(connection, raised, [row_id])
        if rest:
            alert_id = _raise(connection, key, [(attempt, cause) for attempt, cause, _ in rest], subjects)
            _assign(connection, alert_id, [row_id for *_, row_id in rest])
        _supersede(connection, [attempt for attempt, *_ in group], now)
        counted += len(group)
    return counted


def _write_down(connection: sa.Connection, attempt: Attempt, now: dt.datetime) -> int:
    values = {**attempt.instance._asdict(), "try_number": attempt.try_number, "partition": attempt.partition[:40]}
    inserted = connection.execute(task_failures.insert().values(**values, error_class="", error="", recorded_at=now))
    return int(inserted.inserted_primary_key[0])  # type: ignore[index]


def _raised_at_work(connection: sa.Connection, attempt: Attempt, cause: Cause, subject: Subject) -> int | None:
    """The open alert that the core raised, for the same model, while the attempt ran; or earlier in its run, of a decision bypassed."""
    is_ours = bool(subject.model) or attempt.instance.dag_id.startswith("evergreen.")
    if attempt.started_at is None or attempt.ended_at is None or cause.kind not in {"task", "backfill"} or cause.is_outside or not is_ours:
        return None
    others = {stage for stage in STAGES if stage != subject.stage}
    of_it = (alerts.c.model == subject.model, alerts.c.kind.in_(RAISED_AT_WORK - others), alerts.c.resolved_at.is_(None))
    during = (alerts.c.first_at <= attempt.ended_at + _AROUND) & (alerts.c.last_at >= attempt.started_at - _AROUND)
    of_run = alerts.c.key == f"bypass/{subject.model}/{attempt.instance.run_id}"[:250]
    row = connection.execute(sa.select(alerts.c.id).where(*of_it, during | of_run).order_by(alerts.c.last_at.desc()).limit(1)).first()
    return row.id if row else None


def _raise(connection: sa.Connection, key: str, group: Sequence[tuple[Attempt, Cause]], subjects: Mapping[str, Subject]) -> int:
    attempts = [attempt for attempt, _ in group]
    cause = min((cause for _, cause in group), key=lambda cause: cause.severity)  # "critical" comes before "warning"
    row = connection.execute(alerts.select().where(alerts.c.key == key, alerts.c.resolved_at.is_(None))).first()
    before = Alert(**row._mapping) if row else None
    dags = {f"{place.dag_id}.{place.task_id}".rstrip(".") for place in _still_seen(connection, before)}
    dags |= {f"{attempt.instance.dag_id}.{attempt.instance.task_id}".rstrip(".") for attempt in attempts}
    days = {attempt.partition for attempt in attempts if attempt.partition} | set(before.evidence.get("days", ()) if before else ())
    of_dags = [subjects[attempt.instance.dag_id] for attempt in attempts]
    names = {(subject.model, subject.dataset) for subject in of_dags}
    model, dataset = names.pop() if len(names) == 1 else ("", "")
    if before is not None and (before.model, before.dataset) != (model, dataset):
        model = dataset = ""
    readers = sorted(
        {reader for subject in of_dags for reader in subject.readers} | set(before.evidence.get("models", ()) if before else ())
    )
    severity = "critical" if before is not None and before.severity == "critical" else cause.severity
    evidence = {"days": sorted(days)[-MOST_DAYS:], "models": readers, "tasks": sorted(dags)[:CHUNK]}
    message = describe(cause.what, sorted(dags), sorted(days), readers)
    places: dict[tuple[str, str], Place] = {}
    for attempt in attempts:
        place = _place(attempt, subjects)
        times = places[place.dag_id, place.task_id].times if (place.dag_id, place.task_id) in places else 0
        places[place.dag_id, place.task_id] = Place(**{**vars(place), "times": times + 1})
    finding = Finding(key, severity, message, evidence, model, dataset, cause.error, tuple(places.values()))
    return raise_within(connection, finding, times=len(attempts))[0]


def _still_seen(connection: sa.Connection, alert: Alert | None) -> list[sa.Row[Any]]:
    if alert is None:
        return []
    query = alert_places.select().where(alert_places.c.alert_id == alert.id, alert_places.c.cleared_at.is_(None))
    return list(connection.execute(query.limit(CHUNK)).all())


def _place(attempt: Attempt, subjects: Mapping[str, Subject]) -> Place:
    instance, subject = attempt.instance, subjects[attempt.instance.dag_id]
    return Place(dag_id=instance.dag_id, task_id=instance.task_id, model=subject.model, dataset=subject.dataset, run_id=instance.run_id,
                 map_index=instance.map_index, try_number=attempt.try_number, partition=attempt.partition[:40])  # fmt: skip


def _assign(connection: sa.Connection, alert_id: int, row_ids: Sequence[int]) -> None:
    connection.execute(task_failures.update().where(task_failures.c.id.in_(row_ids)).values(alert_id=alert_id, cleared_at=None))


def _supersede(connection: sa.Connection, attempts: Sequence[Attempt], now: dt.datetime) -> None:
    """What an earlier attempt of the same instance was counted in may be made good by that: the later one is counted now."""
    touched = set()
    for attempt in attempts:
        if attempt.try_number < 2:
            continue
        table = task_failures.c
        earlier = [table[name] == value for name, value in attempt.instance._asdict().items()]
        earlier += [table.try_number < attempt.try_number, table.alert_id.is_not(None), table.cleared_at.is_(None)]
        found = connection.execute(sa.select(table.id, table.alert_id).where(*earlier)).all()
        connection.execute(task_failures.update().where(table.id.in_([row.id for row in found])).values(cleared_at=now))
        touched |= {row.alert_id for row in found}
    if touched:
        _close(connection, touched, now, set())


def _close(connection: sa.Connection, alert_ids: set[int], now: dt.datetime, deleted: set[int]) -> None:
    """Mark the places that have no open attempt, and resolve the alerts that have no open place."""
    table = task_failures.c
    for alert_id in sorted(alert_ids):
        left = sa.select(table.dag_id, table.task_id).where(table.alert_id == alert_id, table.cleared_at.is_(None)).distinct()
        remaining = {(row.dag_id, row.task_id) for row in connection.execute(left)}
        row = connection.execute(alerts.select().where(alerts.c.id == alert_id)).one()
        if row.resolved_at is not None or row.kind not in OURS:
            continue  # what the core raised, the core resolves
        if not remaining:
            which = "It was deleted, or is well again" if alert_id in deleted else "Well again"
            resolve_within(connection, Alert(**row._mapping), f"{which}: all {row.times} that failed." if row.times > 1 else f"{which}.")
            continue
        open_places = alert_places.select().where(alert_places.c.alert_id == alert_id, alert_places.c.cleared_at.is_(None))
        well = [place.id for place in connection.execute(open_places) if (place.dag_id, place.task_id) not in remaining]
        connection.execute(alert_places.update().where(alert_places.c.id.in_(well)).values(cleared_at=now))


def _resolved(connection: sa.Connection, alert_ids: set[int]) -> set[int]:
    query = sa.select(alerts.c.id).where(alerts.c.id.in_(alert_ids), alerts.c.resolved_at.is_not(None))
    return set(connection.execute(query).scalars())


def _instance(row: sa.Row[Any]) -> Instance:
    return Instance(row.dag_id, row.task_id, row.run_id, row.map_index)
