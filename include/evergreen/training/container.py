"""Containers for training: what goes in, what comes out, and the command line, mounts and variables of one.

It gets the declaration and the rows of one training as files, and gives a fitted model as files: `fit_job`. It reaches no
database, no MLflow, no storage, no secret and no network: all that is recorded, the worker records.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO

from include.evergreen import PROJECT_ROOT, telemetry_off
from include.evergreen.config import ModelConfig
from include.evergreen.foundation.errors import ConfigError, DataError, EvergreenError, TransientError
from include.evergreen.foundation.team_code import Modules
from include.evergreen.state import storage
from include.evergreen.training.fit_job import FRAME, JOB, Outcome, read_outcome, write_job
from include.evergreen.training.snapshot import Snapshot
from include.evergreen.training.tuning import TuningResult

MOUNTS = "EVERGREEN_DOCKER_MOUNTS"
OWN, NONE = "own", "none"  # in EVERGREEN_DOCKER_MOUNTS: this process's code; nothing, for an image that has it
INPUTS, RESULTS = "/evergreen/inputs", "/evergreen/results"  # in the container, and in the archives
# measured: with OPENBLAS_CORETYPE set in the worker alone, a container's predictions differed from its own in the last bits
ARITHMETIC = ("OPENBLAS_", "OMP_", "MKL_", "BLIS_", "KMP_", "NPY_")  # what the name of a variable that is handed on begins with
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


def fit_command(timeout_minutes: float) -> list[str]:
    """Return the command line that fits `INPUTS` into `RESULTS`, for the image's own interpreter.

    :param timeout_minutes: the task's time-out; the container ends itself `GRACE_MINUTES` later
    :returns: the program and its arguments
    """
    ends = f"--end-after={timeout_minutes + GRACE_MINUTES:g}"
    return ["python", "-m", "include.evergreen", "fit", INPUTS, RESULTS, ends, "--verbose"]


def pack_inputs(archive: IO[bytes], model: ModelConfig, snapshot: Snapshot, modules: Modules, kept: TuningResult | None) -> None:
    """Write all that the container gets, to be unpacked at its root: the declaration and the rows, and an empty folder for the results.

    Raises `DataError` when the snapshot's frame is not in the storage, `TransientError` when the storage does not answer.

    :param archive: an open file, which becomes a tar archive
    :param model: the model, as it is declared
    :param snapshot: the rows to train on
    :param modules: those in the model's folder, as the recipe holds them
    :param kept: the choice of an earlier attempt that counts; None: it chooses
    """
    with TemporaryDirectory() as scratch, storage.local_file(snapshot.frame_path) as frame:
        write_job(Path(scratch), model, snapshot, modules, kept)
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for folder in (str(Path(INPUTS).parent), INPUTS, RESULTS):
                entry = tarfile.TarInfo(folder.lstrip("/"))
                entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o700, os.getuid(), os.getgid()
                tar.addfile(entry)
            for path, name in ((Path(scratch) / JOB, JOB), (frame, FRAME)):
                tar.add(path, f"{INPUTS}/{name}".lstrip("/"), filter=_own)


def unpack_results(archive: IO[bytes], folder: Path) -> Outcome:
    """Read what the container gives, and trust nothing of it: links, special files and paths that lead out are refused.

    :param archive: Docker's tar archive of `RESULTS`
    :param folder: an empty folder of this machine, which gets the files
    :returns: what was fitted, and how well; its files lie in ``folder``
    :raises EvergreenError: when it is not what `fit_job.fit_in_folder` writes
    """
    top = Path(RESULTS).name
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            for member in tar:
                _unpack(tar, member, folder)
        for entry in list((folder / top).iterdir()):
            shutil.move(str(entry), folder / entry.name)
        return read_outcome(folder)
    except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
        raise EvergreenError(
            f"The training's container ended well and gave no result that can be read: {type(error).__name__}: {str(error)[:300]}. "
            f"Does its image contain this release of Evergreen?"
        ) from error


def _unpack(tar: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> None:
    """As ``extractall(filter="data")`` does, which Python has since 3.11.4 alone: Debian 12 has 3.11.2."""
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts:
        raise tarfile.TarError(f"{entry.name!r} would lie outside of the results")
    if entry.isdir():
        (folder / path).mkdir(parents=True, exist_ok=True)
        return
    content = tar.extractfile(entry) if entry.isreg() else None
    if content is None:
        raise tarfile.TarError(f"{entry.name!r} is no file and no folder")
    with content, (folder / path).open("xb") as file:
        shutil.copyfileobj(content, file)


def _own(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Readable by the container's user, who is the worker's, and by nobody else."""
    entry.uid, entry.gid, entry.mode = os.getuid(), os.getgid(), 0o600
    return entry


