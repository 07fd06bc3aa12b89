"""The training environment: what, besides data and recipe, determines a fitted model: code, libraries, machine."""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from include.evergreen import PROJECT_ROOT
from include.evergreen.serving.inference import one_thread

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "skops", "mlflow", "lightgbm", "xgboost", "xgboost-cpu")
LOCK = "requirements.txt"
GIT_SECONDS = 5


def environment() -> dict[str, Any]:
    """Describe what this process trains in. Found once for each process.

    :returns: as JSON: ``code`` (commit, digest), ``lock`` (digest), ``python``, ``platform``, ``libraries`` (versions by name), ``numeric``
        (the libraries for linear algebra and parallel loops), ``threads`` (what a fit lets each of them use) and ``hash_seed``; what is
        not there (no git, no lock file, a library that is not installed) is left out; a copy, which the caller may change
    """
    return copy.deepcopy(_observed())


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Compare two environments.

    :param recorded: an `environment`, as a candidate's facts keep it
    :param now: the `environment` to compare it with
    :returns: one line for each part that differs: ``scikit-learn: 1.9.0 -> 1.9.1``, with ``none`` for what is not there
    """
    then, current = _flat(recorded), _flat(now)
    return [
        f"{name}: {then.get(name, 'none')} -> {current.get(name, 'none')}"
        for name in dict.fromkeys([*then, *current])
        if then.get(name) != current.get(name)
    ]


def code_digest(folder: Path) -> str:
    """Digest the code of a folder: a container has no git, but has these files.

    :param folder: read with all folders below it
    :returns: SHA-256, in hex, over the names and texts of all its Python files
    """
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        text = file.read_bytes()
        whole.update(f"{file.relative_to(folder).as_posix()}\0{len(text)}\0".encode())
        whole.update(text)
    return whole.hexdigest()


@functools.cache
def _observed() -> dict[str, Any]:
    lock = PROJECT_ROOT / LOCK
    numeric = _numeric()
    parts = ("internal_api", "version", "architecture")
    kinds = {" ".join(str(library[part]) for part in parts if library.get(part)) for library in numeric}
    return {
        "code": {**({"commit": commit} if (commit := _commit()) else {}), "digest": code_digest(PROJECT_ROOT / "include" / "evergreen")},
        **({"lock": hashlib.sha256(lock.read_bytes()).hexdigest()} if lock.exists() else {}),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}, {_processor()}",
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
        "numeric": sorted(kinds),
        "threads": {str(library["internal_api"]): int(library["num_threads"]) for library in numeric},
        "hash_seed": os.environ.get("PYTHONHASHSEED") or "random",
    }


def _commit() -> str | None:
    command = ["git", "-C", str(PROJECT_ROOT), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _processor() -> str:
    """Which kind of processor it is: numeric libraries choose their routines by it, and so the last bits of sums."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part"))]
    return named[0] if named else platform.processor() or "unknown processor"


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _numeric() -> list[dict[str, Any]]:
    """The libraries under numpy, scipy and scikit-learn that compute in parallel, as a fit finds them."""
    for name in ("scipy.linalg", "sklearn.ensemble"):
        importlib.import_module(name)  # which loads them
    from threadpoolctl import threadpool_info

    with one_thread():
        return list(threadpool_info())


def _flat(document: Mapping[str, Any]) -> dict[str, str]:
    """Each part as a line says it."""
    code, threads = document.get("code", {}), document.get("threads", {})
    named = {
        "code, git commit": code.get("commit"),
        "code, digest of include/evergreen": code.get("digest"),
        f"lock, digest of {LOCK}": document.get("lock"),
        "python": document.get("python"),
        "platform": document.get("platform"),
        **document.get("libraries", {}),
        "numeric libraries": ", ".join(document.get("numeric", [])),
        **{f"threads of {name}": number for name, number in threads.items()},
        "PYTHONHASHSEED": document.get("hash_seed"),
    }
    return {name: str(value) for name, value in named.items() if value is not None}
