"""Training containers: what goes in, what comes out, and what their exit codes mean."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.cli.main import EXIT_CODES
from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError, EvergreenError, TransientError
from include.evergreen.operations.verification import list_model_snapshots
from include.evergreen.training import container
from include.evergreen.training.container import Mount
from include.evergreen.training.snapshot import find_snapshot

SECRETS = (
    "EVERGREEN_DATABASE_URL", "EVERGREEN_HOME", "EVERGREEN_ERASURE_KEY", "EVERGREEN_STORAGE", "MLFLOW_TRACKING_URI", "HTTPS_PROXY",
    "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW_CONN_WAREHOUSE",
)  # fmt: skip
INCLUDE = str(PROJECT_ROOT / "include")


def entry_of(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


FAILED = {"model": "air_time", "image": "evergreen:7", "memory_mb": 512, "is_out_of_memory": False}


def test_it_sees_the_code_and_declarations_read_only_and_nothing_else(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert container.mounts() == [Mount(INCLUDE, INCLUDE, True)]
    assert container.working_dir() == str(PROJECT_ROOT)
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "declared"))
    assert container.mounts() == [Mount(each, each, True) for each in (INCLUDE, str(tmp_path / "declared"))]


def test_a_deployment_says_itself_what_is_mounted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(container.MOUNTS, "cache:/cache, /etc/licences:/licences:ro")
    assert container.mounts() == [Mount("cache", "/cache", False), Mount("/etc/licences", "/licences", True)]
    assert [each.is_volume for each in container.mounts()] == [True, False]
    assert container.working_dir() is None  # the image's own, which holds the code
    monkeypatch.setenv(container.MOUNTS, "own,packages:/packages:ro")
    assert container.mounts()[0] == Mount(INCLUDE, INCLUDE, True)
    assert container.mounts()[-1] == Mount("packages", "/packages", True)


def test_an_image_that_has_the_code_needs_no_mount(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(container.MOUNTS, "none")
    assert (container.mounts(), container.working_dir()) == ([], None)


@pytest.mark.parametrize("wrong", ["data", "data:relative", "data:/x:rx", ":/x", "a:/b:ro:c"])
def test_a_mount_that_cannot_be_read_is_refused_with_what_is_allowed(home: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv(container.MOUNTS, f"own,{wrong}")
    with pytest.raises(ConfigError, match=r"EVERGREEN_DOCKER_MOUNTS has .*SOURCE:TARGET:ro"):
        container.mounts()


def test_it_gets_no_variable_of_the_worker_but_those_of_arithmetic(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its name: what a container may know is listed, not what it may not."""
    own = set(container.variables())
    secret = "postgresql+psycopg2://evergreen:pears@localhost/evergreen"
    for name in (*SECRETS, "ANYTHING"):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")  # which decides the last bits of a sum
    variables = container.variables()
    assert variables["OPENBLAS_CORETYPE"] == "Haswell"
    assert set(variables) == {*own, "OPENBLAS_CORETYPE"}
    assert secret not in variables.values()
    assert str(home) not in "".join(variables.values())


def test_what_goes_in_is_the_declaration_and_the_rows_and_an_empty_folder(trained: Path, catalog: Catalog) -> None:
    snapshot, model = next(iter(list_model_snapshots("air_time"))), catalog.model("air_time")
    with io.BytesIO() as archive:
        container.pack_inputs(archive, model, find_snapshot(snapshot.digest), (), None)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            entries = tar.getmembers()
    assert [entry.name for entry in entries] == [
        "evergreen", "evergreen/inputs", "evergreen/results", "evergreen/inputs/job.json", "evergreen/inputs/frame.parquet",
    ]  # fmt: skip
    assert {entry.uid for entry in entries} == {os.getuid()}
    assert not any(entry.mode & 0o077 for entry in entries)


@pytest.mark.parametrize(
    "entry",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/outside"),
        entry_of("results/link", tarfile.SYMTYPE, "/etc/passwd"),
        entry_of("results/link", tarfile.LNKTYPE, "../../etc/passwd"),
        entry_of("results/device", tarfile.CHRTYPE, ""),
        tarfile.TarInfo("results/something"),
    ],
    ids=lambda entry: entry.name + str(entry.type),
)
def test_what_comes_out_is_not_trusted(tmp_path: Path, entry: tarfile.TarInfo) -> None:
    folder = tmp_path / "a" / "folder"
    folder.mkdir(parents=True)
    with io.BytesIO() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(entry)
        archive.seek(0)
        with pytest.raises(EvergreenError, match="gave no result that can be read: .* contain this release of Evergreen"):
            container.unpack_results(archive, folder)
    assert not (tmp_path / "outside").exists() and not (tmp_path / "a" / "outside").exists()


def test_each_exit_code_of_the_command_line_is_the_same_error_again() -> None:
    assert {code: kind for kind, code in EXIT_CODES.items()} == container.ERRORS
    for code, kind in container.ERRORS.items():
        error = container.failure(code, "INFO something\nevergreen: air_time: the reason", **FAILED)
        assert type(error) is kind
        assert str(error) == f"air_time: the training in a container of evergreen:7 ended with exit code {code}: air_time: the reason"


def test_want_of_memory_is_said_with_the_key_that_gives_more() -> None:
    error = container.failure(137, "", **{**FAILED, "is_out_of_memory": True})
    assert isinstance(error, ConfigError)
    assert "512 MB" in str(error)
    assert "train.docker.memory_mb" in str(error)


def test_what_was_killed_may_be_tried_again_and_what_nobody_knows_is_said_with_its_last_words() -> None:
    assert isinstance(container.failure(137, "", **FAILED), TransientError)
    assert isinstance(container.failure(142, "", **FAILED), TransientError)
    unknown = container.failure(1, "Traceback: a bug", **FAILED)
    assert type(unknown) is EvergreenError
    assert str(unknown).endswith("Traceback: a bug")
