"""Training in a container, on a real Docker daemon: it gives what a worker gives, and nothing is left of it, however it ends."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen_airflow.dags.training_task import training_task
from evergreen_airflow.operators.training import TrainCandidateOperator
from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.span import Span
from include.evergreen.state import mlflow_store, storage
from include.evergreen.training import container
from include.evergreen.training.candidate import find_candidate
from include.evergreen.training.pipeline import predict
from include.evergreen.training.snapshot import find_snapshot
from include.evergreen.training.take_snapshot import take_snapshot
from tests.plugins.forked_airflow import ForkedAirflow
from tests.servers.docker import IMAGE, DockerDaemon
from tests.unit.flights import at_home, copy_home
from tests.unit.lifecycle import AS_OF, MODEL, include_with, settle_ingested

WAIT_SECONDS = 60
LOOK = "import os; print(os.path.exists('{home}'), os.listdir('/sys/class/net'), sorted(os.listdir('/evergreen')))"
QUICK = "sklearn.linear_model.LogisticRegression\n  parameters: {max_iter: 1000, C: 0.1}"
LONG = "sklearn.ensemble.RandomForestClassifier\n  parameters: {n_estimators: 20000}"  # most of a minute
IN_DOCKER = "  run_in: docker\n  docker: {{image: '{image}', cpus: 2, memory_mb: {memory_mb}, timeout_minutes: 10}}\n"


@pytest.fixture
def ingested(tmp_path: Path) -> Iterator[Path]:
    """A home with three weeks of made-up flights, and nothing trained."""
    with at_home(tmp_path / "home") as home:
        settle_ingested()
        yield home


@pytest.fixture
def declare(ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Declare that the model trains in a container; returns its task."""
    declared = include_with(tmp_path, monkeypatch) / "models" / MODEL / "model.yaml"
    text = declared.read_text()

    def declare(*, image: str = IMAGE, memory_mb: int = 2048, is_long: bool = False) -> Any:
        long = text.replace(QUICK, LONG) if is_long else text
        declared.write_text(long.replace("\ntrain:\n", "\ntrain:\n" + IN_DOCKER.format(image=image, memory_mb=memory_mb)))
        return training_task(Catalog().model(MODEL))

    return declare


@pytest.fixture
def daemon(docker_daemon: DockerDaemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerDaemon]:
    """Docker without a container, before and after."""
    monkeypatch.setenv("DOCKER_HOST", docker_daemon.url)
    monkeypatch.setenv(container.MOUNTS, docker_daemon.mounts)
    assert docker_daemon.containers() == []
    yield docker_daemon
    left = docker_daemon.containers()
    for each in left:
        docker_daemon.client.remove_container(each["Id"], force=True)
    assert left == []


def context(window: Span = Span(15, "day"), run_id: str = "manual__1", **params: Any) -> dict[str, Any]:
    """Of a run whose task ``snapshot`` took one that nothing was trained on yet, unless ``window`` says the same again."""
    catalog = Catalog()
    digest = take_snapshot(catalog, catalog.model(MODEL), AS_OF, window).digest
    return context_of(digest, run_id, **params)


def context_of(digest: str, run_id: str = "manual__1", **params: Any) -> dict[str, Any]:
    ti = SimpleNamespace(
        dag_id=f"{MODEL}.train", run_id=run_id, task_id="train", map_index=-1, try_number=1,
        xcom_pull=lambda task_ids: {"snapshot": {"snapshot": digest}}[task_ids],
    )  # fmt: skip
    run = SimpleNamespace(dag_id=ti.dag_id, run_id=run_id)
    return {"ti": ti, "task_instance": ti, "dag_run": run, "run_id": run_id, "params": {"reason": "a test", **params}}


