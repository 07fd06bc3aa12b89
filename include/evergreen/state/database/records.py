"""Rows as the dataclasses that the core hands on."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import sqlalchemy as sa

Record = TypeVar("Record")


def as_record(kind: type[Record], row: sa.Row[*tuple[Any, ...]], **others: Any) -> Record:
    """The row as the dataclass ``kind``: each field is a column of its name, or among ``others``; other columns are left out."""
    assert dataclasses.is_dataclass(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.name not in others]
    return kind(**{name: row._mapping[name] for name in names}, **others)
