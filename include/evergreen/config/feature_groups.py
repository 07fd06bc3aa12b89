"""Writes out the features of ``features_from``: those of a dataset's columns, and numbered ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.loader import describe
from include.evergreen.config.models import Feature, FeatureGroup, ModelConfig
from include.evergreen.config.wording import did_you_mean, listed
from include.evergreen.foundation.errors import ConfigError

MOST_NUMBERED: Final = 10_000
_KINDS: Final[dict[str, Literal["numeric", "categorical"]]] = {
    "integer": "numeric", "number": "numeric", "string": "categorical", "boolean": "categorical",
}  # fmt: skip
_RANGE: Final = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Declarations(Protocol):
    """What is asked of the catalog."""

    def dataset(self, name: str) -> DatasetConfig:
        """As `Catalog.dataset`.

        :param name: that of its folder
        :returns: the dataset as it is declared now
        """

    def model_path(self, name: str) -> Path:
        """As `Catalog.model_path`.

        :param name: that of its folder
        :returns: the absolute path of its file
        """


class _Unfit(Exception):
    """Why a group gives no features: the key, below the group, and what to do."""


def with_grouped_features(catalog: Declarations, model: ModelConfig) -> ModelConfig:
    """Put the features of ``features_from`` after those that are declared one by one.

    Raises `ConfigError`, too, when a dataset that a group names cannot be loaded.

    :param catalog: what is declared now
    :param model: the model as its file declares it
    :returns: the model with every feature under ``features``, and no ``features_from``: so a recipe holds each of them
    :raises ConfigError: with ``file:line: key: why`` for each group that gives no features, or one that is declared already
    """
    features, taken = list(model.features), set(model.feature_names)
    problems: list[tuple[tuple[Any, ...], str]] = []
    for index, group in enumerate(model.features_from):
        try:
            given = _given(catalog, model, group, taken)
        except _Unfit as error:
            key, text = error.args
            problems.append((("features_from", index, *([key] if key else [])), text))
            continue
        features += given
        taken |= {feature.name for feature in given}
    if problems:
        raise ConfigError("\n".join(describe(catalog.model_path(model.name), problems)))
    return model.model_copy(update={"features": tuple(features), "features_from": ()})


def _given(catalog: Declarations, model: ModelConfig, group: FeatureGroup, taken: set[str]) -> list[Feature]:
    given = list(_numbered(group) if group.numbered is not None else _of_columns(catalog, model, group))
    if repeated := [feature.name for feature in given if feature.name in taken]:
        raise _Unfit("", f"declares {listed(repeated)} once more; leave them out here, or where they stand already")
    return given


def _numbered(group: FeatureGroup) -> Iterator[Feature]:
    pattern = group.numbered or ""
    found = _RANGE.search(pattern)
    assert found is not None  # the declaration asks for it
    first, last = map(int, found.groups())
    if not first <= last < first + MOST_NUMBERED:
        raise _Unfit("numbered", f"{found[0]} must rise, by at most {MOST_NUMBERED} numbers; write it such as {{1..24}}")
    width = len(found[1]) if found[1].startswith("0") else 0
    for number in range(first, last + 1):
        written = f"{number:0{width}d}"
        assert group.kind is not None
        yield Feature(
            name=pattern.replace(found[0], written),
            kind=group.kind,
            description=(group.description or "").replace("{}", str(number)),
            **({} if group.personal is None else {"personal": group.personal}),
        )


def _of_columns(catalog: Declarations, model: ModelConfig, group: FeatureGroup) -> Iterator[Feature]:
    name = group.columns_of or ""
    inputs = [model_input.dataset for model_input in model.inputs]
    if name not in inputs:
        raise _Unfit("columns_of", f"{name!r} is not among the inputs; {did_you_mean(name, inputs)}allowed: {listed(inputs)}")
    dataset = catalog.dataset(name)
    never = {*dataset.keys, *([model.target.column] if model.target.dataset == name else [])}
    columns = [column for column in dataset.columns if column.name not in never and _matches(column.name, group.matching)]
    for pattern in (*group.matching, *group.without):
        if not any(_matches(column.name, (pattern,)) for column in dataset.columns):
            key = "without" if pattern in group.without else "matching"
            raise _Unfit(key, f"{pattern!r} matches no column of {name}; it has: {listed(dataset.column_names)}")
    columns = [column for column in columns if not _matches(column.name, group.without)]
    if not columns:
        raise _Unfit("matching", f"leaves no column of {name} but its keys and the target; it has: {listed(dataset.column_names)}")
    for column in columns:
        if column.type not in _KINDS:
            raise _Unfit(
                "matching", f"{column.name} is a {column.type}, and no feature as it stands; leave it out by without: [{column.name}]"
            )
        yield Feature(
            name=column.name,
            kind=group.kind or _KINDS[column.type],
            description=group.description or column.description,
            personal=column.personal if group.personal is None else group.personal,
        )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
