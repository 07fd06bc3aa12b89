"""Rows as the dataclasses that the core hands on."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import sqlalchemy as sa

Record = TypeVar("Record")


def as_record(kind: type[Record], row: sa.Row[*tuple[Any, ...]], **others: Any) -> Record:
    """Turn a row into the dataclass that stands for it.

    :param kind: the dataclass; each of its fields is a column of that name, or one of ``others``
    :param row: it may have more columns, which are left out
    :param **others: the values of fields that no column has, by name; they go before columns
    :returns: an instance of ``kind``
    """
    assert dataclasses.is_dataclass(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.name not in others]
    return kind(**{name: row._mapping[name] for name in names}, **others)
