"""Trains in a container of its own, and leaves none behind."""

from __future__ import annotations

import codecs
import datetime as dt
import hashlib
import json
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.providers.docker.operators.docker import DockerOperator
from docker.errors import APIError, DockerException, NotFound
from docker.types import Mount
from requests.exceptions import RequestException

from evergreen_airflow.links import MlflowRunLink
from evergreen_airflow.operators.training import tags_of, training_facts
from include.evergreen.config import Catalog
from include.evergreen.config.docker import Docker
from include.evergreen.foundation.errors import ConfigError, EvergreenError, TransientError
from include.evergreen.foundation.settings import Settings
from include.evergreen.training import container

TASK, DEPLOYMENT, ENDS = "evergreen.task", "evergreen.deployment", "evergreen.ends"  # labels of a container; the last in Unix time
MIB = 1 << 20
LAST_LINES = 30
REFUSED_BY_THE_REGISTRY = ("not found", "denied", "unknown", "invalid reference")
CONFLICT = 409  # another removal of the same container is under way
LEVELS = logging.getLevelNamesMapping()


class TrainInContainerOperator(DockerOperator):
    """Fits a candidate as `TrainCandidateOperator` does, and returns the same, by `python -m include.evergreen train` in a container.

    Of the provider's operator it takes the daemon's connection and its place in Airflow, and runs the container itself, for there
    (4.6.1) ``cpus`` is a weight and no limit, a container whose start fails stays, what killed it is not told, and answers and logs
    are one stream.

    :param model: the model's name (templated)
    :param docker: the image and the limits, as model.yaml declares them
    """

    template_fields = ("model", "image")
    operator_extra_links = (MlflowRunLink(),)

    def __init__(self, *, model: str, docker: Docker, **kwargs: Any) -> None:
        super().__init__(image=docker.image, auto_remove="force", mount_tmp_dir=False, **kwargs)
        self.model = model
        self.limits = docker
        self._task = ""
        self._is_stopped = False

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        from include.evergreen.training import find_candidate
        from include.evergreen.training.recipes import recipe_of

        catalog, ti = Catalog(), context["ti"]
        command = container.train_command(
            self.model,
            snapshot=ti.xcom_pull(task_ids="snapshot")["snapshot"],
            recipe=recipe_of(catalog, catalog.model(self.model)).digest,
            reason=context["params"].get("reason") or f"run {context['run_id']}",
            tags=tags_of(context),
            timeout_minutes=self.limits.timeout_minutes,
        )
        self._task = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"
        answer = self._run_to_its_end(command)
        return training_facts(find_candidate(answer["run_key"]), is_new=answer["is_new"])

    def on_kill(self) -> None:
        """At once: Airflow ends the process five seconds after it was told to stop, and a killed training leaves nothing half done."""
        self._is_stopped = True
        if self._task and self.hook.client_created:
            self._remove_own()

    def _run_to_its_end(self, command: list[str]) -> dict[str, Any]:
        """What the command printed: one JSON document. The container is gone when this returns or raises."""
        self._connect()
        with self._refusals():
            self._remove_leftovers()
            self._require_image()
            try:
                created = self.cli.create_container(**self._container(command))["Id"]
                streams = self.cli.attach(created, stdout=True, stderr=True, stream=True, demux=True)
                self._refuse_if_stopped()
                self.cli.start(created)
                self.log.info("Container %s of %s: %s", created[:12], self.image, " ".join(command))
                said, logged = self._follow(streams)
                self._refuse_if_stopped()
                self.cli.wait(created)
                state = self.cli.inspect_container(created)["State"]
            finally:
                self._remove_own()
        return self._answer(state, said, logged)

    def _answer(self, state: Mapping[str, Any], said: str, logged: str) -> dict[str, Any]:
        if state["ExitCode"] != 0:
            raise container.failure(
                state["ExitCode"],
                logged,
                model=self.model,
                image=self.image,
                memory_mb=self.limits.memory_mb,
                is_out_of_memory=state["OOMKilled"],
            )
        try:
            answer: dict[str, Any] = json.loads(said)
        except ValueError:
            raise EvergreenError(
                f"{self.model}: the container of {self.image} ended well and named no candidate, but said {said[-500:]!r}. "
                f"Does the image hold this release of Evergreen?"
            ) from None
        return answer

    def _container(self, command: list[str]) -> dict[str, Any]:
        """The arguments of `create_container`."""
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
                    Mount(each.target, each.source, type="volume" if each.is_volume else "bind", read_only=each.is_read_only)
                    for each in container.mounts()
                ],
                network_mode=container.network(),
                nano_cpus=round(self.limits.cpus * 1e9),
                mem_limit=memory,
                memswap_limit=memory,
                init=True,  # else the command would be process 1, to which the kernel delivers no alarm
                group_add=os.getgroups(),
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
            ),
        }

    def _follow(self, streams: Iterator[tuple[bytes | None, bytes | None]]) -> tuple[str, str]:
        """Copy what the container logs into the task's log while it runs; returns its stdout, and the last lines of its stderr."""
        said, last = bytearray(), deque[str](maxlen=LAST_LINES)
        decoder, unfinished = codecs.getincrementaldecoder("utf-8")("replace"), ""
        for out, err in streams:
            said += out or b""
            *lines, unfinished = (unfinished + decoder.decode(err or b"")).split("\n")
            for line in lines:
                last.append(line)
                level, _, words = line.partition(" ")  # as the command line writes them
                if level in LEVELS:
                    self.log.log(LEVELS[level], "%s", words)
                else:
                    self.log.info("%s", line)
        if unfinished:
            last.append(unfinished)
            self.log.info("%s", unfinished)
        return said.decode(errors="replace"), "\n".join(last)

    def _require_image(self) -> None:
        """Pull it unless it is there; the registry's own words, when there is nothing to pull, go into the error."""
        try:
            self.cli.inspect_image(self.image)
            return
        except NotFound:
            self.log.info("Pulling %s", self.image)
        words = ""
        try:
            for each in self.cli.pull(self.image, stream=True, decode=True):
                words = each.get("error") or words
            self.cli.inspect_image(self.image)
        except APIError as error:
            words = words or str(error.explanation or error)
            kind = ConfigError if any(each in words.lower() for each in REFUSED_BY_THE_REGISTRY) else TransientError
            raise kind(
                f"{self.model}: train.docker.image {self.image!r} is not on the Docker host {self.docker_url}, and could not be pulled: "
                f"{words}. Build it there (`docker build -t {self.image} .` in the project), or name one that a registry has."
            ) from error

    def _remove_own(self) -> None:
        for each in self._ours():
            if each["Labels"].get(TASK) == self._task:
                self._remove(each)

    def _remove_leftovers(self) -> None:
        """Of this task's earlier tries, whose worker was killed, and of any training whose time is over."""
        for each in self._ours():
            if each["Labels"].get(TASK) == self._task or int(each["Labels"][ENDS]) < time.time():
                began = dt.datetime.fromtimestamp(each["Created"], dt.UTC)
                self.log.warning("Removing container %s of %s, which an earlier try left behind", each["Id"][:12], f"{began:%F %T} UTC")
                self._remove(each)

    def _ours(self) -> list[dict[str, Any]]:
        """The containers of this deployment's trainings, running or not."""
        found: list[dict[str, Any]] = self.cli.containers(all=True, filters={"label": [f"{DEPLOYMENT}={_deployment()}"]})
        return found

    def _remove(self, found: Mapping[str, Any]) -> None:
        try:
            self.cli.remove_container(found["Id"], v=True, force=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != CONFLICT:
                raise

    def _refuse_if_stopped(self) -> None:
        if self._is_stopped:
            raise TransientError(f"{self.model}: the training was told to stop; its container is removed.")

    def _connect(self) -> None:
        try:
            self.cli.ping()
        except Exception as error:  # the provider's and the client's errors have no class in common
            raise TransientError(
                f"{self.model}: train.run_in is docker, and no Docker daemon answers at {self.docker_url}: {error}. Is it running, and may "
                f"this worker's user ({os.getuid()}) use it? DOCKER_HOST names another one."
            ) from error

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What the daemon says, as our errors: what it will not do with these settings, and what it could not do just now."""
        try:
            yield
        except APIError as error:
            self._refuse_if_stopped()
            words = f"{self.model}: Docker refused to run {self.image}: {error.explanation or error}"
            if error.is_client_error() or "OCI runtime create failed" in words:
                raise ConfigError(f"{words}. See train.docker in model.yaml, and {container.MOUNTS} and {container.NETWORK}.") from error
            raise TransientError(words) from error
        except (DockerException, RequestException) as error:
            self._refuse_if_stopped()
            raise TransientError(f"{self.model}: the Docker daemon at {self.docker_url} did not answer: {error}") from error


def _deployment() -> str:
    """Tells the containers of this deployment from those of another on the same Docker host."""
    return hashlib.sha256(Settings.from_environment().database_url.encode()).hexdigest()[:16]
