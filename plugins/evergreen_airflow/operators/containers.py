"""Train in a Docker container, and leave none behind."""

from __future__ import annotations

import codecs
import datetime as dt
import hashlib
import logging
import os
import secrets
import shutil
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from airflow.providers.docker.operators.docker import DockerOperator
from docker.errors import APIError, DockerException, NotFound
from docker.types import Mount
from requests.exceptions import RequestException

from evergreen_airflow.links import MlflowRunLink
from evergreen_airflow.operators.training import mlflow_tags, training_result
from evergreen_airflow.runs import task_result
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.docker import Docker
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.settings import Settings
from include.evergreen.foundation.team_code import Modules
from include.evergreen.training import container

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.evergreen.training.fit_job import Attempt, Outcome, Settle
    from include.evergreen.training.snapshot import Snapshot
    from include.evergreen.training.tuning import TuningResult

TASK, DEPLOYMENT, ENDS = "evergreen.task", "evergreen.deployment", "evergreen.ends"  # container labels; ENDS is a Unix time
MIB = 1 << 20
KEPT_LOG_LINES = 30
PULL_REJECTIONS = ("not found", "denied", "unknown", "invalid reference")
CONFLICT = 409  # the container is already being removed
LEVELS = logging.getLevelNamesMapping()


class TrainInContainerOperator(DockerOperator):
    """Train a candidate whose fit runs in a container, and return what `TrainCandidateOperator` returns.

    The container gets the declaration and the rows as files, and gives the model as files; this task records it. Files are copied
    through Docker's API, so the container sees nothing of the worker's, and the daemon may be on another machine.

    From the provider's operator this class uses the connection to the Docker daemon. It runs the container itself because in the
    provider (4.6.1) ``cpus`` is a weight rather than a limit, a container that fails to start is not removed, the reason why a
    container was killed is lost, and stdout and stderr are one stream.

    :param model: its name, as in ``include/models`` (templated)
    :param docker: image (templated) and limits, as declared in model.yaml
    :param **kwargs: passed to ``DockerOperator``
    """

    template_fields = ("model", "image")
    operator_extra_links = (MlflowRunLink(),)

    def __init__(self, *, model: str, docker: Docker, **kwargs: Any) -> None:
        super().__init__(image=docker.image, auto_remove="force", mount_tmp_dir=False, **kwargs)
        self.model = model
        self.limits = docker
        self._task = ""
        self._is_stopped = False

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Train the candidate, or find the one that the same snapshot and recipe gave before.

        Fails with `ConfigError` if the image, the limits or the mounts are wrong, and with `TransientError` if Docker does not respond or
        the task was stopped. Errors within the container keep their class.

        :param context: the running task's Airflow context
        :returns: ``as_of``, ``run_key``, ``is_new``, ``mlflow_run_id`` and ``metrics``, as `training_result`
        """
        from include.evergreen.training.snapshot import find_snapshot
        from include.evergreen.training.train import train

        catalog, ti = Catalog(), context["ti"]
        snapshot = find_snapshot(task_result(context, "snapshot")["snapshot"])
        self._task = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"
        reason = context["params"].get("reason") or f"run {context['run_id']}"
        candidate, is_new = train(catalog, catalog.model(self.model), snapshot, reason, tags=mlflow_tags(context), fitter=self._fitter)
        return training_result(candidate, is_new=is_new)

    def on_kill(self) -> None:
        """Remove the container immediately: Airflow kills the process five seconds after stopping it, and training is atomic."""
        self._is_stopped = True
        if self._task and self.hook.client_created:
            self._remove_own()

    def _fitter(self, model: ModelConfig, snapshot: Snapshot, modules: Modules) -> Attempt:
        """Return how to fit on the snapshot in a container. A choice that another attempt made meanwhile is fitted instead."""
        self._connect()

        def attempt(kept: TuningResult | None, settle: Settle, folder: Path) -> Outcome:
            outcome = self._fit(model, snapshot, modules, kept, folder)
            if kept is None and (settled := settle(outcome.result)).chosen != outcome.result.chosen:
                shutil.rmtree(folder)
                folder.mkdir()
                outcome = self._fit(model, snapshot, modules, settled, folder)
            return outcome

        return attempt

    def _fit(self, model: ModelConfig, snapshot: Snapshot, modules: Modules, kept: TuningResult | None, folder: Path) -> Outcome:
        """Run one container, copy its results into ``folder`` and return what it fitted. It is removed when this returns or raises."""
        with TemporaryFile() as inputs, TemporaryFile() as results:
            container.pack_inputs(inputs, model, snapshot, modules, kept)
            inputs.seek(0)
            self._run_container(inputs, results)
            results.seek(0)
            return container.unpack_results(results, folder)

    def _run_container(self, inputs: IO[bytes], results: IO[bytes]) -> None:
        command = container.fit_command(self.limits.timeout_minutes)
        with self._docker_errors():
            self._remove_leftovers()
            self._require_image()
            try:
                created = self.cli.create_container(**self._container(command))["Id"]
                self.cli.put_archive(created, "/", inputs)
                streams = self.cli.attach(created, stdout=True, stderr=True, stream=True, demux=True)
                self._raise_if_stopped()
                self.cli.start(created)
                self.log.info("Container %s of %s: %s", created[:12], self.image, " ".join(command))
                log = self._follow(streams)
                self._raise_if_stopped()
                self.cli.wait(created)
                state = self.cli.inspect_container(created)["State"]
                if state["ExitCode"] == 0:
                    for chunk in self.cli.get_archive(created, container.RESULTS)[0]:
                        results.write(chunk)
            finally:
                self._remove_own()
        if state["ExitCode"] != 0:
            raise container.failure(
                state["ExitCode"],
                log,
                model=self.model,
                image=self.image,
                memory_mb=self.limits.memory_mb,
                is_out_of_memory=state["OOMKilled"],
            )

    def _container(self, command: list[str]) -> dict[str, Any]:
        """Return the arguments of `create_container`."""
        memory = self.limits.memory_mb * MIB
        ends = time.time() + 60 * (self.limits.timeout_minutes + container.GRACE_MINUTES)
        return {
            "image": self.image,
            "name": f"evergreen-{self.model}-{secrets.token_hex(4)}",
            "command": command,
            "environment": container.variables(),
            "working_dir": container.working_dir(),
            "user": f"{os.getuid()}:{os.getgid()}",
            "labels": {TASK: self._task, DEPLOYMENT: _deployment(), ENDS: str(int(ends))},
            "host_config": self.cli.create_host_config(
                mounts=[
                    Mount(mount.target, mount.source, type="volume" if mount.is_volume else "bind", read_only=mount.is_read_only)
                    for mount in container.mounts()
                ],
                network_mode="none",
                nano_cpus=round(self.limits.cpus * 1e9),
                mem_limit=memory,
                memswap_limit=memory,
                init=True,  # otherwise the command is process 1, to which the kernel delivers no SIGALRM
                group_add=os.getgroups(),
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
            ),
        }

    def _follow(self, streams: Iterator[tuple[bytes | None, bytes | None]]) -> str:
        """Copy what the container says into the task's log while it runs, and return the last lines of it."""
        last_lines = deque[str](maxlen=KEPT_LOG_LINES)
        decoder, unfinished = codecs.getincrementaldecoder("utf-8")("replace"), ""
        for out, err in streams:
            *lines, unfinished = (unfinished + decoder.decode(err or out or b"")).split("\n")
            for line in lines:
                last_lines.append(line)
                level, _, message = line.partition(" ")  # the command line's log format
                if level in LEVELS:
                    self.log.log(LEVELS[level], "%s", message)
                else:
                    self.log.info("%s", line)
        if unfinished:
            last_lines.append(unfinished)
            self.log.info("%s", unfinished)
        return "\n".join(last_lines)

    def _require_image(self) -> None:
        """Pull the image unless the host has it. If the pull fails, the error quotes the registry."""
        try:
            self.cli.inspect_image(self.image)
            return
        except NotFound:
            self.log.info("Pulling %s", self.image)
        message = ""
        try:
            for event in self.cli.pull(self.image, stream=True, decode=True):
                message = event.get("error") or message
            self.cli.inspect_image(self.image)
        except APIError as error:
            message = message or str(error.explanation or error)
            error_class = ConfigError if any(rejection in message.lower() for rejection in PULL_REJECTIONS) else TransientError
            raise error_class(
                f"{self.model}: train.docker.image {self.image!r} is not on the Docker host {self.docker_url}, and pulling it failed: "
                f"{message}. Build it there (`docker build -t {self.image} .` in the project), or set an image that a registry has."
            ) from error

    def _remove_own(self) -> None:
        for summary in self._list_own():
            if summary["Labels"].get(TASK) == self._task:
                self._remove(summary["Id"])

    def _remove_leftovers(self) -> None:
        """Remove the containers of this task's earlier tries, whose worker was killed, and of any training that is overdue."""
        for summary in self._list_own():
            if summary["Labels"].get(TASK) == self._task or int(summary["Labels"][ENDS]) < time.time():
                created = f"{dt.datetime.fromtimestamp(summary['Created'], dt.UTC):%F %T} UTC"
                self.log.warning("Removing container %s, created %s, which an earlier try left behind", summary["Id"][:12], created)
                self._remove(summary["Id"])

    def _list_own(self) -> list[dict[str, Any]]:
        """List the containers of this deployment's trainings, running or not."""
        summaries: list[dict[str, Any]] = self.cli.containers(all=True, filters={"label": [f"{DEPLOYMENT}={_deployment()}"]})
        return summaries

    def _remove(self, container_id: str) -> None:
        try:
            self.cli.remove_container(container_id, v=True, force=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != CONFLICT:
                raise

    def _raise_if_stopped(self) -> None:
        if self._is_stopped:
            raise TransientError(f"{self.model}: the training was stopped and its container removed.")

    def _connect(self) -> None:
        try:
            self.cli.ping()
        except Exception as error:  # the provider's and the client's errors share no base class
            raise TransientError(
                f"{self.model}: train.run_in is docker, but no Docker daemon responds at {self.docker_url}: {error}. Check that it is "
                f"running and that this worker's user ({os.getuid()}) may use it. Set DOCKER_HOST to use another daemon."
            ) from error

    @contextmanager
    def _docker_errors(self) -> Iterator[None]:
        """Translate Docker's errors: `ConfigError` for settings that it rejects, `TransientError` for the rest."""
        try:
            yield
        except APIError as error:
            self._raise_if_stopped()
            message = f"{self.model}: Docker could not run {self.image}: {error.explanation or error}"
            if error.is_client_error() or "OCI runtime create failed" in message:
                raise ConfigError(f"{message}. Check train.docker in model.yaml, and {container.MOUNTS}.") from error
            raise TransientError(message) from error
        except (DockerException, RequestException) as error:
            self._raise_if_stopped()
            raise TransientError(f"{self.model}: the Docker daemon at {self.docker_url} did not respond: {error}") from error


def _deployment() -> str:
    """Identify this deployment among others that share the Docker host."""
    return hashlib.sha256(Settings.from_environment().database_url.encode()).hexdigest()[:16]
