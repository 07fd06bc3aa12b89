"""MLflow, or the database, answers nobody for a while: each step is worth a retry, and completes once it answers again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.approval import Approval
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.gates.decide import decide
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.promotion.promote import promote_blessed, register_candidate
from include.evergreen.registry import approvals, champions
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.database.tables import candidates, decisions, model_versions, promotions
from include.evergreen.training.candidate import find_candidate
from include.evergreen.training.snapshot import Snapshot
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tests.servers import PostgreSQL
from tests.servers.mlflow import MlflowServer
from tests.unit.copies import move_to
from tests.unit.flights import close_database, lenient, rows_of
from tests.unit.lifecycle import MODEL, day, settle_cycled, settle_ingested
from tools.ports import reserved_port

AS_OF = day(20)
Step = Callable[[], Any]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with MlflowServer(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture
def mlflow_server(_started: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """One for all tests here, each of which has models of its own in it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _started.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    return _started


def asking() -> ModelConfig:
    """The model with another seed: what the cycle has ingested is enough for a second version."""
    model = lenient(Catalog().model(MODEL))
    return model.model_copy(update={"train": model.train.model_copy(update={"seed": 5}), "approval": Approval(mode="human")})


def steps(model: ModelConfig, snapshot: Snapshot, version: int) -> dict[str, Step]:
    """The way to champion and back, of a model whose champion is the version before ``version``."""
    catalog = Catalog()

    def run_key() -> str:
        return max((int(str(row.entry)), str(row.run_key)) for row in rows_of(candidates) if row.model == MODEL)[1]

    return {
        "train": lambda: train(catalog, model, snapshot, "a test"),
        "gate": lambda: decide(catalog, model, find_candidate(run_key())),
        "register": lambda: register_candidate(catalog, model, run_key()),
        "approve": lambda: approvals.record_answer(MODEL, version, request="q", verdict="approved", actor="a person", reason="it is good"),
        "promote": lambda: promote_blessed(catalog, model, version, actor="the night", reason="blessed by the gate"),
        "roll back": lambda: champions.rollback(MODEL, actor="a person", reason="it went wrong", request="one form"),
    }


def holds(version: int) -> None:
    """All went its way once, and nothing is there twice."""
    client = mlflow_store.mlflow_client()
    runs = client.search_runs([client.get_experiment_by_name(MODEL).experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED"] * version
    assert sorted(int(each.version) for each in client.search_model_versions(f"name = '{MODEL}'")) == list(range(1, version + 1))
    assert (len(rows_of(candidates)), len(rows_of(model_versions))) == (version, version)
    assert [row.verdict for row in rows_of(decisions)] == ["blessed"] * version
    assert [(row.version, row.kind) for row in rows_of(promotions)][-2:] == [(version, "promotion"), (version - 1, "rollback")]
    serving = champions.champion(MODEL)
    assert serving is not None and serving.version == version - 1 == mlflow_store.alias(MODEL, "champion")
    assert ledger.verify() == []


@contextmanager
def refusing(_: MlflowServer) -> Iterator[str]:
    """Where it was listens nobody: what a client of a stopped server meets. (A server's start takes longer than a step.)"""
    with reserved_port() as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def silent(server: MlflowServer) -> Iterator[str]:
    server.pause()
    try:
        yield server.uri
    finally:
        server.resume()


def test_an_mlflow_that_answers_nobody_is_worth_a_retry(mlflow_server: MlflowServer) -> None:
    settle_ingested()
    catalog = Catalog()
    first = lenient(catalog.model(MODEL))
    assert run_cycle(catalog, first, AS_OF, reason="the first", actor="a person").promotion is not None
    model = asking()
    for name, step in steps(model, take_snapshot(catalog, model, AS_OF), 2).items():
        for away in (refusing, silent) if name != "approve" else ():  # MLflow has no part in that
            fails_while(away(mlflow_server), step)
        step()
    holds(2)


def fails_while(away: AbstractContextManager[str], step: Step) -> None:
    with (
        away as uri,
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(TransientError, match=f"The MLflow store {uri} could not be used"),
    ):
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        step()
    assert champions.champion(MODEL) is not None


def test_a_model_that_an_mlflow_server_lost_is_refused_by_name(mlflow_server: MlflowServer) -> None:
    settle_ingested()
    catalog = Catalog()
    model = catalog.model("air_time")
    candidate, _ = train(catalog, model, take_snapshot(catalog, model, AS_OF), "a test")
    mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest)
    for folder in mlflow_server.folder.glob("artifacts/*/*/artifacts/model-*"):
        if folder.is_dir():
            folder.rename(folder.with_name(f"moved-{folder.name}"))
    with pytest.raises(DataError, match="is gone. It is not served"):
        mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest)


def test_a_database_that_answers_nobody_is_worth_a_retry(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_cycled()
    move_to(postgresql, monkeypatch, "cycled")
    catalog, model = Catalog(), asking()
    try:
        for step in steps(model, take_snapshot(catalog, model, AS_OF), 2).values():
            postgresql.stop()
            try:
                with pytest.raises(TransientError, match=r"The database postgresql.* did not answer"):
                    step()
            finally:
                postgresql.start()
            step()
            assert champions.champion(MODEL) is not None
        holds(2)
    finally:
        close_database()
