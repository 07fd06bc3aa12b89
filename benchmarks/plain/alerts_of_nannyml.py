"""What a plain run of NannyML alerts on, day by day. It needs NannyML and nothing of ours, so it runs in an environment of its own.

    PYTHON alerts_of_nannyml.py FOLDER TASK    FOLDER: of one model, as `benchmarks.calendar_year` writes it

Prints one JSON object: the days on which any column's univariate drift alerts, on which at least half of the columns' do, and on which
estimated performance does (CBPE: AUC or accuracy; of a regression direct loss estimation: the mean absolute error). All is as NannyML
has it by default, in chunks of a day.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import nannyml  # type: ignore[import-not-found]
import pandas as pd

DAY, PREDICTION, TARGET = "partition", "prediction", "target"
ONE_IN_TWO = 0.5


def main(folder: str, task: str) -> None:
    warnings.simplefilter("ignore")
    pd.set_option("future.infer_string", False)  # NannyML takes texts for numpy's objects
    reference, holdout, scored = (_read(Path(folder, f"{name}.parquet"), task) for name in ("reference", "holdout", "scored"))
    features = [name for name in reference.columns if name not in {DAY, PREDICTION, TARGET, "class"}]
    columns = [PREDICTION, *features]
    chunks = {"chunk_period": "D", "timestamp_column_name": DAY}
    drift = (
        nannyml.UnivariateDriftCalculator(column_names=columns, **chunks).fit(reference[[DAY, *columns]]).calculate(scored[[DAY, *columns]])
    )
    found = {column: _alerts(drift.filter(period="analysis", column_names=[column]).to_df()) for column in columns}
    drifted = pd.Series([day for days in found.values() for day in days]).value_counts()
    if task == "classification":
        metrics = ["roc_auc", "accuracy"]
        names = {"y_pred_proba": PREDICTION, "y_pred": "class", "y_true": TARGET}
        estimator = nannyml.CBPE(**names, metrics=metrics, problem_type="classification_binary", **chunks)
    else:
        estimator = nannyml.DLE(feature_column_names=features, y_pred=PREDICTION, y_true=TARGET, metrics=["mae"], **chunks)
    estimate = estimator.fit(holdout.dropna(subset=[TARGET])).estimate(scored)
    document = {
        "version": nannyml.__version__,
        "any column drifted": sorted(drifted.index),
        "half of the columns drifted": sorted(drifted.index[drifted >= ONE_IN_TWO * len(columns)]),
        "estimated performance": _alerts(estimate.filter(period="analysis").to_df()),
    }
    print(json.dumps(document))


def _read(path: Path, task: str) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    frame[DAY] = pd.to_datetime(frame[DAY].astype(str))
    for name in frame.columns:
        if pd.api.types.is_string_dtype(frame[name].dtype):
            frame[name] = frame[name].astype(object)
    if task == "classification":
        frame["class"] = (frame[PREDICTION] >= ONE_IN_TWO).astype(int)
    return frame


def _alerts(result: Any) -> list[str]:
    """The days on which anything of a result alerts."""
    alerts = result.loc[:, [name for name in result.columns if name[-1] == "alert"]].any(axis=1)
    starts = next(result[name] for name in result.columns if name[-1] == "start_date")
    return sorted({f"{day:%Y-%m-%d}" for day in pd.to_datetime(starts[alerts])})


if __name__ == "__main__":
    main(*sys.argv[1:])
