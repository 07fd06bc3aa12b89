"""A Docker daemon of the tests' own, in namespaces of its own: nothing that it starts or mounts outlives it.

No registry is needed: the one image is made of this machine's Python and of the libraries that it needs.
"""

from __future__ import annotations

import ctypes
import io
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

START_SECONDS = 60
PR_SET_PDEATHSIG = 1
PROGRAMS = ("dockerd", "runc", "docker-init", "iptables", "ip", "unshare")
PACKAGES = "docker.io iptables iproute2"
IMAGE = "evergreen-tests:1"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = f"/usr/local/lib/{VERSION}/site-packages"
OWN_PACKAGES = f"""\
import site, sys

if {SITE_PACKAGES!r} not in sys.path:  # as Debian's Python has it outside of virtual environments
    site.addsitedir({SITE_PACKAGES!r})
"""
LEFT_OUT = re.compile(r".*/(test|tests|site-packages|dist-packages|sitecustomize\.py|idlelib|tkinter|ensurepip|config-[^/]*)(/.*)?$|.*\.a$")
WHEELS_USE = (
    "libstdc++.so.6", "libgcc_s.so.1", "libgomp.so.1", "libpthread.so.0", "librt.so.1", "libdl.so.2", "libutil.so.1", "libm.so.6"
)  # fmt: skip


class DockerDaemon:
    """Starts on entering, with `IMAGE` in it; on leaving it is gone, with every container and all that it kept."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path(tempfile.gettempdir(), f"docker-of-evergreen-{secrets.token_hex(4)}")

    @staticmethod
    def why_not() -> str | None:
        """What keeps it from being started here, if anything does."""
        if missing := [each for each in PROGRAMS if shutil.which(each) is None]:
            return f"{', '.join(missing)} not installed: apt-get install {PACKAGES}"
        if os.geteuid() != 0:
            return "a Docker daemon of the tests' own needs root"
        return None

    @property
    def url(self) -> str:
        return f"unix://{self._folder}/docker.sock"

    @property
    def mounts(self) -> str:
        """For EVERGREEN_DOCKER_MOUNTS: the worker's places, and this environment's packages in place of an image that holds them."""
        return f"own,{sysconfig.get_paths()['purelib']}:{SITE_PACKAGES}:ro"

    def __enter__(self) -> DockerDaemon:
        self._folder.mkdir(mode=0o700)
        try:
            self._start()
            self._make_image()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with suppress(Exception):
                for each in self.containers():
                    self.client.remove_container(each["Id"], force=True)
                self.client.close()
            daemon: list[str] = []
            with suppress(OSError):  # it may have ended by itself
                daemon = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            self._process.kill()  # and with it the kernel ends its process namespace, whose mounts go with the last of it
            self._process.wait()
            while any(Path("/proc", each).exists() for each in daemon):
                time.sleep(0.01)
        for each in Path("/sys/fs/cgroup").glob(f"**/{self._folder.name}"):
            with suppress(OSError):
                each.rmdir()
        shutil.rmtree(self._folder, ignore_errors=True)

    def containers(self) -> list[dict[str, Any]]:
        """All that there are, running or not."""
        found: list[dict[str, Any]] = self.client.containers(all=True)
        return found

    def _start(self) -> None:
        from docker.errors import DockerException

        from docker import APIClient

        daemon = [
            "dockerd", "--data-root", f"{self._folder}/data", "--exec-root", f"{self._folder}/exec", "--pidfile", f"{self._folder}/pid",
            "--host", self.url, "--cgroup-parent", f"/{self._folder.name}",
        ]  # fmt: skip
        isolated = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*isolated, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *daemon],
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_the_tests,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client = APIClient(self.url, version="auto", timeout=60)
                return
            except DockerException as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    words = (self._folder / "log").read_text()[-2000:]
                    raise RuntimeError(f"dockerd did not start: {error}\n{words}") from error
                time.sleep(0.1)

    def _make_image(self) -> None:
        root = self._folder / "root.tar"
        with tarfile.open(root, "w", format=tarfile.GNU_FORMAT, dereference=False) as tar:
            write_root(tar)
        name, _, tag = IMAGE.partition(":")
        self.client.import_image_from_file(
            str(root), repository=name, tag=tag, changes=["ENV PATH=/usr/local/bin:/usr/bin:/bin", "ENV LD_LIBRARY_PATH=/usr/local/lib"]
        )  # fmt: skip
        root.unlink()


def write_root(tar: tarfile.TarFile) -> None:
    """A root file system with this Python under /usr/local, and with the shared libraries that it and common wheels need."""
    program, standard_library = Path(sys.base_prefix, "bin", VERSION), Path(sysconfig.get_path("stdlib"))
    for folder in ("tmp", "root", "proc", "sys", "dev", "etc", SITE_PACKAGES[1:]):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
        tar.addfile(entry)
    texts = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "etc/group": "root:x:0:\n",
        f"usr/local/lib/{VERSION}/sitecustomize.py": OWN_PACKAGES,
    }
    for name, text in texts.items():
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))
    for name in ("python3", "python"):
        entry = tarfile.TarInfo(f"usr/local/bin/{name}")
        entry.type, entry.linkname = tarfile.SYMTYPE, VERSION
        tar.addfile(entry)
    tar.add(program, f"usr/local/bin/{VERSION}")
    tar.add(standard_library, f"usr/local/lib/{VERSION}", filter=lambda entry: None if LEFT_OUT.match(entry.name) else entry)
    for library in sorted(_libraries([program, *(standard_library / "lib-dynload").glob("*.so")])):
        place = f"usr/local/lib/{library.name}" if library.name.startswith("libpython") else str(library)[1:]
        tar.add(library.resolve(), place)


def _libraries(programs: list[Path]) -> set[Path]:
    """Every shared library of this machine that ``programs``, or wheels, load; under the names by which they ask for them."""
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    wheels = {Path(found[1]) for name in WHEELS_USE if (found := re.search(rf"{re.escape(name)} .*=> (/\S+)", cache))}
    return wheels | {Path(each) for each in re.findall(r"(/\S+\.so\S*) \(", said)}


def _end_with_the_tests() -> None:
    """Even tests that are killed leave no daemon behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
