"""MLflow's aliases: set from our own record, and reset when they differ from it."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.registry.history import challenger, newest_promotion, refuse_changed_champion
from include.evergreen.state import mlflow_store
from include.evergreen.state.alerts import raise_alert
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import promotions
from include.evergreen.state.effects import side_effect

TIMES_AT_ONCE = 10  # promotions that may overtake this one before it gives up
SECOND_LOOK_SECONDS = 1.0
MOST_UNSHOWN = 100  # promotions in a row that crashes may have cut short before the alias was seen


def show_challenger(model: str) -> None:
    """Make MLflow's alias name our challenger, or nothing.

    :param model: name of the model
    """
    rival = challenger(model)
    wanted = rival.version if rival else None
    if mlflow_store.alias(model, "challenger") != wanted:
        with side_effect("register.alias"):
            mlflow_store.set_alias(model, "challenger", wanted)


def reconcile(model: str) -> list[str]:
    """Set MLflow's aliases to what our record names.

    A champion's alias that somebody moved by hand raises one critical alert, open until a person resolves it; one that a killed promotion
    left behind raises none. Repeated while somebody else changes our record. Raises `ChangedRecordError`, and moves nothing, when the
    ledger names another champion.

    :param model: name of the model
    :returns: one sentence for each time that the champion's alias differed; none when it did not; the challenger's is set without a word
    """
    refuse_changed_champion(model)
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
    message = f"{model}: MLflow's alias champion named {was}"
    if seen not in _left_behind(model) | ours and _is_still(model, seen):
        record = f"version {wanted}, which is still serving" if wanted else "none"
        message += (
            f", which no promotion set; our record has {record}. The alias was reset. Find out who moved it, then resolve this alert."
        )
        raise_alert(f"alias/{model}", model=model, severity="critical", message=message, evidence={"alias": seen, "champion": wanted})
    else:
        message += f"; it now names {f'version {wanted}' if wanted else 'none'}"
    with side_effect("promote.alias"):
        if not mlflow_store.set_alias(model, "champion", wanted):
            message = f"{model}: MLflow no longer has version {wanted}, which is champion and still serving. Somebody deleted it there."
            raise_alert(f"alias/{model}", model=model, severity="critical", message=message, evidence={"alias": seen, "champion": wanted})
    return message


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
