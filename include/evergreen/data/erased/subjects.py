"""Erased subjects, known by keyed hashes alone; rows of theirs that a source still delivers are dropped."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen.config import DatasetConfig
from include.evergreen.data.conditions import as_texts, canonical_text
from include.evergreen.data.erased.secret import VARIABLE, fingerprint, secret
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.state import ledger
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import erasures

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Erased:
    """All subjects of one dataset that were named by the same columns."""

    columns: tuple[str, ...]
    hashes: frozenset[str]


def subject_hash(values: dict[str, Any], key: bytes) -> str:
    """Return HMAC-SHA256 (RFC 2104) of a person's key columns as 64 hex digits, the same whatever types the values were stored in.

    :param values: the person's value in each key column, by the column's name; None is a missing value
    :param key: the secret, as `secret` returns it
    :returns: what ``erasures.subject_hash`` records of the person
    """
    return _hash("".join(_framed(name, canonical_text(values[name])) for name in sorted(values)), key)


def without_erased(dataset: DatasetConfig, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Drop the rows of people who were erased from what a source delivers. Raises what `erased_subjects` does, before the first batch.

    :param dataset: as it is declared now
    :param batches: the source's rows, in the schema of `arrow_schema`
    :yields: for each batch what is left of it, in the same order; it may have no rows
    """
    known = erased_subjects(dataset)
    key = secret() if known else b""
    for batch in batches:
        for subjects in known:
            batch = _without(batch, subjects, key)  # noqa: PLW2901
        yield batch


def erased_subjects(dataset: DatasetConfig) -> list[Erased]:
    """Return the people who were erased from a dataset, one `Erased` for all who were named by the same columns.

    :param dataset: as it is declared now
    :returns: ordered by their columns; empty when nobody was erased
    :raises ConfigError: when they were hashed with another secret than this process has, or by a column that ``dataset`` no
        longer declares: their rows would come back
    :raises DataError: when the ledger says otherwise of one of them
    """
    with reading() as connection:
        rows = connection.execute(erasures.select().where(erasures.c.dataset == dataset.name)).all()
        problem = next(ledger.differences(connection, erasures, [row._mapping for row in rows]), "")
    if problem:
        raise DataError(
            f"{problem}, so what the source still delivers of erased people cannot be told. Find out who changed the database, and restore "
            f"its erasures from a backup."
        )
    if any(row.detail["secret"] != fingerprint() for row in rows):
        raise ConfigError(
            f"{dataset.name}: rows of people were erased under another secret than this process has, so what the source still "
            f"delivers of them cannot be told. Give every machine the same {VARIABLE}, or the same erasure.key under EVERGREEN_HOME."
        )
    by_columns: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        by_columns.setdefault(tuple(row.columns.split(",")), set()).add(row.subject_hash)
    for columns in by_columns:
        if unknown := [name for name in columns if name not in dataset.column_names]:
            raise ConfigError(
                f"{dataset.name} no longer declares {', '.join(unknown)}, by which people were erased; without it their rows would come "
                f"back. Declare it again, or ask whoever answers for personal data."
            )
    return [Erased(columns, frozenset(hashes)) for columns, hashes in sorted(by_columns.items())]


def _without(batch: pa.RecordBatch, erased: Erased, key: bytes) -> pa.RecordBatch:
    """Text is put together for the whole batch at once, and hashed once for each person: 1M different ones take about 5 s."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not batch.num_rows:
        return batch
    people = pc.binary_join_element_wise(*(_framed_column(name, batch.column(name)) for name in sorted(erased.columns)), "")
    gone = [person for person in people.unique().to_pylist() if _hash(person, key) in erased.hashes]
    return batch.filter(pc.invert(pc.is_in(people, pa.array(gone, pa.string())))) if gone else batch


def _hash(text: str, key: bytes) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def _framed(name: str, text: str | None) -> str:
    """With the length of the text in bytes, so that no two lists of values look the same."""
    return f"{name}=;" if text is None else f"{name}={len(text.encode())}:{text};"


def _framed_column(name: str, column: pa.Array) -> pa.Array:
    """`_framed` of each value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        text = pc.cast(column, pa.string())
    else:
        text = as_texts(column)
    length = pc.cast(pc.binary_length(text), pa.string())
    return pc.fill_null(pc.binary_join_element_wise(f"{name}=", length, ":", text, ";", ""), f"{name}=;")
