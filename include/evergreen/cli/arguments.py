"""Arguments that several verbs share, and how their text becomes a value."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY, Partition, parse_any
from include.evergreen.foundation.span import Span

if TYPE_CHECKING:
    from include.evergreen.config import Catalog

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def add_verb(
    verbs: Verbs,
    common: argparse.ArgumentParser,
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
    details: str = ".",
) -> argparse.ArgumentParser:
    """Add a verb to the command line, or to a group's.

    :param verbs: where it is added
    :param common: the options that every verb has
    :param name: what people type
    :param text: its line in the list of verbs, in lower case; its own ``--help`` begins with it as a sentence
    :param run: carries it out; returns the exit code
    :param details: what its own ``--help`` says after ``text``, punctuation included
    :returns: the verb's parser, for arguments of its own
    """
    verb = verbs.add_parser(name, parents=[common], help=text, description=_sentence(text) + details)
    verb.set_defaults(verb=run)
    return verb


def add_group(verbs: Verbs, common: argparse.ArgumentParser, name: str, text: str, noun: str = "verb") -> Verbs:
    """Add a word that is followed by verbs of its own, such as ``alerts``.

    :param verbs: where it is added
    :param common: the options that every verb has
    :param name: what people type
    :param text: its line in the list of verbs, in lower case; its own ``--help`` begins with it as a sentence
    :param noun: what the help calls its verbs, in the singular
    :returns: where those are added, with `add_verb`
    """
    group = verbs.add_parser(name, parents=[common], help=text, description=_sentence(text) + ".")
    return group.add_subparsers(title=f"{noun}s", metavar=noun.upper(), required=True)


def _sentence(text: str) -> str:
    """With a capital at its beginning, and the rest as it is: `str.capitalize` would make SQL sql."""
    return text[:1].upper() + text[1:]


def add_model(verb: argparse.ArgumentParser) -> None:
    """Add the model's name as the verb's next positional argument.

    :param verb: gets ``model``, a text that nothing has checked yet
    """
    verb.add_argument("model", metavar="MODEL", help="the name of a declared model")


def add_json(verb: argparse.ArgumentParser) -> None:
    """Add ``--json``, for scripts that read what the verb prints.

    :param verb: gets ``json``, false unless it is given
    """
    verb.add_argument("--json", action="store_true", help="print one JSON document")


def partition(text: str) -> Partition:
    """The partition that is named by a date on the command line. Passes on `ConfigError` when it is none.

    :param text: such as ``2013-02-09``
    :returns: the day
    """
    return parse_any(text, subject="the date")


def span(text: str) -> Span:
    """The length that is named on the command line. Passes on `ConfigError` when it is none.

    :param text: such as ``60 days``
    :returns: the span
    """
    return Span.parse(text, subject="the length")


def parse_end(text: str) -> dt.datetime:
    """The timestamp that a text names; of a bare date, its last instant. Passes on `ConfigError` for any other text.

    :param text: ISO 8601: a date, or a date and a time, in UTC unless it says otherwise
    :returns: in UTC
    """
    return DAILY.end(DAILY.parse(text)) - dt.timedelta.resolution if is_date(text) else _moment(text)


def parse_start(text: str) -> dt.datetime:
    """As `parse_end`; of a bare date, its first instant.

    :param text: ISO 8601: a date, or a date and a time, in UTC unless it says otherwise
    :returns: in UTC
    """
    return DAILY.start(DAILY.parse(text)) if is_date(text) else _moment(text)


def is_date(text: str) -> bool:
    """Whether a text is a bare date, with no time of day.

    :param text: as it was typed
    :returns: true for a real date, such as ``2013-02-09``
    """
    try:
        DAILY.parse(text)
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
    """Check that a model of this name is declared or ever was decided on: the past of a retired model stays readable.

    Its YAML is not parsed, so that a broken one hides no history.

    :param catalog: what is declared now
    :param name: as it was typed
    :returns: ``name`` itself
    :raises ConfigError: when no model of this name is declared or was ever decided on
    """
    from include.evergreen.gates.decision import latest_decision

    try:
        catalog.model_path(name)
    except ConfigError:
        if latest_decision(name) is None:
            raise
    return name


def write_output(file: Path, content: bytes) -> None:
    """Write the copy that ``--output FILE`` asks for.

    :param file: replaced when it exists
    :param content: what is written, byte for byte
    :raises ConfigError: when the file cannot be written
    """
    try:
        file.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"--output {file} cannot be written: {error.strerror}. Name a file in a folder that exists.") from error