def test_it_trains_what_a_worker_trains_bit_for_bit_and_what_it_logs_is_in_the_tasks_log_and_secrets_are_not(
    declare: Any,
    ingested: Path,
    tmp_path: Path,
    daemon: DockerDaemon,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "pears and plums")
    task, asked = declare(), context(reason="to be read")
    beside = copy_home(ingested, tmp_path / "beside")
    with caplog.at_level("INFO"):
        answer = task.execute(asked)
    logged = caplog.text + capsys.readouterr().out
    assert "fitted on" in logged
    assert "pears and plums" not in logged
    candidate = find_candidate(answer["run_key"])
    assert candidate.facts["reason"] == "to be read"
    assert os.stat(candidate.artifact_uri.removeprefix("file://")).st_uid == os.getuid()
    in_container = prediction_bytes(answer)
    assert TrainCandidateOperator(task_id="train", model=MODEL).execute(asked) == {**answer, "is_new": False}
    with at_home(beside):
        in_worker = TrainCandidateOperator(task_id="train", model=MODEL).execute(asked)
        assert {**in_worker, "mlflow_run_id": ""} == {**answer, "mlflow_run_id": ""}
        assert prediction_bytes(in_worker) == in_container


def test_an_image_of_the_project_needs_none_of_the_workers_files_and_fits_what_the_worker_declares_whatever_it_has(
    declare: Any, daemon: DockerDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with compose, where a worker's own paths are not the Docker host's."""
    image = image_of_the_project(daemon, tmp_path)
    task, asked = declare(image=image), context()
    monkeypatch.setenv(container.MOUNTS, daemon.mounts.replace("own,", ""))
    declared = Catalog().model_path(MODEL)
    declared.write_text(declared.read_text().replace("C: 0.1}", "C: 0.125}"))
    candidate = find_candidate(task.execute(asked)["run_key"])
    assert candidate.model == MODEL
    assert candidate.facts["parameters"]["C"] == 0.125


def test_a_log_in_pieces_is_put_together_and_each_line_keeps_its_level(
    declare: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    accent = "é".encode()
    pieces = [(b"printed\n", None), (None, b"WARNING caf" + accent[:1]), (None, accent[1:] + b"\nplain\nend")]
    assert declare()._follow(iter(pieces)) == "printed\nWARNING café\nplain\nend"
    shown = caplog.text + capsys.readouterr().out
    assert [line for line in shown.splitlines() if "café" in line and "warning" in line.lower()]


def test_a_training_that_needs_more_memory_than_it_may_have_is_named(declare: Any, daemon: DockerDaemon) -> None:
    with pytest.raises(ConfigError, match=r"needed more than its 64 MB .* Raise train.docker.memory_mb"):
        declare(memory_mb=64).execute(context())


def test_an_image_that_is_nowhere_is_named_with_what_to_do(declare: Any, daemon: DockerDaemon) -> None:
    with pytest.raises(TransientError, match=r"train.docker.image 'evergreen:nowhere' is not on the Docker host .*docker build -t"):
        declare(image="evergreen:nowhere").execute(context())


def test_more_cores_than_there_are_is_the_authors_to_fix(declare: Any, daemon: DockerDaemon) -> None:
    task = declare()
    task.limits = task.limits.model_copy(update={"cpus": 10_000.0})
    with pytest.raises(ConfigError, match=r"Docker could not run .*CPUs"):
        task.execute(context())


def test_a_mount_that_is_not_there_is_the_deployments_to_fix(
    declare: Any, daemon: DockerDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(container.MOUNTS, f"{daemon.mounts},{tmp_path}/nowhere:/nowhere")
    with pytest.raises(ConfigError, match=r"/nowhere.*EVERGREEN_DOCKER_MOUNTS"):
        declare().execute(context())


def test_an_error_in_the_container_is_the_same_error_here(declare: Any, daemon: DockerDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = context()
    frame = find_snapshot(asked["ti"].xcom_pull(task_ids="snapshot")["snapshot"])
    storage.write_frame(frame.frame_path, frame.frame().assign(target=1))
    with pytest.raises(DataError, match=r"ended with exit code 3: .* have the same target, so there is nothing to learn"):
        declare().execute(asked)


def test_a_snapshot_that_is_not_there_starts_no_container(declare: Any, daemon: DockerDaemon) -> None:
    with pytest.raises(DataError, match="No snapshot '00000000' is recorded"):
        declare().execute(context_of("00000000"))


def test_it_may_use_the_cores_and_the_memory_that_are_declared_and_runs_as_the_worker(declare: Any, daemon: DockerDaemon) -> None:
    with training_in_background(declare(memory_mb=1500, is_long=True), context(), daemon) as task:
        found = daemon.client.inspect_container(daemon.containers()[0]["Id"])
        task.on_kill()
    limits = found["HostConfig"]
    assert limits["NanoCpus"] == 2_000_000_000
    assert limits["Memory"] == limits["MemorySwap"] == 1500 * 2**20
    assert limits["NetworkMode"] == "none"
    assert found["Config"]["User"] == f"{os.getuid()}:{os.getgid()}"


def test_it_gets_no_file_no_secret_and_no_network_of_the_deployment(
    declare: Any, daemon: DockerDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a deployment keeps: Airflow's JWT secret and database, our databases, the erasure key, and the keys of stores."""
    home = Path(os.environ["EVERGREEN_HOME"])
    (home / "airflow").mkdir()
    (home / "airflow" / "secret").write_text("the JWT secret")
    for name in ("AWS_SECRET_ACCESS_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "EVERGREEN_ERASURE_KEY"):
        monkeypatch.setenv(name, "pears and plums " * 3)
    with training_in_background(declare(is_long=True), context(), daemon) as task:
        created = daemon.containers()[0]["Id"]
        found = daemon.client.inspect_container(created)
        reached = daemon.client.exec_create(created, ["python", "-c", LOOK.format(home=home)])["Id"]
        said = daemon.client.exec_start(reached).decode()
        task.on_kill()
    assert all(mount.get("ReadOnly") for mount in found["HostConfig"]["Mounts"])
    assert not any(Path(mount["Source"]).is_relative_to(home) for mount in found["HostConfig"]["Mounts"])
    assert "pears and plums" not in str(found["Config"]["Env"])
    assert said.split() == ["False", "['lo']", "['inputs',", "'results']"]


def test_a_timeout_leaves_no_container(declare: Any, daemon: DockerDaemon) -> None:
    """As Airflow's task runner does it: an alarm raises in the midst of `execute`, and then calls `on_kill`."""
    from airflow.sdk.exceptions import AirflowTaskTimeout
    from airflow.sdk.execution_time.timeout import timeout

    task, asked = declare(is_long=True), context()
    with pytest.raises(AirflowTaskTimeout), timeout(3):
        task.execute(asked)
    task.on_kill()
    assert daemon.containers() == []


def test_a_task_that_is_told_to_stop_removes_its_container_at_once(declare: Any, daemon: DockerDaemon) -> None:
    with training_in_background(declare(is_long=True), context(), daemon) as task:
        began = time.monotonic()
        task.on_kill()
        assert daemon.containers() == []
        assert time.monotonic() - began < 5, "Airflow waits five seconds before it kills the process"


def test_after_its_worker_was_killed_the_next_try_removes_what_it_left_and_trains(declare: Any, daemon: DockerDaemon) -> None:
    task, asked = declare(), context()
    digest = asked["ti"].xcom_pull(task_ids="snapshot")["snapshot"]
    if (worker := os.fork()) == 0:
        try:
            task.execute(asked)
        finally:
            os._exit(1)
    try:
        wait_for(lambda: any(each["State"] == "running" for each in daemon.containers()))
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
    (left,) = daemon.containers()
    answer = task.execute(asked)
    assert left["Id"] not in {each["Id"] for each in daemon.containers()}
    assert find_candidate(answer["run_key"]).snapshot_digest == digest


def test_what_other_tasks_are_training_stays_and_what_is_overdue_goes(
    declare: Any, daemon: DockerDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evergreen_airflow.operators import containers

    made = {}
    for name, seconds in {"another task": 600, "overdue": -1}.items():
        ends = str(int(time.time() + seconds))
        labels = {containers.TASK: name, containers.DEPLOYMENT: containers._deployment(), containers.ENDS: ends}
        made[name] = daemon.client.create_container(IMAGE, ["python"], labels=labels)["Id"]
    foreign = daemon.client.create_container(IMAGE, ["python"], labels={**labels, containers.DEPLOYMENT: "another"})["Id"]
    with pytest.raises(TransientError, match="is not on the Docker host"):
        declare(image="evergreen:nowhere").execute(context())
    assert {each["Id"] for each in daemon.containers()} == {made["another task"], foreign}
    for each in (made["another task"], foreign):
        daemon.client.remove_container(each)


def test_a_container_whose_worker_is_gone_ends_itself(declare: Any, daemon: DockerDaemon) -> None:
    task = declare(is_long=True)
    task.limits = task.limits.model_copy(update={"timeout_minutes": 2 / 60 - container.GRACE_MINUTES})
    with pytest.raises(TransientError, match="ended itself: its worker was gone"):
        task.execute(context())


def test_without_a_daemon_the_error_says_where_one_was_looked_for(declare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(TransientError, match=r"no Docker daemon responds at unix:///nowhere/docker.sock"):
        declare().execute(context())


def test_dags_of_models_that_train_in_the_worker_import_no_docker(forked_airflow: ForkedAirflow) -> None:
    forked_airflow.run(
        "import sys; from evergreen_airflow.dags.model import train_dag; from include.evergreen.config import Catalog\n"
        f"train_dag(Catalog().model({MODEL!r})); assert not [each for each in sys.modules if each.split('.')[0] == 'docker']"
    )


def test_the_task_has_the_timeout_that_is_declared_and_survives_serialisation(declare: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization  # type: ignore[attr-defined]

    from evergreen_airflow.dags.model import train_dag

    declare()
    dag = train_dag(Catalog().model(MODEL))
    assert f"in a container of `{IMAGE}` (2 cores, 2048 MB, at most 10 minutes)" in str(dag.doc_md)
    assert dag.get_task("train").execution_timeout == dt.timedelta(minutes=10)
    assert "private" not in str(DagSerialization.to_dict(dag)).lower()


def image_of_the_project(daemon: DockerDaemon, folder: Path) -> str:
    """Our Dockerfile without the steps that need a registry or a package index: FROM, RUN, and the user whom RUN makes."""
    text = re.sub(r"^RUN (.*\\\n)*.*\n", "", (PROJECT_ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    text = re.sub(r"^FROM .*", f"FROM {IMAGE}", text, flags=re.MULTILINE).replace("--chown=airflow ", "").replace("USER airflow\n", "")
    (folder / "Dockerfile").write_text(text)
    said = list(
        daemon.client.build(path=str(PROJECT_ROOT), dockerfile=str(folder / "Dockerfile"), tag="evergreen:tested", rm=True, decode=True)
    )
    assert not [each for each in said if "error" in each], said
    return "evergreen:tested"


def prediction_bytes(answer: dict[str, Any]) -> bytes:
    """What the candidate predicts for every row that it was trained or judged on."""
    candidate = find_candidate(answer["run_key"])
    pipeline = mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest)
    model = Catalog().model(MODEL)
    frame = find_snapshot(candidate.snapshot_digest).frame()
    values = predict(pipeline, model, frame[model.feature_names])
    return bytes(values.tobytes())


@contextmanager
def training_in_background(task: Any, asked: dict[str, Any], daemon: DockerDaemon) -> Iterator[Any]:
    """Within it the container runs; the block is to stop the task."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            task.execute(asked)
        except BaseException as error:
            raised.append(error)

    running = threading.Thread(target=run)
    running.start()
    wait_for(lambda: any(each["State"] == "running" for each in daemon.containers()))
    yield task
    running.join(WAIT_SECONDS)
    assert [type(each) for each in raised] == [TransientError]


def wait_for(reached: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)
