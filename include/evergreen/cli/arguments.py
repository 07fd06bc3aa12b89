"""Arguments that several verbs share, and how their text becomes a value."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import TYPE_CHECKING

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.config import Catalog

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def add_model(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL", help="the name of a declared model")


def add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print one JSON document")


def partition(text: str) -> dt.date:
    """A date, or `ConfigError`."""
    return clock.parse_partition(text, subject="the date")


def parse_end(text: str) -> dt.datetime:
    """The timestamp in ``text`` (ISO 8601; UTC unless it says otherwise); of a bare date, its last instant.

    Raises `ConfigError`.
    """
    return dt.datetime.combine(partition(text), dt.time.max, tzinfo=dt.UTC) if is_date(text) else _moment(text)


def parse_start(text: str) -> dt.datetime:
    """As `parse_end`; of a bare date, its first instant."""
    return clock.day_start(partition(text)) if is_date(text) else _moment(text)


def is_date(text: str) -> bool:
    try:
        partition(text)
    except ConfigError:
        return False
    return True


def _moment(text: str) -> dt.datetime:
    try:
        if "T" not in text.upper() and " " not in text:
            raise ValueError
        timestamp = dt.datetime.fromisoformat(text)
        return timestamp.astimezone(dt.UTC) if timestamp.tzinfo else timestamp.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text[:80]!r} is neither a date nor a timestamp. Write 2013-03-03, or 2013-03-03T14:30 (UTC), or 2013-03-03T14:30+01:00."
        ) from None


def known_model(catalog: Catalog, name: str) -> str:
    """``name``, if a model of this name is declared or ever was decided on: the past of a retired model stays readable.

    Its YAML is not parsed, so that a broken one hides no history.
    """
    from include.evergreen.gates.decision import latest_decision

    try:
        catalog.model_path(name)
    except ConfigError:
        if latest_decision(name) is None:
            raise
    return name
