"""Containers for training: the command line, mounts, variables and network that a container gets.

It sees the same files under the same paths, and so the same databases and the same MLflow: nothing that runs in it needs to
know that it does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from include.evergreen import PROJECT_ROOT, telemetry_off
from include.evergreen.foundation.errors import ConfigError, DataError, EvergreenError, TransientError
from include.evergreen.foundation.settings import Settings
from include.evergreen.serving.clean_processes import ADDRESS

MOUNTS, NETWORK = "EVERGREEN_DOCKER_MOUNTS", "EVERGREEN_DOCKER_NETWORK"
OWN = "own"  # in EVERGREEN_DOCKER_MOUNTS: this process's places
STORES = ("EVERGREEN_", "MLFLOW_", "AWS_", "AZURE_", "GOOGLE_", "GCS_", "FSSPEC_")
# measured: with OPENBLAS_CORETYPE set in the worker alone, a container's predictions differed from its own in the last bits
ARITHMETIC = ("OPENBLAS_", "OMP_", "MKL_", "BLIS_", "KMP_", "NPY_")
HANDED_ON = STORES + ARITHMETIC  # what a variable's name begins with
KEPT_BACK = (MOUNTS, NETWORK, "EVERGREEN_PRELOAD", ADDRESS)
HANDED_ON_TOO = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
GRACE_MINUTES = 1.0  # that the container outlives its task's time-out, so that the task is what speaks
ERRORS: dict[int, type[EvergreenError]] = {2: ConfigError, 3: DataError, 4: TransientError}  # as `cli.main.EXIT_CODES` has it
KILLED, ALARMED = 137, 142  # 128 + SIGKILL, 128 + SIGALRM
OUTPUT_SHOWN = 2000
_MOUNT = re.compile(r"(?P<source>[^:,]+):(?P<target>/[^:,]*)(?P<mode>:r[ow])?")


@dataclass(frozen=True)
class Mount:
    """``source`` is an absolute path of the Docker host, or the name of a volume."""

    source: str
    target: str
    is_read_only: bool

    @property
    def is_volume(self) -> bool:
        """Whether ``source`` names a volume, which Docker keeps, rather than a folder of the host."""
        return not self.source.startswith("/")


def train_command(
    model: str, *, snapshot: str, recipe: str, reason: str, tags: Mapping[str, str], timeout_minutes: float
) -> list[str]:  # fmt: skip
    """The command line that trains: what a person gives as `evergreen train`, for the image's own interpreter.

    :param model: the name of the model
    :param snapshot: the digest of the snapshot to train on
    :param recipe: the digest of the recipe that the code in the image must give
    :param reason: why it is trained, for the record
    :param tags: names and values of tags for the MLflow run
    :param timeout_minutes: the task's time-out; the container ends itself `GRACE_MINUTES` later
    :returns: the program and its arguments
    """
    command = ["python", "-m", "include.evergreen", "train", model, "--snapshot", snapshot, "--recipe", recipe, f"--reason={reason}"]
    command += [f"--tag={name}={value}" for name, value in tags.items()]
    return [*command, f"--end-after={timeout_minutes + GRACE_MINUTES:g}", "--json", "--verbose"]


def mounts() -> list[Mount]:
    """What EVERGREEN_DOCKER_MOUNTS lists: ``SOURCE:TARGET[:ro]``, and ``own`` (all, when it is not set) for this process's places.

    :returns: the mounts, in the order in which they are listed
    :raises ConfigError: when an entry is neither of the two
    """
    mounted: list[Mount] = []
    for entry in filter(None, map(str.strip, (os.environ.get(MOUNTS) or OWN).split(","))):
        if entry == OWN:
            mounted += _own_places()
        elif parts := _MOUNT.fullmatch(entry):
            mounted.append(Mount(parts["source"], parts["target"], parts["mode"] == ":ro"))
        else:
            raise ConfigError(
                f"{MOUNTS} has {entry!r}; allowed, separated by commas: SOURCE:TARGET or SOURCE:TARGET:ro, where SOURCE is an absolute "
                f"path or a volume and TARGET an absolute path, and the word {OWN} for what this process itself uses."
            )
    return mounted


def working_dir() -> str | None:
    """Where the command runs: the project, when its code is mounted; else where the image says."""
    target = str(PROJECT_ROOT / "include")
    return str(PROJECT_ROOT) if any(mount.target == target for mount in mounts()) else None


def variables() -> dict[str, str]:
    """What the container needs of this process's environment, secrets among it; places are absolute."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith(HANDED_ON) or name.upper() in HANDED_ON_TOO) and name not in KEPT_BACK
    }
    settings = Settings.from_environment()
    environment |= {"EVERGREEN_HOME": str(settings.home), **telemetry_off()}
    for name in ("EVERGREEN_STORAGE", "EVERGREEN_INCLUDE"):
        if (value := environment.get(name)) and "://" not in value:
            environment[name] = str(Path(value).absolute())
    return environment | {
        "HOME": "/tmp",  # noqa: S108 - the container's own
        "LOGNAME": "evergreen",  # the user is a number without a name there, and libraries ask for one
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def network() -> str:
    """EVERGREEN_DOCKER_NETWORK; without it none, or the host's where the databases, the storage or MLflow are servers."""
    if chosen := os.environ.get(NETWORK):
        return chosen
    settings = Settings.from_environment()
    return "none" if all(_local_folders(settings)) else "host"


def failure(exit_code: int, message: str, *, model: str, image: str, memory_mb: int, is_out_of_memory: bool) -> EvergreenError:
    """What a container that ended so means, split by who must act.

    :param exit_code: what the container's process returned, not 0
    :param message: the end of what it wrote to stderr; empty when it wrote nothing
    :param model: the name of the model that it trained
    :param image: the image that it was made of
    :param memory_mb: the limit of its memory, in MB
    :param is_out_of_memory: whether Docker says that it was killed at this limit
    :returns: the error for the task to raise
    """
    subject, said = f"{model}: the training in a container of {image}", f"\nIt said last:\n{message[-OUTPUT_SHOWN:]}" if message else ""
    if is_out_of_memory:
        return ConfigError(
            f"{subject} needed more than its {memory_mb} MB of memory and was killed. Raise train.docker.memory_mb, or read fewer days: "
            f"train.window_days.{said}"
        )
    if exit_code == ALARMED:
        return TransientError(f"{subject} was still running a minute after its time-out, and ended itself: its worker was gone.{said}")
    if exit_code == KILLED:
        return TransientError(f"{subject} was killed from outside, and not for want of memory.{said}")
    if kind := ERRORS.get(exit_code):
        return kind(f"{subject} ended with exit code {exit_code}: {message.rpartition('evergreen: ')[2] or 'it said nothing'}")
    return EvergreenError(f"{subject} ended with exit code {exit_code}, which is none of ours; what it logged says why.{said}")


def _own_places() -> list[Mount]:
    """Every folder that this process keeps state in, and the code and declarations that it runs, read-only; each once."""
    settings = Settings.from_environment()
    written = _outermost([settings.home, *filter(None, _local_folders(settings))])
    declared = [PROJECT_ROOT / "include", *([Path(root).absolute()] if (root := os.environ.get("EVERGREEN_INCLUDE")) else [])]
    read = [folder for folder in _outermost(declared) if not any(folder.is_relative_to(outer) for outer in written)]
    return [
        Mount(str(folder), str(folder), is_read_only) for folders, is_read_only in ((written, False), (read, True)) for folder in folders
    ]


def _outermost(folders: list[Path]) -> list[Path]:
    return [folder for folder in dict.fromkeys(folders) if not any(folder != other and folder.is_relative_to(other) for other in folders)]


def _local_folders(settings: Settings) -> list[Path | None]:
    return [_local_folder(place) for place in (settings.database_url, settings.storage, settings.mlflow_tracking_uri)]


def _local_folder(place: str) -> Path | None:
    """The folder of a path, a ``file:`` URL or a SQLite database; None for what a server keeps."""
    if place.startswith("sqlite:///"):
        return Path(place.removeprefix("sqlite:///")).absolute().parent
    if place.startswith("file:"):
        return Path(url2pathname(urlsplit(place).path)).absolute()
    return None if "://" in place else Path(place).absolute()
