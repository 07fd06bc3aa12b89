"""What may be stored: checked as it is bound, alike for every database.

SQLite takes texts longer than their column, whole numbers beyond it, NaN in JSON and NUL in text; PostgreSQL refuses each of
these in words of its own, and takes NaN as a number, which SQLite refuses. Here all of them are refused, with the column's name.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import operator
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.errors import DataError

BITS = {sa.Integer: 31, sa.SmallInteger: 15, sa.BigInteger: 63}


class UnstorableError(DataError, sa.exc.DontWrapMixin):  # SQLAlchemy wraps any other in its own
    """A value that not every database stores, or that one of them would store as another."""


class Moment(sa.TypeDecorator[dt.datetime]):
    """A timestamp in UTC: aware in Python, naive on disk where the database knows no zones."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Turn an aware time into the naive time in UTC that is stored; refuse one that does not say what it means.

        :param value: what is bound; None stays None
        :param dialect: the database's
        :returns: the naive time in UTC that is stored
        :raises UnstorableError: when the time has no zone
        """
        if value is not None and value.tzinfo is None:
            raise UnstorableError(f"The time {value} has no time zone, so nobody knows when it is. Give it one, such as UTC.")
        return None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Make a time as it is stored aware.

        :param value: the naive time in UTC that is stored; None stays None
        :param dialect: the database's
        :returns: the time, aware and in UTC
        """
        return None if value is None else value.replace(tzinfo=dt.UTC)


class Text(sa.TypeDecorator[str]):
    """Text without NUL characters, of at most ``length`` characters where a column has a length.

    :param column: ``table.column``, for errors
    :param length: the most characters; None: any number
    :param kind: SQLAlchemy's type that the column is declared with
    """

    impl: Any = sa.String
    cache_ok = True

    def __init__(self, column: str, length: int | None = None, kind: type[sa.String] = sa.String) -> None:
        super().__init__(length)
        self.impl = kind(length)
        self.column, self.length, self.kind = column, length, kind

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Refuse text that is too long, or that is none.

        :param value: what is bound; None stays None
        :param dialect: the database's
        :returns: the text
        :raises UnstorableError: when it is no text, is too long, or has characters that not every database stores
        """
        if value is None:
            return None
        if not isinstance(value, str):
            raise UnstorableError(f"{self.column} is text, and {type(value).__name__} was to be stored in it.")
        if self.length is not None and len(value) > self.length:
            raise UnstorableError(f"{self.column} has {len(value)} characters; allowed: {self.length}. Shorten it.")
        if (trouble := _trouble(value)) is not None:
            raise UnstorableError(f"{self.column} {trouble}. Leave it out.")
        return value

    def coerce_compared_value(self, op: Any, value: Any) -> Text:
        """Compare with text of any length: what is too long equals nothing.

        :param op: the comparison; not used
        :param value: what is compared; not used
        :returns: the type by which it is bound: of the same column, without its length
        """
        return Text(self.column, kind=self.kind)


class Whole(sa.TypeDecorator[int]):
    """A whole number within the bits of its column.

    :param column: ``table.column``, for errors
    :param kind: SQLAlchemy's type that the column is declared with, one of `BITS`
    """

    impl: Any = sa.Integer
    cache_ok = True

    def __init__(self, column: str, kind: type[sa.Integer] = sa.Integer) -> None:
        super().__init__()
        self.impl = kind()
        self.column, self.kind = column, kind

    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> int | None:
        """Make a number of NumPy's one of Python's, and refuse one that is too large, or not whole.

        :param value: what is bound; None stays None
        :param dialect: the database's
        :returns: the number
        :raises UnstorableError: when it is not whole, or beyond the column's bits
        """
        if value is None:
            return None
        try:
            number = operator.index(value)
        except TypeError:
            raise UnstorableError(f"{self.column} is a whole number, and {value!r} was to be stored in it.") from None
        bits = BITS[self.kind]
        if not -(2**bits) <= number < 2**bits:
            raise UnstorableError(f"{self.column} is {number}; allowed: whole numbers from -2^{bits} to 2^{bits} - 1.")
        return number


class Real(sa.TypeDecorator[float]):
    """A number: NaN is none.

    :param column: ``table.column``, for errors
    """

    impl = sa.Float
    cache_ok = True

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column

    def process_bind_param(self, value: float | None, dialect: sa.Dialect) -> float | None:
        """Make a number of NumPy's one of Python's, and refuse NaN.

        :param value: what is bound; None stays None
        :param dialect: the database's
        :returns: the number
        :raises UnstorableError: when it is NaN
        """
        if value is None:
            return None
        if math.isnan(number := float(value)):
            raise UnstorableError(f"{self.column} is NaN, which is no number. Leave out what cannot be computed.")
        return number


def check_what_is_bound(metadata: sa.MetaData) -> None:
    """Give every column of all tables the type here that checks what it is to store.

    :param metadata: the tables as they are declared; the types of their columns are replaced in place
    """
    for table in metadata.tables.values():
        for column in table.columns:
            column.type = _checked(f"{table.name}.{column.name}", column.type)


def _checked(name: str, declared: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    if type(declared) in BITS:
        return Whole(name, type(declared))  # type: ignore[arg-type]
    if isinstance(declared, sa.String):
        return Text(name, declared.length, type(declared))
    return Real(name) if isinstance(declared, sa.Float) else declared


def to_json(document: object) -> str:
    """Write a JSON document as every database takes it: the serializer of all JSON columns.

    :param document: of Python's own types
    :returns: its text
    :raises UnstorableError: when a number in it is not finite, or a text is not Unicode; names where
    """
    try:
        text = json.dumps(document, allow_nan=False)
    except ValueError as error:
        raise UnstorableError(_problem(document) or f"The document is no JSON: {error}.") from None
    if "\\ud" in text and (problem := _problem(document)):
        raise UnstorableError(problem)
    return text


def _problem(value: object, where: str = "$") -> str | None:
    """The first part of a document that is not JSON, and its place."""
    if isinstance(value, dict):
        return next(filter(None, (_problem(part, f"{where}.{key}") or _problem(key, where) for key, part in value.items())), None)
    if isinstance(value, list | tuple):
        return next(filter(None, (_problem(part, f"{where}[{number}]") for number, part in enumerate(value))), None)
    if isinstance(value, float) and not math.isfinite(value):
        return f"The document has {value} at {where}, which is no number in JSON. Leave out what cannot be computed, or say null."
    if isinstance(value, str) and (trouble := _trouble(value, may_have_nul=True)):
        return f"The document has at {where} a text that {trouble}. Leave it out."
    return None


def _trouble(text: str, *, may_have_nul: bool = False) -> str | None:
    if not may_have_nul and "\0" in text:
        return f"has a NUL character at position {text.index(chr(0))}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"has half a character at position {error.start}"
    return None