def mounts() -> list[Mount]:
    """What EVERGREEN_DOCKER_MOUNTS lists: ``SOURCE:TARGET[:ro]``, ``own`` (all, when it is not set) for this process's code, ``none``.

    :returns: the mounts, in the order in which they are listed
    :raises ConfigError: when an entry is none of the three
    """
    mounted: list[Mount] = []
    for entry in filter(None, map(str.strip, (os.environ.get(MOUNTS) or OWN).split(","))):
        if entry == OWN:
            mounted += _own_code()
        elif entry == NONE:
            continue
        elif parts := _MOUNT.fullmatch(entry):
            mounted.append(Mount(parts["source"], parts["target"], parts["mode"] == ":ro"))
        else:
            raise ConfigError(
                f"{MOUNTS} has {entry!r}; allowed, separated by commas: SOURCE:TARGET or SOURCE:TARGET:ro, where SOURCE is an absolute "
                f"path or a volume and TARGET an absolute path; {OWN}, which is the code that this process runs, read-only; {NONE}."
            )
    return mounted


def working_dir() -> str | None:
    """Say where the command runs. Raises `ConfigError` as `mounts`.

    :returns: the project's folder, when its code is mounted; None: where the image says
    """
    target = str(PROJECT_ROOT / "include")
    return str(PROJECT_ROOT) if any(mount.target == target for mount in mounts()) else None


def variables() -> dict[str, str]:
    """Choose what the container gets of this process's environment: what decides the last bits of a sum, and no secret.

    :returns: all the environment variables that are set for it, by name
    """
    handed_on = {name: value for name, value in os.environ.items() if name.startswith(ARITHMETIC)}
    return handed_on | {
        **telemetry_off(),
        "EVERGREEN_HOME": "/tmp/evergreen",  # noqa: S108 - the container's own
        "HOME": "/tmp",  # noqa: S108
        "LOGNAME": "evergreen",  # the user is a number without a name there, and libraries ask for one
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def failure(exit_code: int, message: str, *, model: str, image: str, memory_mb: int, is_out_of_memory: bool) -> EvergreenError:
    """What a container that ended so means, split by who must act.

    :param exit_code: what the container's process returned, not 0
    :param message: the end of what it wrote to stderr; empty when it wrote nothing
    :param model: name of the model
    :param image: the image that it was made of
    :param memory_mb: the limit of its memory, in MB
    :param is_out_of_memory: whether Docker says that it was killed at this limit
    :returns: the error for the task to raise
    """
    subject, said = f"{model}: the training in a container of {image}", f"\nIt said last:\n{message[-OUTPUT_SHOWN:]}" if message else ""
    if is_out_of_memory:
        return ConfigError(
            f"{subject} needed more than its {memory_mb} MB of memory and was killed. Raise train.docker.memory_mb, or read fewer rows: "
            f"train.window.{said}"
        )
    if exit_code == ALARMED:
        return TransientError(f"{subject} was still running a minute after its time-out, and ended itself: its worker was gone.{said}")
    if exit_code == KILLED:
        return TransientError(f"{subject} was killed from outside, and not for want of memory.{said}")
    if kind := ERRORS.get(exit_code):
        return kind(f"{subject} ended with exit code {exit_code}: {message.rpartition('evergreen: ')[2] or 'it said nothing'}")
    return EvergreenError(f"{subject} ended with exit code {exit_code}, which is none of ours; what it logged says why.{said}")


def _own_code() -> list[Mount]:
    """The code and declarations that this process runs, read-only; each once."""
    declared = [PROJECT_ROOT / "include", *([Path(root).absolute()] if (root := os.environ.get("EVERGREEN_INCLUDE")) else [])]
    outermost = [
        folder for folder in dict.fromkeys(declared) if not any(folder != other and folder.is_relative_to(other) for other in declared)
    ]
    return [Mount(str(folder), str(folder), True) for folder in outermost]
