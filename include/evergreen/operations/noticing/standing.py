"""What our own records and disks say just now: firings without an answer, champions past their age, disks that fill."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.monitoring.triggers import newest_firing
from include.evergreen.operations.noticing.declared import Declared
from include.evergreen.registry.champions import champion
from include.evergreen.state.alerts import Finding, Place, Severity
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import firings

FULL: tuple[tuple[int, Severity], ...] = ((97, "critical"), (90, "warning"))  # percent of a disk that are used, and what that is


def unanswered_firings() -> list[Finding]:
    """Find the rules that tripped and whose training has not been decided on.

    :returns: one for each model whose newest firing has no answer; critical once its training has failed
    """
    waiting = sa.select(firings.c.model).where(firings.c.answered_at.is_(None)).distinct()
    with reading() as connection:
        models = sorted(connection.execute(waiting).scalars())
    found = []
    for model in models:
        firing = newest_firing(model)
        if firing is None or firing.answered_at is not None:
            continue
        evidence = {"rule": firing.rule, "as_of": str(firing.as_of), "firing": firing.id, "attempts": firing.attempts}
        place = Place(dag_id=f"{model}.retrain", model=model, partition=str(firing.as_of))
        message = f"{model} fired as of {firing.as_of}: {firing.message}; {firing.training}."
        severity: Severity = "critical" if firing.failed_at else "warning"
        found.append(Finding(f"trigger/{model}", severity, message, evidence, model=model, places=(place,)))
    return found


def old_champions(declared: Declared, now: dt.datetime | None = None) -> list[Finding]:
    """Find the champions that were trained as of a day that is longer ago than ``max_champion_age`` allows.

    :param declared: what is declared; models without that limit are passed over
    :param now: the time, in UTC; by default the clock's
    :returns: one for each such model
    """
    now = now or clock.now()
    found = []
    for model in declared.models():
        limit = model.max_champion_age
        if limit is None or model.name not in declared.serving:
            continue
        serving = champion(model.name)
        if serving is None or now < model.grain.end(model.calendar.plus(serving.as_of, limit)):
            continue
        message = (
            f"Version {serving.version} of {model.name} serves, and was trained as of {serving.as_of}: it may be {limit} old "
            f"(max_champion_age). `evergreen decisions {model.name}` says why nothing newer does."
        )
        evidence = {"version": serving.version, "as_of": str(serving.as_of), "max_champion_age": str(limit)}
        place = Place(dag_id=f"{model.name}.train", model=model.name)
        found.append(Finding(f"age/{model.name}", "warning", message, evidence, model=model.name, places=(place,)))
    return found


def full_disks(folders: Iterable[Path]) -> list[Finding]:
    """Find the disks that have little room left.

    :param folders: that are written to; one that is not there is passed over
    :returns: one for each disk of which more than nine tenths are used
    """
    found: dict[int, Finding] = {}
    for folder in folders:
        try:
            usage, disk = shutil.disk_usage(folder), folder.stat().st_dev
        except OSError:
            continue
        passed = next(((percent, severity) for percent, severity in FULL if 100 * usage.used >= percent * usage.total), None)
        if passed is None or disk in found:
            continue
        percent, severity = passed
        message = f"The disk of {folder} is more than {percent}% full, with {usage.free / 1024**3:.1f} GiB left."
        found[disk] = Finding(f"disk/{folder}"[:250], severity, message, {"folder": str(folder), "more_than_percent": percent})
    return list(found.values())
