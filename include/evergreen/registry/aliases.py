"""MLflow's aliases, for people who look there: set by our record, and put back when they say something else."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.registry.history import challenger, newest_promotion
from include.evergreen.state import mlflow_store
from include.evergreen.state.alerts import raise_alert
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import promotions
from include.evergreen.state.effects import side_effect

TIMES_AT_ONCE = 10  # promotions that may overtake this one before it gives up
SECOND_LOOK_SECONDS = 1.0
MOST_UNSHOWN = 100  # promotions in a row that crashes may have cut short before the alias was seen


def show_challenger(model: str) -> None:
    """Make MLflow's alias name our challenger, or nothing."""
    found = challenger(model)
    wanted = found.version if found else None
    if mlflow_store.alias(model, "challenger") != wanted:
        with side_effect("register.alias"):
            mlflow_store.set_alias(model, "challenger", wanted)


def reconcile(model: str) -> list[str]:
    """Make MLflow's aliases name what our record names; one sentence for each that did not.

    A champion's alias that a hand moved makes one critical alert, which stays until a person resolves it; one that a killed promotion
    left behind makes none. Done again while somebody else changes our record.
    """
    told: list[str] = []
    ours: set[int | None] = set()  # what this call set itself
    for _ in range(TIMES_AT_ONCE):
        with reading() as connection:
            newest = newest_promotion(connection, model)
        wanted = newest.version if newest else None
        seen = mlflow_store.alias(model, "champion")
        if seen != wanted:
            told.append(_put_back(model, wanted, seen, ours))
            ours.add(wanted)
        if newest is None or _is_shown(model, newest):
            break
    show_challenger(model)
    return told


def _put_back(model: str, wanted: int | None, seen: int | None, ours: set[int | None]) -> str:
    """Set the champion's alias, after the alert when a hand had moved it."""
    was = f"version {seen}" if seen else "no version"
    words = f"{model}: MLflow's alias champion named {was}"
    if seen not in _left_behind(model) | ours and _is_still(model, seen):
        record = f"version {wanted}, which serves on" if wanted else "none"
        words += (
            f", which no promotion of ours did; our record has {record}. The alias was put back. Find out who moved it, then resolve this."
        )
        raise_alert(f"alias/{model}", model=model, severity="critical", words=words, evidence={"alias": seen, "champion": wanted})
    else:
        words += f"; it now names {f'version {wanted}' if wanted else 'none'}"
    with side_effect("promote.alias"):
        if not mlflow_store.set_alias(model, "champion", wanted):
            words = f"{model}: MLflow has no version {wanted} any more, though it is champion, and serves on. Somebody deleted it there."
            raise_alert(f"alias/{model}", model=model, severity="critical", words=words, evidence={"alias": seen, "champion": wanted})
    return words


def _left_behind(model: str) -> set[int | None]:
    """What the alias may rightly name: what it last was seen to, or any champion since, whose promotions a crash cut short."""
    may: set[int | None] = set()
    newest_first = promotions.select().where(promotions.c.model == model).order_by(promotions.c.id.desc()).limit(MOST_UNSHOWN)
    with reading() as connection:
        for row in connection.execute(newest_first):
            may.add(row.version)
            if row.shown_at is not None:
                break
            may.add(row.previous_version or None)
    return may or {None}


def _is_still(model: str, seen: int | None) -> bool:
    """Another process may be between its record and its alias: look twice before anybody is woken."""
    time.sleep(SECOND_LOOK_SECONDS)
    return mlflow_store.alias(model, "champion") == seen


def _is_shown(model: str, newest: sa.Row[Any]) -> bool:
    """Note that the alias names the newest champion; False when another promotion came in between."""
    if newest.shown_at is None:
        with side_effect("promote.alias"), writing() as connection:
            connection.execute(promotions.update().where(promotions.c.id == newest.id).values(shown_at=clock.now()))
    with reading() as connection:
        now = newest_promotion(connection, model)
    return now is not None and now.id == newest.id
