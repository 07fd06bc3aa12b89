"""``train``, which a person gives on a laptop, and ``fit``, which a training's container runs."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from include.evergreen.config import Catalog
from include.evergreen.foundation.span import Span
from include.evergreen.training.candidate import find_candidate
from include.evergreen.training.fit_job import FRAME, read_outcome, write_job
from include.evergreen.training.snapshot import find_snapshot
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import AS_OF, MODEL

pytestmark = pytest.mark.usefixtures("cycled")


@pytest.fixture
def digest() -> str:
    """Of a snapshot that nothing was trained on yet."""
    catalog = Catalog()
    return take_snapshot(catalog, catalog.model(MODEL), AS_OF, Span(15, "day")).digest


def test_it_trains_on_a_snapshot_once_and_says_so_as_json(ask: Ask, digest: str) -> None:
    answer = ask("train", MODEL, "--snapshot", digest, "--reason", "a look", "--tag", "team=airports", "--json")
    assert answer.code == 0
    first = json.loads(answer.out)
    candidate = find_candidate(first["run_key"])
    assert first == {
        "model": MODEL,
        "as_of": str(AS_OF),
        "snapshot": digest,
        "run_key": candidate.run_key,
        "is_new": True,
        "mlflow_run_id": candidate.mlflow_run_id,
        "metrics": candidate.metrics,
    }
    assert candidate.facts["reason"] == "a look"
    again = json.loads(ask("train", MODEL, "--snapshot", digest[:8], "--json").out)
    assert again == {**first, "is_new": False}


def test_its_tags_are_those_of_the_mlflow_run(ask: Ask, digest: str) -> None:
    from include.evergreen.state.mlflow_store import mlflow_client

    run_id = json.loads(ask("train", MODEL, "--snapshot", digest, "--tag", "team=airports", "--tag=url=http://x/?a=b", "--json").out)[
        "mlflow_run_id"
    ]
    tags = mlflow_client().get_run(run_id).data.tags
    assert (tags["team"], tags["url"]) == ("airports", "http://x/?a=b")


def test_with_a_day_it_takes_the_snapshot_that_the_night_took_and_finds_its_candidate(ask: Ask) -> None:
    answer = ask("train", MODEL, "--as-of", str(AS_OF), "--verbose")
    assert answer.out.startswith(f"{MODEL} as of {AS_OF}: trained before on snapshot ")
    assert "already trained as MLflow run" in answer.err


def test_it_wants_exactly_one_of_a_snapshot_and_a_day(ask: Ask, digest: str) -> None:
    for wrong in ([], ["--snapshot", digest, "--as-of", str(AS_OF)]):
        with pytest.raises(SystemExit) as left:
            ask("train", MODEL, *wrong)
        assert left.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--snapshot", "{digest}", "--window", "9 days"], 2, "--window goes with --as-of"),
        (["--snapshot", "00000000"], 3, "No snapshot 00000000 is recorded"),
        (["--snapshot", "{digest}", "--tag", "airports"], 2, "--tag 'airports' is no tag; write NAME=VALUE"),
        (["--snapshot", "{digest}", "--tag", "=airports"], 2, "--tag '=airports' is no tag; write NAME=VALUE"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_trained(ask: Ask, digest: str, arguments: list[str], code: int, words: str) -> None:
    answer = ask("train", MODEL, *(each.format(digest=digest) for each in arguments))
    assert answer.code == code
    assert words in answer.err
    assert json.loads(ask("train", MODEL, "--snapshot", digest, "--json").out)["is_new"]


def test_a_snapshot_of_another_model_is_refused(ask: Ask, digest: str) -> None:
    answer = ask("train", "air_time", "--snapshot", digest)
    assert answer.code == 2
    assert f"Snapshot {digest[:12]} is of {MODEL}, not of air_time" in answer.err


@pytest.fixture
def job(digest: str, tmp_path: Path) -> Path:
    """What a container gets."""
    folder = tmp_path / "job"
    folder.mkdir()
    snapshot = find_snapshot(digest)
    write_job(folder, Catalog().model(MODEL), snapshot, (), None)
    snapshot.frame().to_parquet(folder / FRAME)
    (folder / "results").mkdir()
    return folder


def test_a_fit_reads_and_writes_nothing_but_its_two_folders_and_gives_what_a_training_gives(
    ask: Ask, digest: str, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = find_candidate(json.loads(ask("train", MODEL, "--snapshot", digest, "--json").out)["run_key"])
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", "postgresql+psycopg2://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "nowhere"))
    assert ask("fit", str(job), str(job / "results")).code == 0
    outcome = read_outcome(job / "results")
    assert not (tmp_path / "nowhere").exists()
    assert outcome.metrics == trained.metrics
    assert outcome.result.chosen.estimator == trained.facts["estimator"]
    assert sorted(path.name for path in (job / "results").iterdir()) == ["holdout.parquet", "model", "outcome.json", "reference.parquet"]


def test_a_fit_of_rows_that_nothing_can_be_learnt_from_ends_as_a_training_of_them(ask: Ask, job: Path) -> None:
    pd.read_parquet(job / FRAME).assign(target=1).to_parquet(job / FRAME)
    answer = ask("fit", str(job), str(job / "results"))
    assert (answer.code, "have the same target" in answer.err) == (3, True)


def test_an_end_that_is_no_time_is_refused(ask: Ask, job: Path) -> None:
    answer = ask("fit", str(job), str(job / "results"), "--end-after", "0")
    assert (answer.code, "--end-after is 0; give minutes, more than 0" in answer.err) == (2, True)


def test_a_fit_ends_when_its_time_is_over_whatever_it_is_doing(start: Callable[..., subprocess.Popen[str]], job: Path) -> None:
    process = start("fit", str(job), str(job / "results"), "--end-after", "0.01")  # the kernel knows whole seconds
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGALRM
