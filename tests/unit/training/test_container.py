"""What a container that trains is given, and what its end means."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.cli.main import EXIT_CODES
from include.evergreen.foundation.errors import ConfigError, EvergreenError, TransientError
from include.evergreen.training import container
from include.evergreen.training.container import Mount

INCLUDE = str(PROJECT_ROOT / "include")
FAILED = {"model": "air_time", "image": "evergreen:7", "memory_mb": 512, "is_out_of_memory": False}


def test_it_sees_the_home_under_its_own_path_and_the_code_read_only(home: Path) -> None:
    assert container.mounts() == [Mount(str(home), str(home), False), Mount(INCLUDE, INCLUDE, True)]
    assert container.working_dir() == str(PROJECT_ROOT)


def test_state_outside_the_home_is_mounted_too_and_each_place_once(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", f"sqlite:///{tmp_path}/databases/evergreen.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "declared"))
    written = [str(home), str(tmp_path / "databases"), str(tmp_path / "storage")]
    read = [INCLUDE, str(tmp_path / "declared")]
    assert container.mounts() == [Mount(each, each, False) for each in written] + [Mount(each, each, True) for each in read]


def test_a_deployment_says_itself_what_is_mounted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(container.MOUNTS, "evergreen_data:/data, /etc/keys:/keys:ro")
    assert container.mounts() == [Mount("evergreen_data", "/data", False), Mount("/etc/keys", "/keys", True)]
    assert [each.is_volume for each in container.mounts()] == [True, False]
    assert container.working_dir() is None  # the image's own, which holds the code
    monkeypatch.setenv(container.MOUNTS, "own,packages:/packages:ro")
    assert container.mounts()[0] == Mount(str(home), str(home), False)
    assert container.mounts()[-1] == Mount("packages", "/packages", True)


@pytest.mark.parametrize("wrong", ["data", "data:relative", "data:/x:rx", ":/x", "a:/b:ro:c"])
def test_a_mount_that_cannot_be_read_is_refused_with_what_is_allowed(home: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv(container.MOUNTS, f"own,{wrong}")
    with pytest.raises(ConfigError, match=r"EVERGREEN_DOCKER_MOUNTS has .*SOURCE:TARGET:ro"):
        container.mounts()


def test_it_has_no_network_where_all_lies_in_files_and_the_hosts_where_anything_is_a_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert container.network() == "none"
    for name, server in {
        "EVERGREEN_DATABASE_URL": "postgresql+psycopg2://evergreen:pears@localhost/evergreen",
        "EVERGREEN_STORAGE": "s3://bucket/evergreen",
        "MLFLOW_TRACKING_URI": "http://localhost:5000",
    }.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, server)
            assert container.network() == "host"
            patch.setenv(container.NETWORK, "evergreen_default")
            assert container.network() == "evergreen_default"


def test_it_gets_the_settings_and_the_keys_of_stores_and_nothing_else_of_the_worker(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", "postgresql+psycopg2://evergreen:pears@localhost/evergreen")
    monkeypatch.setenv("EVERGREEN_STORAGE", "relative")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "plums")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow's own")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")  # which decides the last bits of a sum
    monkeypatch.setenv(container.NETWORK, "host")
    found = container.variables()
    assert found["OPENBLAS_CORETYPE"] == "Haswell"
    assert found["EVERGREEN_DATABASE_URL"].endswith(":pears@localhost/evergreen")
    assert found["AWS_SECRET_ACCESS_KEY"] == "plums"
    assert found["EVERGREEN_HOME"] == str(home)
    assert found["EVERGREEN_STORAGE"] == str(Path("relative").absolute())
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert not {container.NETWORK, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "PATH"} & set(found)


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
