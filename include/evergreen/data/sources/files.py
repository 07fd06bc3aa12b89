"""Files: one or several a partition, local or wherever fsspec reaches."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from include.evergreen.config import DatasetConfig, expand
from include.evergreen.config.sources import FilesSource
from include.evergreen.data.sources import Delivery
from include.evergreen.data.sources.unpacking import DeliveredFile, no_file, read_files
from include.evergreen.foundation.errors import ConfigError, DataError, EvergreenError, TransientError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ANY = "*"
MOST_FILES = 100_000


class FilesReader:
    """Reads a dataset whose source is ``files``."""

    def __init__(self, dataset: DatasetConfig) -> None:
        self.dataset = dataset
        self.source = cast(FilesSource, dataset.source)

    def open(self, partition: dt.date) -> Delivery:
        where = f"{self.dataset.name}: source.path"
        pattern = expand(self.source.path, where=where)
        filesystem, path = located(pattern, where=where)
        found = matching_files(filesystem, path, partition, self.dataset)
        undeclared: list[str] = []
        files = delivered_files(filesystem, found, self.dataset)
        return Delivery(read_files(self.dataset, self.source, files, undeclared), found, undeclared)


def located(url: str, *, where: str) -> tuple[AbstractFileSystem, str]:
    """The filesystem of a path or URL, and the path in it. Raises `ConfigError` when fsspec does not know it."""
    import fsspec

    protocol, path = fsspec.core.split_protocol(url)
    try:
        filesystem = fsspec.filesystem(protocol or "file") if protocol in (None, "file", "local") else fsspec.core.url_to_fs(url)[0]
        return filesystem, (path if protocol in (None, "file", "local") else str(filesystem._strip_protocol(url)))
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{where} is {url!r}, which fsspec cannot open: {error}. Give a path or a known URL.") from error


def matching_files(filesystem: AbstractFileSystem, pattern: str, partition: dt.date, dataset: DatasetConfig) -> list[str]:
    """The files of a partition, by name. ``{partition}`` stands for its key, ``*`` for anything within a name.

    Raises `DataError` when there are none, `ConfigError` for a pattern that climbs out of the folder before its first
    placeholder, `TransientError` when the filesystem does not answer.
    """
    _refuse_climbing(pattern, dataset)
    path = pattern.replace("{partition}", partition.isoformat())
    found = sorted(_expanded(filesystem, path, dataset)) if ANY in path else [path]
    if not found:
        raise no_file(dataset, path)
    for each in found:
        _refuse_other_than_files(filesystem, each, dataset)
    return found


def delivered_files(filesystem: AbstractFileSystem, paths: list[str], dataset: DatasetConfig) -> list[DeliveredFile]:
    """The files at ``paths``, for `read_files`."""
    return [DeliveredFile(path, partial(filesystem.open, path, "rb"), partial(_state, filesystem, path, dataset)) for path in paths]


def _refuse_climbing(pattern: str, dataset: DatasetConfig) -> None:
    first = re.search(r"\{partition\}|\*", pattern)
    if first and ".." in pattern[pattern.rfind("/", 0, first.start()) + 1 :].split("/"):
        raise ConfigError(
            f"{dataset.name}: the source's path is {pattern!r}, which climbs out of the folder before its first placeholder; "
            f"allowed after one are names below it. Write the path without '..'."
        )


def _expanded(filesystem: AbstractFileSystem, path: str, dataset: DatasetConfig) -> Iterator[str]:
    """Every file whose names fit those of ``path``, folder by folder; hidden ones only where the pattern's name is hidden too."""
    parts = path.split("/")
    level = next(number for number, part in enumerate(parts) if ANY in part)
    fits = re.compile(".*".join(map(re.escape, parts[level].split(ANY))), re.DOTALL)
    rest = parts[level + 1 :]
    for entry in _listed(filesystem, "/".join(parts[:level]) or ("/" if path.startswith("/") else ""), dataset):
        listed = str(entry["name"]).rstrip("/")
        if ".." in listed.split("/"):
            raise DataError(f"{dataset.name}: the source lists {listed!r}, which leads out of its folder; allowed are names below it.")
        name = listed.rpartition("/")[2]
        if not fits.fullmatch(name) or (name.startswith(".") and not parts[level].startswith(".")):
            continue
        whole = "/".join([*parts[:level], name, *rest])
        if ANY in "/".join(rest):
            yield from _expanded(filesystem, whole, dataset)
        elif (entry["type"] != "directory") if not rest else _is_there(filesystem, whole, dataset):
            yield whole


def _listed(filesystem: AbstractFileSystem, folder: str, dataset: DatasetConfig) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = filesystem.ls(folder or ".", detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except EvergreenError:
        raise
    except Exception as error:  # filesystems of all kinds raise what they like
        raise _no_answer(dataset, folder, error) from error
    if len(found) > MOST_FILES:
        raise DataError(
            f"{dataset.name}: {folder} has {len(found)} entries; at most {MOST_FILES} are looked through. Divide it by partition."
        )
    return found


def _is_there(filesystem: AbstractFileSystem, path: str, dataset: DatasetConfig) -> bool:
    return _kind(filesystem, path, dataset) is not None


def _kind(filesystem: AbstractFileSystem, path: str, dataset: DatasetConfig) -> str | None:
    try:
        return str(filesystem.info(path)["type"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except EvergreenError:
        raise
    except Exception as error:
        raise _no_answer(dataset, path, error) from error


def _refuse_other_than_files(filesystem: AbstractFileSystem, path: str, dataset: DatasetConfig) -> None:
    kind = _kind(filesystem, path, dataset)
    if kind is None:
        raise no_file(dataset, path)
    if kind not in {"file", "link"}:
        what = "a folder" if kind == "directory" else "a device or a pipe"
        raise DataError(f"{dataset.name}: the source's {path} is {what}, not a file. Put a file there, or mend the source's path.")


def _state(filesystem: AbstractFileSystem, path: str, dataset: DatasetConfig) -> object:
    try:
        facts = filesystem.info(path)
    except FileNotFoundError:
        return None
    except EvergreenError:
        raise
    except Exception as error:
        raise _no_answer(dataset, path, error) from error
    return [facts.get(name) for name in ("size", "ino", "mtime", "LastModified", "ETag", "etag", "updated", "generation")]


def _no_answer(dataset: DatasetConfig, path: str, error: Exception) -> TransientError:
    return TransientError(
        f"{dataset.name}: {path} could not be read: {error}. Is its disk or server there, and may this process read it? Then try again."
    )
