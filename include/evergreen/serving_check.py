"""Loads a logged artifact and scores rows, in the clean process that `gates.serving` starts with a folder.

The folder holds `question.json` and `rows.parquet`; the answer is `predictions.npy`, or `error.json` (kind and words). This lies
outside the package `gates`, which would bring more into the process than serving needs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from include.evergreen.config import ModelConfig
from include.evergreen.errors import EvergreenError

QUESTION, ROWS, PREDICTIONS, ERROR = "question.json", "rows.parquet", "predictions.npy", "error.json"


def main(folder: Path) -> int:
    question = json.loads((folder / QUESTION).read_text(encoding="utf-8"))
    model = ModelConfig.model_validate(question["model"])
    try:
        _answer(folder, model, question)
    except EvergreenError as error:
        (folder / ERROR).write_text(json.dumps({"kind": type(error).__name__, "words": str(error)}), encoding="utf-8")
        return 1
    return 0


def _answer(folder: Path, model: ModelConfig, question: dict[str, str]) -> None:
    import numpy as np
    import pandas as pd

    from include.evergreen.registry.mlflow_store import load_model
    from include.evergreen.training.fitting import one_thread
    from include.evergreen.training.pipeline import predict

    pipeline = load_model(question["artifact_uri"], question["artifact_digest"], model.train.trusted_types)
    with one_thread():
        np.save(folder / PREDICTIONS, predict(pipeline, model, pd.read_parquet(folder / ROWS)))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
