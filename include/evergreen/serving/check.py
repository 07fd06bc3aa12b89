"""The serving check: loads a logged artifact and scores rows, in the clean process that `gates.serving` starts with a folder.

The folder holds `question.json` and `rows.parquet`; the answer is `predictions.npy`, or `error.json`: its ``kind`` (of ours by the
class's name, or `CANNOT_PREDICT`), its ``message`` and, of what the pipeline raised, the class's name under ``raised``. This lies outside
the package `gates`, and asks for no model's configuration, as either would bring more into the process than serving needs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from include.evergreen.foundation.errors import EvergreenError, TransientError

QUESTION, ROWS, PREDICTIONS, ERROR = "question.json", "rows.parquet", "predictions.npy", "error.json"
CANNOT_PREDICT = "cannot predict"


def main(folder: Path) -> int:
    """Answer the question in a folder. What is raised outside of the artifact's own doing has no answer, and says nothing of it.

    :param folder: where the question lies, and the answer is put
    :returns: the exit code: 0 for predictions, 1 for an error that ``error.json`` tells
    """
    question = json.loads((folder / QUESTION).read_text(encoding="utf-8"))
    try:
        _answer(folder, **question)
    except EvergreenError as error:
        return _tell(folder, type(error).__name__, str(error))
    except _CannotPredictError as error:
        return _tell(folder, CANNOT_PREDICT, str(error.__cause__), type(error.__cause__).__name__)
    except (MemoryError, OSError) as error:  # of the machine
        return _tell(folder, TransientError.__name__, f"{type(error).__name__}: {error}")
    return 0


class _CannotPredictError(Exception):
    """The pipeline raised its cause."""


def _answer(folder: Path, *, task: str, trusted_types: list[str], artifact_uri: str, artifact_digest: str) -> None:
    import numpy as np
    import pandas as pd

    from include.evergreen.serving.inference import one_thread, predicted
    from include.evergreen.state.mlflow_store import load_model

    rows = pd.read_parquet(folder / ROWS)
    pipeline = load_model(artifact_uri, artifact_digest, trusted_types)
    with one_thread():
        try:
            predictions = predicted(pipeline, task, rows)
        except (EvergreenError, MemoryError, OSError):
            raise
        except Exception as error:  # whatever an estimator raises
            raise _CannotPredictError from error
    np.save(folder / PREDICTIONS, predictions)


def _tell(folder: Path, kind: str, message: str, raised: str = "") -> int:
    (folder / ERROR).write_text(json.dumps({"kind": kind, "message": message, "raised": raised}), encoding="utf-8")
    return 1


if __name__ == "__main__":
    from include.evergreen.foundation.garbage import collect_seldom

    collect_seldom()
    sys.exit(main(Path(sys.argv[1])))
