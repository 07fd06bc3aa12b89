"""Simulated rows of which it is known how labels come about: references and windows for tests of estimates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from include.evergreen.config import ModelConfig
from include.evergreen.monitoring.estimates.rows import Reference, Rows
from include.evergreen.serving.likeliest import likeliest
from include.evergreen.training.metrics import Measures

CLASSIFICATION, MULTICLASS, REGRESSION = "classification", "multiclass", "regression"
CLASSES = ("ash", "birch", "cedar")


def declared(task: str, *, resample: str = "rows", **changes: Any) -> ModelConfig:
    two_classes = {"positive_above": 0} if task == CLASSIFICATION else {}
    metric = {CLASSIFICATION: "auc", MULTICLASS: "log_loss", REGRESSION: "mae"}[task]
    return ModelConfig.model_validate(
        {
            "name": "simulated", "description": "", "owner": "", "task": task, "rows": "rows",
            "inputs": [{"dataset": "rows", "lag": "0 days"}], "target": {"dataset": "rows", "column": "label", **two_classes},
            "features": [{"name": "a", "kind": "numeric", "description": ""}, {"name": "b", "kind": "numeric", "description": ""}],
            "train": {"estimator": "sklearn.linear_model.Ridge", "window": "10 days", "min_history": "8 days", "holdout": "1 day"},
            "gate": {"criteria": [{"kind": "absolute", "metric": metric, "at_least": 0}], "resample": resample},
            **changes,
        }
    )  # fmt: skip


def measures(task: str, **changes: Any) -> Measures:
    classes = CLASSES if task == MULTICLASS else ()
    return Measures(declared(task, **changes), 0.5, classes=classes, own_classes=classes)


def drawn(task: str, rows: int, seed: int, *, spread: float = 1.0, drift: float = 0.0, days: int = 1, of_day: float = 0.0) -> Reference:
    """Rows whose model knows nothing of the product of a and b; ``drift`` moves labels alone, ``of_day`` is a day's own part of them."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 2)) * spread
    day = np.arange(rows) * days // rows
    known, unknown = 1.5 * features[:, 0], features[:, 0] * features[:, 1] + drift + of_day * random.normal(size=days)[day]
    if task == CLASSIFICATION:
        labels = (random.random(rows) < 1 / (1 + np.exp(-known - unknown))).astype("float64")
        predicted = 1 / (1 + np.exp(-known))
    elif task == MULTICLASS:
        scores = np.stack([known, features[:, 1], np.zeros(rows)], axis=1)
        predicted = likeliest(softmax(scores, axis=1))
        scores[:, 0] += unknown
        labels = (random.random(rows)[:, None] > softmax(scores, axis=1).cumsum(axis=1)[:, :-1]).sum(axis=1).astype("float64")
    else:
        labels, predicted = 20 + known + unknown + random.normal(size=rows), 20 + known
    classes = CLASSES if task == MULTICLASS else ()
    return Reference(pd.DataFrame(features, columns=["a", "b"]), predicted, labels, day.astype(str), classes)


def window(reference: Reference, days: int = 1) -> Rows:
    """The rows without their labels."""
    return Rows(reference.features, reference.predicted, days, len(reference.predicted))


def realised(task: str, drawn_rows: Reference) -> dict[str, float]:
    return measures(task).measure(drawn_rows.labels, drawn_rows.predicted)
