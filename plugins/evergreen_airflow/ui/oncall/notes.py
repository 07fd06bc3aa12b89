"""What people do about an alert, as a note on the task instances and runs where it was seen, so that Airflow's grid shows it too.

A note is appended and never replaced. It is best effort: our own records have the act already.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from include.evergreen.state.alerts import Alert, Event, Place

log = logging.getLogger(__name__)
LONGEST_NOTE = 1000  # Airflow's limit
LONGEST_LINE = 300
MOST_PLACES = 50


def line_about(alert: Alert, event: Event) -> str:
    """Say in one line what somebody did.

    :param alert: what it was done about
    :param event: the act, of the alert's timeline
    :returns: the line, the same for the same act
    """
    said = {"acknowledged": f"acknowledged by {event.actor}", "resolved": f"resolved by {event.actor}: {event.message}"}
    text = said.get(event.kind, f"{event.actor}: {event.message}")
    line = f"{_mark(alert.id)} {event.recorded_at:%Y-%m-%d %H:%M} UTC, {' '.join(text.split())}"
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"


def append_notes(alert_id: int, places: Sequence[Place], line: str, user_id: str) -> None:
    """Append a line to the notes of an alert's places, once.

    :param alert_id: the alert's number
    :param places: of runs whose DAG the user may edit
    :param line: what to append
    :param user_id: who is named as the author of a note that is new
    """
    for place in places[:MOST_PLACES]:
        try:
            _append(alert_id, place, line, user_id)
        except SQLAlchemyError as error:
            log.warning("alert %d: no note on %s %s: %s", alert_id, place.dag_id, place.task_id, type(error).__name__)


def _append(alert_id: int, place: Place, line: str, user_id: str) -> None:
    with create_session() as session:
        noted: TaskInstance | DagRun | None
        if place.task_id:
            noted = session.scalar(
                select(TaskInstance)
                .filter_by(dag_id=place.dag_id, run_id=place.run_id, task_id=place.task_id, map_index=place.map_index)
                .with_for_update(of=TaskInstance)
            )
        else:
            noted = session.scalar(select(DagRun).filter_by(dag_id=place.dag_id, run_id=place.run_id).with_for_update(of=DagRun))
        if noted is None:
            return
        before = noted.note or ""
        after = appended(before, line, alert_id)
        if after == before:
            return
        if (note := noted.task_instance_note if isinstance(noted, TaskInstance) else noted.dag_run_note) is not None:
            note.content = after
        else:
            noted.note = (after, user_id)


def appended(note: str, line: str, alert_id: int) -> str:
    """Append a line to a note. Where it does not fit, older lines about the same alert make room, and what people wrote never does.

    :param note: as it is
    :param line: what to append
    :param alert_id: whose older lines may go
    :returns: the note as it should be; unchanged if it has the line, or has no room for it
    """
    lines = note.split("\n") if note else []
    if line in lines:
        return note
    while sum(len(each) + 1 for each in lines) + len(line) > LONGEST_NOTE:
        ours = next((number for number, each in enumerate(lines) if each.startswith(_mark(alert_id))), None)
        if ours is None:
            return note
        del lines[ours]
    return "\n".join([*lines, line])


def _mark(alert_id: int) -> str:
    return f"[Evergreen alert {alert_id}]"
