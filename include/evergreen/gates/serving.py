"""The serving check: a clean process loads the artifact and must predict the holdout bit for bit as the gate did.

It shows that the artifact does not depend on what this process happened to have imported, patched or kept in memory.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from include.evergreen.foundation.errors import TransientError
from include.evergreen.gates.criteria import CriterionResult, Verdict
from include.evergreen.gates.evidence import Evidence
from include.evergreen.serving import check
from include.evergreen.serving.check import ERROR, PREDICTIONS, QUESTION, ROWS
from include.evergreen.serving.clean_processes import CleanProcess, clean_environment, fork_clean_process, start_interpreter
from include.evergreen.state.mlflow_store import UnloadableError

KIND, METRIC = "serving", "equal_predictions"
LONGEST_LAST_WORDS = 300
CANNOT_SERVE = "a clean process cannot load the artifact and score with it"


class ServingCheck:
    """Within it, the process runs beside whatever else is judged; `result` waits for it. However it ends, nothing of it is left.

    :param evidence: the candidate and its holdout
    :param timeout_seconds: how long the process may take, from its start
    """

    def __init__(self, evidence: Evidence, timeout_seconds: float) -> None:
        self._evidence = evidence
        self._timeout = timeout_seconds
        self._undo = ExitStack()

    def __enter__(self) -> ServingCheck:
        with ExitStack() as undo:
            self._folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="evergreen-serving-")))
            judged = self._evidence.judged
            question = {
                "task": self._evidence.model.task,
                "trusted_types": self._evidence.model.train.trusted_types,
                "artifact_uri": judged.artifact_uri,
                "artifact_digest": judged.artifact_digest,
            }
            (self._folder / QUESTION).write_text(json.dumps(question), encoding="utf-8")
            self._evidence.features.to_parquet(self._folder / ROWS)
            self._began = time.monotonic()
            self._errors = undo.enter_context((self._folder / "stderr").open("w+b"))
            self._process = start_clean_process(self._folder, clean_environment(), self._errors)
            undo.callback(self._end)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._undo.close()

    def result(self) -> CriterionResult:
        """Wait for the clean process, and judge its answer.

        Raises `TransientError` when the machine is at fault: MLflow did not answer, or memory or disk were not enough.

        :returns: failed when it predicts differently, or the artifact cannot be loaded or cannot predict; not evaluated when it was ended,
            took too long or gave no answer, or the artifact is not what was logged
        """
        try:
            code = self._process.wait(max(0.0, self._timeout - (time.monotonic() - self._began)))
        except subprocess.TimeoutExpired:
            return _result("not_evaluated", f"a clean process did not load the artifact and score within {self._timeout:g} s")
        seconds = time.monotonic() - self._began
        if code < 0:
            return _result("not_evaluated", f"the clean process was ended by {signal.Signals(-code).name}; is there enough memory?")
        if code == 0:
            return self._compared(np.load(self._folder / PREDICTIONS), seconds)
        return self._without_predictions(code)

    def _without_predictions(self, code: int) -> CriterionResult:
        """Only what the artifact did itself rejects it."""
        match told := self._told():
            case {"kind": TransientError.__name__}:
                raise TransientError(f"In the clean process: {told['message']}")
            case {"kind": UnloadableError.__name__}:
                return _result("failed", f"{CANNOT_SERVE}: {told['message']}")
            case {"kind": check.CANNOT_PREDICT, "raised": raised}:
                return _result("failed", f"{CANNOT_SERVE}: {raised}{self._quotable(': ' + told['message'])}")
            case {"message": message}:
                return _result("not_evaluated", f"a clean process could not verify the artifact: {message}")
        return _result("not_evaluated", f"the clean process ended with exit code {code} and without an answer: {self._last_output()}")

    def _told(self) -> dict[str, str]:
        """The error that the clean process told; empty when it could not tell any."""
        try:
            told: dict[str, str] = json.loads((self._folder / ERROR).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return told

    def _compared(self, there: np.ndarray, seconds: float) -> CriterionResult:
        here = self._evidence.candidate.predicted
        same = 0
        if there.shape == here.shape:
            same = int((there.view("int64") == here.view("int64")).reshape(len(here), -1).all(axis=1).sum())
        if same == len(here):
            message = (
                f"a clean process loaded the artifact and predicted the same for all {len(here)} rows, bit for bit, in {seconds:.1f} s"
            )
            return _result("passed", message, 1.0)
        apart = f", by up to {np.abs(there - here).max():.3g}" if there.shape == here.shape else ""
        message = (
            f"a clean process predicted differently for {len(here) - same} of {len(here)} rows{apart}: "
            f"what would serve is not what the gate evaluated"
        )
        return _result("failed", message, same / len(here))

    def _last_output(self) -> str:
        """The last line that it wrote to stderr, which is an error's own."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines() or ["it wrote nothing"]
        name, colon, message = lines[-1].partition(":")
        return name[:LONGEST_LAST_WORDS] + self._quotable(colon + message)

    def _quotable(self, message: str) -> str:
        """The message of an error that is not ours; left out where features are personal, as it may quote a row."""
        return "" if self._evidence.model.has_personal_features else message[:LONGEST_LAST_WORDS]

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def start_clean_process(folder: Path, environment: dict[str, str], errors: IO[bytes]) -> CleanProcess:
    """Start a process that knows nothing of this one: forked by a server that only imports, or all new.

    :param folder: where the question lies, and the answer will
    :param environment: all the environment variables that it gets
    :param errors: an open file that takes what it writes to stderr
    :returns: the process, which is running
    """
    return fork_clean_process(folder, environment, errors) or start_interpreter(
        "include.evergreen.serving.check", str(folder), environment=environment, stderr=errors
    )


def _result(verdict: Verdict, message: str, value: float | None = None) -> CriterionResult:
    return CriterionResult(KIND, METRIC, value, 1.0, verdict, message)
