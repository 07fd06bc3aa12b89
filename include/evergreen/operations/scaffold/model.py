"""Generates a model.yaml and a features.py from the datasets of its rows and its target."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.config.datasets import Column
from include.evergreen.config.wording import did_you_mean, listed
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Grain
from include.evergreen.foundation.span import Span
from include.evergreen.operations.scaffold.writing import filled, free_folder, in_yaml, schema_from, write_declaration

DAYS = (Span(60, "day"), Span(14, "day"), Span(7, "day"))
LONGER = (24, 12, 5)
_OF_TASK = {
    "regression": {"estimator": "sklearn.linear_model.Ridge", "metric": "mae", "bound": "at_most: 10"},
    "classification": {"estimator": "sklearn.linear_model.LogisticRegression", "metric": "auc", "bound": "at_least: 0.7"},
    "multiclass": {"estimator": "sklearn.linear_model.LogisticRegression", "metric": "macro_f1", "bound": "at_least: 0.5"},
}


def new_model(catalog: Catalog, name: str, *, rows: str, target: str, positive_above: float | None, owner: str) -> Path:
    """Declare a model to begin with: the columns of its rows, without the keys, are its features.

    :param catalog: what is declared now; its root gets the model's folder
    :param name: of the model, which must be free
    :param rows: the dataset whose rows are scored
    :param target: what is predicted, as ``DATASET.COLUMN``
    :param positive_above: a row whose target is above it is of the positive class; None: a regression, unless the column is a boolean,
        or a text, which begins with several classes
    :param owner: as model.yaml shows it
    :returns: the path of its model.yaml
    :raises ConfigError: when the target is a timestamp, or a text that is to be above a number; and for a name that is none or is taken,
        an unknown dataset or column, and rows that have nothing but keys
    """
    folder = free_folder(catalog, "model", name)
    scored = catalog.dataset(rows)
    target_dataset, column = _target(catalog, target)
    if column.type == "timestamp" or (column.type == "string" and positive_above is not None):
        raise ConfigError(
            f"the target {target} is a {column.type}; new-model begins with an integer, a number, a boolean or a text, and a text is above "
            f"no number. For two classes of a text, write target.positive by hand: docs/guides/declaring-a-model.md."
        )
    if positive_above is None and column.type == "boolean":
        positive_above = 0
    features = _features(scored, but=column.name if target_dataset.name == rows else None)
    task = "multiclass" if column.type == "string" else "regression" if positive_above is None else "classification"
    values = {
        "schema": schema_from(folder, "model"),
        "name": name,
        "owner": in_yaml(owner),
        "task": task,
        "rows": rows,
        "lag": _lag(scored),
        **_lengths(scored.grain),
        "truth": target_dataset.name,
        "column": in_yaml(column.name),
        "above": "" if positive_above is None else f", positive_above: {positive_above:g}",
        "features": "\n".join(map(_declared, features)),
        **_OF_TASK[task],
    }
    computed = "\n".join(f"            {json.dumps(feature.name)}: rows[{json.dumps(feature.name)}]," for feature in features)
    texts = {"model.yaml": filled("model.yaml", values), "features.py": filled("features.py", {"rows": rows, "features": computed})}
    write_declaration(folder, texts)
    return folder / "model.yaml"


def _target(catalog: Catalog, text: str) -> tuple[DatasetConfig, Column]:
    name, _, column = text.partition(".")
    if not column:
        raise ConfigError(f"the target {text!r} names no column; write DATASET.COLUMN, such as deliveries.minutes.")
    dataset = catalog.dataset(name)
    columns = {declared.name: declared for declared in dataset.columns}
    if column not in columns:
        raise ConfigError(f"{name} has no column {column!r}; {did_you_mean(column, columns)}it has: {listed(columns)}.")
    return dataset, columns[column]


def _features(dataset: DatasetConfig, *, but: str | None) -> list[Column]:
    """The columns that can be features as they are: a timestamp cannot, and what identifies a row teaches nothing."""
    features = [column for column in dataset.columns if column.type != "timestamp" and column.name not in (but, *dataset.keys)]
    if not features:
        raise ConfigError(
            f"{dataset.name} has no column that could be a feature beside its keys ({listed(dataset.keys)}). "
            f"Declare its other columns, or write the model by hand: docs/guides/declaring-a-model.md."
        )
    return features


def _declared(column: Column) -> str:
    kind = "categorical" if column.type == "string" else "numeric"
    personal = ", personal: true" if column.personal else ""
    return f"  - {{name: {in_yaml(column.name)}, kind: {kind}, description: {json.dumps(column.description)}{personal}}}"


def _lengths(grain: Grain) -> dict[str, Span]:
    """How much a training reads, must have and holds out, to begin with: two months of days, or two dozen of longer partitions."""
    if grain.is_whole(DAYS[0]):
        window, least, holdout = DAYS
    else:
        window, least, holdout = (grain.span_of(partitions) for partitions in LONGER)
    return {"window": window, "least": least, "holdout": holdout}


def _lag(dataset: DatasetConfig) -> Span:
    """How much earlier a partition must be for it to be known when one begins."""
    partition = dataset.schedule.first
    later = dataset.grain.at(dataset.known_from(partition) - dt.timedelta.resolution)
    return dataset.grain.span_of(max(0, dataset.grain.number(later) + 1 - dataset.grain.number(partition)))
