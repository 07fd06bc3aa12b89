"""The serving check: loads a logged artifact and scores rows, in the clean process that `gates.serving` starts with a folder.

The folder holds `question.json` and `rows.parquet`; the answer is `predictions.npy`, or `error.json` (its kind, and the message under
`message`). This lies outside the package `gates`, and asks for no model's configuration, as either would bring more into the process
than serving needs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from include.evergreen.foundation.errors import EvergreenError

QUESTION, ROWS, PREDICTIONS, ERROR = "question.json", "rows.parquet", "predictions.npy", "error.json"


def main(folder: Path) -> int:
    """Answer the question in a folder.

    :param folder: where the question lies, and the answer is put
    :returns: the exit code: 0 for predictions, 1 for an error of Evergreen's own, which ``error.json`` tells
    """
    question = json.loads((folder / QUESTION).read_text(encoding="utf-8"))
    try:
        _answer(folder, **question)
    except EvergreenError as error:
        (folder / ERROR).write_text(json.dumps({"kind": type(error).__name__, "message": str(error)}), encoding="utf-8")
        return 1
    return 0


def _answer(folder: Path, *, task: str, trusted_types: list[str], artifact_uri: str, artifact_digest: str) -> None:
    import numpy as np
    import pandas as pd

    from include.evergreen.serving.inference import one_thread, predicted
    from include.evergreen.state.mlflow_store import load_model

    pipeline = load_model(artifact_uri, artifact_digest, trusted_types)
    with one_thread():
        np.save(folder / PREDICTIONS, predicted(pipeline, task, pd.read_parquet(folder / ROWS)))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
