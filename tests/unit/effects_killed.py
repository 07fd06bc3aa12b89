"""A model's way to champion and back, each step done again from what is left of it when it is killed (SIGKILL) at any of its writes.

    EVERGREEN_HOME=<a home in which a cycle has run> python -m tests.unit.effects_killed

A step is killed at every state that it leaves on disk: before its first write, and after each one (a commit of our database, a file
of the storage, a call that changes something in MLflow, half of a folder of files), which includes before and after each
`side_effect`. A death leaves nothing but what is on disk, so a copy of it, made at that moment, is as good as one; the one in the middle
of each step is real, in a forked process, and with EVERGREEN_KILL_AT_EVERY_LINE=1 all are. Then it is done once more, to its end. Prints
one JSON object: the steps with the places of their deaths, what differed from a step that nobody disturbed, the effects that were
reached, and the writes that were done outside of any effect.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import json
import os
import re
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from include.evergreen.config import Catalog
from include.evergreen.config.approval import Approval
from include.evergreen.foundation import clock
from include.evergreen.foundation.settings import Settings
from include.evergreen.gates.decide import decide
from include.evergreen.promotion.cards import holdout
from include.evergreen.promotion.promote import promote_blessed, register_candidate
from include.evergreen.registry import approvals, champions, servable
from include.evergreen.serving.clean_processes import Server
from include.evergreen.state import alerts, ledger, mlflow_store, storage
from include.evergreen.state.database import engine, reading
from include.evergreen.state.database.tables import approvals as answers
from include.evergreen.state.database.tables import candidates, decisions, model_versions, promotions, rollouts, snapshots
from include.evergreen.state.effects import Moment, current_effect, watched
from include.evergreen.training.candidate import find_candidate
from include.evergreen.training.snapshot import find_snapshot
from include.evergreen.training.train import train as fit_and_record
from tests.unit.flights import close_database, lenient, rows_of
from tests.unit.killing import EVERY_LINE, in_a_child
from tests.unit.lifecycle import AS_OF, MODEL

CHANGES_MLFLOW = ("create_", "log_", "set_", "delete_", "update_", "rename_", "restore_", "transition_")
Point = Callable[[str], None]

catalog = Catalog()
_declared = catalog.model(MODEL)
_another = {"train": _declared.train.model_copy(update={"seed": 5}), "approval": Approval(mode="human")}  # of the cycle's own snapshot
model = lenient(_declared).model_copy(update=_another)


# --- the steps --------------------------------------------------------------------------------------------------------


def train() -> None:
    [digest] = [str(row.digest) for row in rows_of(snapshots) if row.model == MODEL and row.as_of == AS_OF]
    fit_and_record(catalog, model, find_snapshot(digest), "a test")


def gate() -> None:
    assert decide(catalog, model, find_candidate(_run_key())).verdict == "blessed"


def register() -> None:
    register_candidate(catalog, model, _run_key())


def approve() -> None:
    approvals.record_answer(MODEL, 2, request="one question", verdict="approved", actor="a person", reason="it is good")


def promote() -> None:
    assert promote_blessed(catalog, model, 2, actor="the night", reason="blessed by the gate").promoted


def roll_back() -> None:
    assert champions.rollback(MODEL, actor="a person", reason="it went wrong", request="one form").version == 1


def promote_by_hand() -> None:
    assert champions.promote(MODEL, 2, actor="a person", reason="it was right", force=True).promoted


def reconcile() -> None:
    champions.reconcile(MODEL)


def move_the_alias() -> None:
    """What a hand does in MLflow before `reconcile`."""
    mlflow_store.set_alias(MODEL, "champion", 1)


STEPS = (train, gate, register, approve, promote, roll_back, promote_by_hand, reconcile)


def _run_key() -> str:
    return max((int(str(row.entry)), str(row.run_key)) for row in rows_of(candidates) if row.model == MODEL)[1]


# --- what must hold ---------------------------------------------------------------------------------------------------


def state() -> dict[str, Any]:
    """What a person would look at, in our database and in MLflow, without what differs from one undisturbed night to the next."""
    client = mlflow_store.mlflow_client()
    runs = client.search_runs([client.get_experiment_by_name(MODEL).experiment_id], max_results=1000)
    versions = client.search_model_versions(f"name = '{MODEL}'")
    serving = champions.champion(MODEL)
    return {
        "champion": serving.version if serving else None,
        "runs": [[run.info.status, len(run.data.params), len(run.data.metrics), _files(run)] for run in reversed(runs)],
        "mlflow versions": sorted([int(each.version), len(each.tags)] for each in versions),
        "aliases": [mlflow_store.alias(MODEL, name) for name in ("champion", "challenger")],
        "candidates": len(rows_of(candidates)),
        "decisions": sorted([str(row.verdict), int(str(row.attempt))] for row in rows_of(decisions)),
        "versions": [[row.version, row.semver, row.approval_because, bool(row.card_path)] for row in rows_of(model_versions)],
        "answers": [[row.version, row.verdict] for row in rows_of(answers)],
        "promotions": [[row.version, row.previous_version, row.kind, row.shown_at is not None] for row in rows_of(promotions)],
        "rollouts": [[row.version, row.state, row.first, row.last, row.steps, len(list(row.evidence))] for row in rows_of(rollouts)],  # type: ignore[call-overload]
        "alerts": [[each.key, each.severity] for each in alerts.open_alerts()],
        "ledger": _kinds(),
        "problems": ledger.verify(),
    }


def at_every_moment() -> dict[str, Any]:
    """What a death must leave as well: one champion, with an artifact that verifies, and a whole ledger."""
    serving = champions.champion(MODEL)
    assert serving is not None, "there is no champion"
    mlflow_store.verify_artifact(serving.artifact_uri, serving.artifact_digest)
    assert next(servable.serving(MODEL, AS_OF)) == serving
    return {"champion": serving.version, "problems": ledger.verify()}


def _files(run: Any) -> list[str]:
    folder = Path(urlsplit(run.info.artifact_uri).path)
    found = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
    return sorted(re.sub("^model-[0-9a-f]{12}/", "model/", path) for path in found)


def _kinds() -> list[str]:
    from include.evergreen.state.ledger.entries import entries

    with reading() as connection:
        return [entry.kind for entry in entries(connection)]


# --- the writes -------------------------------------------------------------------------------------------------------


def watch_writes(point: Point) -> None:
    """From now on, in this process, ``point`` is called with the name of each write once it is done (and half done, of a folder)."""
    from mlflow import MlflowClient
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    original = engine.writing

    @contextlib.contextmanager
    def writing() -> Iterator[Any]:
        with original() as connection:
            yield connection
        point("commit")

    def after(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            point(name)
            return result

        return wrapped

    def log_artifacts(self: Any, local_dir: str, artifact_path: str | None = None) -> None:
        first = next(path for path in sorted(Path(local_dir).rglob("*")) if path.is_file())
        self.log_artifact(str(first), str(Path(artifact_path or "", first.parent.relative_to(local_dir))))
        point("mlflow.log_artifacts, half of it")
        log_all(self, local_dir, artifact_path)

    _replace(original, writing)
    for name in ("keep_file", "remove"):
        _replace(getattr(storage, name), after(getattr(storage, name), f"storage.{name}"))
    log_all = LocalArtifactRepository.log_artifacts
    LocalArtifactRepository.log_artifacts = log_artifacts  # type: ignore[method-assign]
    LocalArtifactRepository.delete_artifacts = after(LocalArtifactRepository.delete_artifacts, "mlflow.delete_artifacts")  # type: ignore[method-assign]
    for name in dir(MlflowClient):
        if name.startswith(CHANGES_MLFLOW):
            setattr(MlflowClient, name, after(getattr(MlflowClient, name), f"mlflow.{name}"))


def _replace(original: Any, other: Any) -> None:
    """Wherever a module of ours has ``original``, under whatever name."""
    for module in [each for name, each in sys.modules.items() if name.startswith("include.evergreen")]:
        for name, value in list(vars(module).items()):
            if value is original:
                setattr(module, name, other)


# --- killing ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Told:
    """What an undisturbed step did: the places of its writes, its effects, the writes outside of one; and all modules it imported."""

    places: list[str]
    effects: list[str]
    outside: list[str]
    modules: list[str]
    state: dict[str, Any]


class Step:
    """One step, from the home as the steps before it left it."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._home = Settings.from_environment().home
        self._before = self._home.with_name(f"{self._home.name}-before")
        self._copies = self._home.with_name(f"{self._home.name}-copies")
        self._answer = self._home.with_name(f"{self._home.name}-answer.json")
        close_database()
        for folder in (self._before, self._copies):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._home, self._before)
        self.told = Told(**self._child(self._noting))
        _import(self.told.modules)
        self._after = self._home.with_name(f"{self._home.name}-after")
        shutil.rmtree(self._after, ignore_errors=True)
        shutil.copytree(self._home, self._after)

    def die(self, number: int) -> dict[str, Any]:
        """Kill the step after the write of this number (0: before the first), and do it again; what was wrong, if anything."""
        copy = self._copies / str(number)
        if EVERY_LINE or number == (len(self.told.places) + 1) // 2 or not copy.exists():
            self._become(self._before)
            in_a_child(lambda: self._dying(number))
        else:
            self._become(copy)
        found = self._child(self._living)
        wrong = {name: [value, self.told.state[name]] for name, value in found["state"].items() if value != self.told.state[name]}
        if found["before"]["problems"]:
            wrong["the ledger after the death"] = found["before"]["problems"]
        return wrong

    def finish(self) -> None:
        """Leave the home as the undisturbed step did."""
        self._become(self._after)

    def _become(self, home: Path) -> None:
        shutil.rmtree(self._home)
        shutil.copytree(home, self._home)

    def _noting(self) -> dict[str, Any]:
        places: list[str] = []
        effects: list[str] = []
        outside: list[str] = []
        modules = set(sys.modules)

        def point(name: str) -> None:
            places.append(f"{current_effect()}: {name}")
            if not EVERY_LINE:
                shutil.copytree(self._home, self._copies / str(len(places)))
            if current_effect() is None and not name.endswith("half of it"):
                outside.append(name)

        def seen(name: str, moment: Moment) -> None:
            if moment == "after":
                effects.append(name)

        import_mlflow()
        watch_writes(point)
        with watched(seen):
            self._work()
        result = {"places": list(places), "effects": list(effects), "outside": list(outside)}
        return {**result, "modules": sorted(set(sys.modules) - modules), "state": state()}

    def _dying(self, number: int) -> None:
        done = 0

        def point(_: str) -> None:
            nonlocal done
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        import_mlflow()
        watch_writes(point)
        self._work()
        raise AssertionError(f"{self._work.__name__} did not come to its write {number}")

    def _living(self) -> dict[str, Any]:
        before = at_every_moment()
        self._work()
        return {"before": before, "after": at_every_moment(), "state": state()}

    def _child(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self._answer.unlink(missing_ok=True)

        def answer() -> None:
            try:
                self._answer.write_text(json.dumps(work(), default=str))
            except BaseException:
                traceback.print_exc()
                raise

        status = in_a_child(answer)
        assert status == 0, f"{self._work.__name__}: a child that was to live ended with {status}"
        return dict(json.loads(self._answer.read_text()))


def import_mlflow() -> None:
    importlib.import_module("mlflow.store.artifact.local_artifact_repo")


def _import(modules: list[str]) -> None:
    """What a child imported, once for all children to come; importing alone: this process never fits, and never opens a store."""
    for name in modules:
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)


def main() -> None:
    Server().start()
    holdout.importance_repeats = lambda _: 1  # a card takes as many writes, and a tenth of the time
    for folder in ("raw", "reports"):
        shutil.rmtree(Settings.from_environment().home / "storage" / folder, ignore_errors=True)
    shutil.rmtree(Settings.from_environment().home / "landing")
    steps: dict[str, Any] = {}
    chosen = sys.argv[1:] or [step.__name__ for step in STEPS]
    for work in STEPS:
        if work is reconcile:
            assert in_a_child(move_the_alias) == 0
        step = Step(work)
        numbers = range(len(step.told.places) + 1) if work.__name__ in chosen else ()
        wrong = {}
        for number in numbers:
            if found := step.die(number):
                wrong[f"{number} {step.told.places[number - 1] if number else 'before the first write'}"] = found
        steps[work.__name__] = {"deaths": len(numbers), "wrong": wrong, "places": step.told.places, "effects": step.told.effects,
                                "outside": step.told.outside}  # fmt: skip
        print(f"{clock.now():%H:%M:%S} {work.__name__}: {len(numbers)} deaths, {len(wrong)} of them wrong", file=sys.stderr)
        step.finish()
    print(json.dumps(steps))


if __name__ == "__main__":
    main()
