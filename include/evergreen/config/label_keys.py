"""How rows find their labels: by the keys of the target's dataset, which must be keys of the rows, too."""

from __future__ import annotations

from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.wording import listed

ALIKE = frozenset({"integer", "number", "string"})  # of which equal values have one text: 10, 10.0 and "10"


def keys_problem(rows: DatasetConfig, target: DatasetConfig) -> str:
    """Say why no row would find its label, or one row several.

    The labels may have the rows' keys in another order, or fewer of them, and types of which a value has one text.

    :param rows: the dataset of a model's rows
    :param target: the dataset of their labels
    :returns: what is wrong and what would do, without a full stop; empty when they can be joined
    """
    rule = f"rows of {rows.name} find their labels in {target.name} by the keys of {target.name}, which must"
    if not rows.keys or not target.keys:
        return f"{rule} be among those of {rows.name}; got {listed(target.keys)} and {listed(rows.keys)}. Declare keys in both dataset.yaml"
    if unknown := [key for key in target.keys if key not in rows.keys]:
        several = ", so one row may find several labels" if set(rows.keys) < set(target.keys) else ""
        return (
            f"{rule} be among those of {rows.name} ({listed(rows.keys)}); {listed(unknown)} {'is' if len(unknown) == 1 else 'are'} "
            f"not{several}. Score rows that have the key, or take the labels from a dataset with one row for each {listed(rows.keys)}"
        )
    here, there = ({column.name: column.type for column in dataset.columns} for dataset in (target, rows))
    differing = [
        f"{key} is {a_type(there[key])} in {rows.name} and {a_type(here[key])} in {target.name}"
        for key in target.keys
        if here[key] != there[key] and not {here[key], there[key]} <= ALIKE
    ]
    return f"{rule} be of types that compare: {listed(differing)}. Declare one type in both dataset.yaml" if differing else ""


def a_type(kind: str) -> str:
    """Name a column's type with its article.

    :param kind: as dataset.yaml names it
    :returns: such as ``an integer``
    """
    return f"{'an' if kind == 'integer' else 'a'} {kind}"
