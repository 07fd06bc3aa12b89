"""Bad candidates, planted after a sound training: the gate names each, and none is registered."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import Gate
from include.evergreen.foundation.errors import DataError
from include.evergreen.gates.decide import decide
from include.evergreen.promotion.promote import register_candidate
from include.evergreen.registry import champions
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates
from include.evergreen.state.mlflow_store import folder_digest
from include.evergreen.training.candidate import Candidate, find_candidate
from include.evergreen.training.snapshot import find_snapshot
from tests.unit.flights import january, lenient, trained_as_of

MODEL = "air_time"


class Planted:
    """Unpickled, it makes the file ``sprung``."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.sprung,)


@pytest.fixture
def candidate(flights: Path, air_time: ModelConfig) -> Candidate:
    return trained_as_of(air_time, january(20))


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    path = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Planted(path)))
    path.unlink()
    return path


def test_a_pickle_beside_the_model_is_refused_unopened(candidate: Candidate, air_time: ModelConfig, sprung: Path) -> None:
    (_folder(candidate) / "model.pkl").write_bytes(pickle.dumps(Planted(sprung)))
    _refused(lenient(air_time), candidate, "its files were changed")
    assert not sprung.exists()


@pytest.mark.parametrize("extension", ["skops", "pkl"])
def test_a_pickle_in_the_models_place_is_refused_unopened_though_its_digest_was_put_on_record(
    candidate: Candidate, air_time: ModelConfig, sprung: Path, extension: str
) -> None:
    folder = _folder(candidate)
    (folder / "model.skops").unlink()
    (folder / f"model.{extension}").write_bytes(pickle.dumps(Planted(sprung)))
    described = folder / "MLmodel"
    described.write_text(described.read_text().replace("model.skops", f"model.{extension}").replace("skops", "cloudpickle"))
    with writing() as connection:
        connection.execute(candidates.update().values(artifact_digest=folder_digest(folder)))
        ledger.bind(connection, candidates, {"run_key": candidate.run_key}, kind="training")
    _refused(
        lenient(air_time),
        find_candidate(candidate.run_key),
        "cannot be loaded: BadZipFile|has no model.skops, the one format that loads without running code",
    )
    assert not sprung.exists()


def test_a_holdout_without_rows_is_named(candidate: Candidate, air_time: ModelConfig) -> None:
    snapshot = find_snapshot(candidate.snapshot_digest)
    storage.write_frame(snapshot.frame_path, snapshot.frame().iloc[:0])
    _refused(lenient(air_time), candidate, "the holdout has no rows")


def test_a_slice_column_that_is_gone_is_named_with_those_that_there_are(candidate: Candidate, air_time: ModelConfig) -> None:
    gone = {"kind": "slices", "by": "terminal", "judge": "worst", "metric": "mae", "at_most": 20}
    model = air_time.model_copy(update={"gate": Gate.model_validate({"criteria": [gone]})})
    _refused(model, candidate, "has no column 'terminal'.*it has: .*dest")


def test_an_artifact_that_the_store_lost_is_named(candidate: Candidate, air_time: ModelConfig) -> None:
    for file in sorted(_folder(candidate).rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    _refused(lenient(air_time), candidate, "is gone. It is not served")


def _folder(candidate: Candidate) -> Path:
    return Path(urlsplit(candidate.artifact_uri).path)


def _refused(model: ModelConfig, candidate: Candidate, words: str) -> None:
    """The gate does not evaluate it and says why; nothing of it is registered."""
    decision = decide(Catalog(), model, candidate)
    assert decision.verdict == "not_evaluated"
    assert re.search(words, decision.message), decision.message
    with pytest.raises(DataError, match="has no blessed decision"):
        register_candidate(Catalog(), model, candidate.run_key)
    assert champions.list_versions(MODEL) == []
    assert champions.champion(MODEL) is None
