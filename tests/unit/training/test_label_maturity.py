"""Labels that come late, by a law that is known: what a model learns that waits for them, and what it learns that does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import feature_frame
from include.evergreen.features.columns import PARTITION, TARGET, as_columns
from include.evergreen.features.labels import join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.training.fitting import learn
from include.evergreen.training.pipeline import declared, predict
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.late_labels import MODEL, chargebacks, day, declare, deliver, payments

WITHIN, CHANCE_A_DAY = 30, 0.08  # each day one in twelve of the chargebacks that are still to come, all of them within thirty days
WINDOW, ROWS = 70, 400
AS_OF = day(WINDOW)
ARRIVED = (1 - (1 - CHANCE_A_DAY) ** np.arange(WINDOW)) / (1 - (1 - CHANCE_A_DAY) ** WITHIN)
SEEN = float(np.minimum(ARRIVED, 1).mean())  # of the window's chargebacks those that an as_of knows, by the law
MATURE = (WINDOW - WITHIN) / WINDOW  # of its days


@pytest.fixture(scope="module")
def _frames() -> dict[str, list[pd.DataFrame]]:
    return {
        "payments": [payments(day(number), ROWS) for number in range(WINDOW)],
        "chargebacks": [chargebacks(day(number), ROWS, WITHIN, CHANCE_A_DAY) for number in range(WINDOW)],
    }


@pytest.fixture
def catalog(home: Path, tmp_path: Path, _frames: dict[str, list[pd.DataFrame]]) -> Catalog:
    for number in range(WINDOW):
        deliver("payments", day(number), _frames["payments"][number][["payment", "amount"]])
        deliver("chargebacks", day(number), _frames["chargebacks"][number])
    target = f"within: {WITHIN} days, absent: negative"
    return declare(tmp_path / "include", target=target, train=f"window: {WINDOW} days, min_history: 20 days, holdout: 7 days")


def test_a_model_that_waits_predicts_the_true_rate_and_one_that_takes_absent_for_negative_at_once_does_not(catalog: Catalog) -> None:
    model = catalog.model(MODEL)
    at_once = _labelled_at_once(catalog, model)
    of_mature_days = take_snapshot(catalog, model, AS_OF).frame()
    is_mature = at_once[PARTITION].isin(of_mature_days[PARTITION])
    assert is_mature.mean() == pytest.approx(MATURE)
    fresh = pd.concat([payments(day(number), ROWS) for number in range(WINDOW + 1, WINDOW + 61)])
    true = float(fresh["chance"].mean())
    waits, at_once_rate, early = (
        _mean_prediction(model, rows, fresh) for rows in (of_mature_days, at_once, at_once[is_mature | (at_once[TARGET] == 1)])
    )
    error = 4 * np.sqrt(true * (1 - true) / len(of_mature_days))  # four standard errors of a rate over so many rows
    assert waits == pytest.approx(true, abs=error)
    assert at_once_rate == pytest.approx(true * SEEN, abs=error)
    positive, negative = SEEN * fresh["chance"], MATURE * (1 - fresh["chance"])  # of each payment, how many of its kind are learnt from
    assert early == pytest.approx((positive / (positive + negative)).mean(), abs=error)
    assert at_once_rate < true - 2 * error and early > true + error, "either is told from the true rate"


def _labelled_at_once(catalog: Catalog, model: ModelConfig) -> pd.DataFrame:
    """A training frame of every day of the window, in which what has no label yet is negative."""
    cache, frames = PartitionCache(AS_OF, model=model), []
    for number in range(WINDOW):
        rows, features = feature_frame(catalog, model, day(number), cache)
        labels = replace(known_labels(catalog, model, day(number), cache), missing=())
        frame = as_columns(features).assign(**{TARGET: join_labels(catalog, model, rows, labels, cache), PARTITION: str(day(number))})
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _mean_prediction(model: ModelConfig, rows: pd.DataFrame, fresh: pd.DataFrame) -> float:
    return float(predict(learn(model, rows, declared(model)), model, fresh[["amount"]]).mean())
