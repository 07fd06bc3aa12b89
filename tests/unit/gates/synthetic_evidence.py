"""Synthetic gate evidence: predictions that a test generates, without snapshot, artifact or database."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from include.evergreen.config import METRICS, Catalog, ModelConfig
from include.evergreen.features.columns import TARGET
from include.evergreen.features.reader import PARTITION_COLUMN
from include.evergreen.foundation.grain import DAILY
from include.evergreen.gates.bootstrap import Units
from include.evergreen.gates.comparators import Comparator
from include.evergreen.gates.evidence import Evidence
from include.evergreen.gates.scored import Rival, Scored
from include.evergreen.training.candidate import Candidate
from include.evergreen.training.metrics import Measures
from include.evergreen.training.snapshot import Snapshot

DAYS, ROWS_A_DAY = 7, 100
ROWS = DAYS * ROWS_A_DAY
DAY = "2013-01-20"
CANDIDATE = Candidate(
    run_key="0123456789abcdef", model="made_up", as_of=DAY, snapshot_digest="", recipe_digest="", signature_digest="", mlflow_run_id="",
    artifact_uri="", artifact_digest="", reference_path="", metrics={}, facts={},
)  # fmt: skip


def evidence_of(
    model: ModelConfig,
    labels: np.ndarray,
    predicted: np.ndarray,
    champion: np.ndarray | None = None,
    *,
    columns: dict[str, Any] | None = None,
    fitted_on: np.ndarray | None = None,
    why_no_champion: str = "there is no champion yet",
    fitted_before: int = 0,
    comparator: np.ndarray | None = None,
    measures: Measures | None = None,
) -> Evidence:
    """Rows of equal days in order, resampled by day; ``columns`` are features beside what the test needs none of.

    ``fitted_before``: the number of the day before which the champion was fitted.
    """
    days = np.repeat([str(DAILY.shift(DAY, -(DAYS - n))) for n in range(DAYS)], len(labels) // DAYS)
    scored = Scored(
        measures or Measures.trained(model, {}), labels.astype("float64"), predicted.astype("float64"), Units.days(days), 400, seed=1
    )
    holdout = pd.DataFrame({PARTITION_COLUMN: days, **(columns or {}), TARGET: labels})
    fit_rows = pd.DataFrame({TARGET: labels if fitted_on is None else fitted_on})
    others = None
    if champion is not None:
        first = str(DAILY.shift(DAY, -(DAYS - fitted_before)))
        others = Rival(1, scored.predicting(champion.astype("float64")), days >= first, first if fitted_before else None)
    snapshot = Snapshot("", model.name, DAY, 60, len(labels), {}, "")
    comparators = {}
    if comparator is not None:
        everywhere = np.ones(len(days), dtype=bool)
        comparators = {
            name: Comparator(7, Rival(7, scored.predicting(comparator.astype("float64")), everywhere)) for name in METRICS[model.task]
        }
    return Evidence(
        Catalog(),
        model,
        CANDIDATE,
        snapshot,
        None,
        fit_rows,
        holdout,
        scored,
        others,
        why_no_champion,
        comparators,  # type: ignore[arg-type]
    )


def late(random: np.random.Generator, rows: int = ROWS, *, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Truths of 0 and 1, and the chances that they were drawn with."""
    chances = 1 / (1 + np.exp(1 - random.normal(0, strength, rows)))
    return (random.random(rows) < chances).astype("float64"), chances
