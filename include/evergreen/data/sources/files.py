"""Files: one or several a partition, local or wherever fsspec reaches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from include.evergreen.config import DatasetConfig, expand
from include.evergreen.config.sources import FilesSource
from include.evergreen.data.sources import Delivery
from include.evergreen.data.sources.unpacking import DeliveredFile, answering, no_file, read_files
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ANY = "*"
MOST_FILES = 100_000


class FilesReader:
    """Reads a dataset whose source is ``files``.

    :param dataset: as it is declared now
    """

    def __init__(self, dataset: DatasetConfig) -> None:
        self.dataset = dataset
        self.source = cast(FilesSource, dataset.source)

    def open(self, partition: Partition) -> Delivery:
        """Find the partition's files; raises what `located` and `matching_files` do, as `Source` has it.

        :param partition: the partition's date
        :returns: the rows of all files, none of which is opened yet
        """
        where = f"{self.dataset.name}: source.path"
        filesystem, path = located(expand(self.source.path, where=where), where=where)
        paths = matching_files(filesystem, path, partition, self.dataset)
        undeclared: list[str] = []
        files = delivered_files(filesystem, paths, self.dataset)
        return Delivery(read_files(self.dataset, self.source, files, undeclared), paths, undeclared)


def located(url: str, *, where: str) -> tuple[AbstractFileSystem, str]:
    """Find the filesystem of a path or URL.

    :param url: a local path, or a URL; it may have placeholders
    :param where: what begins the error, such as the dataset and its setting
    :returns: the filesystem, and the path in it
    :raises ConfigError: when fsspec does not know the URL
    """
    import fsspec

    protocol, path = fsspec.core.split_protocol(url)
    try:
        filesystem = fsspec.filesystem(protocol or "file") if protocol in (None, "file", "local") else fsspec.core.url_to_fs(url)[0]
        return filesystem, (path if protocol in (None, "file", "local") else str(filesystem._strip_protocol(url)))
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{where} is {url!r}, which fsspec cannot open: {error}. Give a path or a known URL.") from error


def matching_files(filesystem: AbstractFileSystem, pattern: str, partition: Partition, dataset: DatasetConfig) -> list[str]:
    """Find the files of a partition. Those of a pattern with ``*`` are all that are there; hidden ones must be named as such.

    Raises `ConfigError` for a pattern that climbs out of the folder before its first placeholder, `TransientError` when the
    filesystem does not answer.

    :param filesystem: where they lie
    :param pattern: their path, in which ``{partition}`` stands for the partition's key and ``*`` for anything within a name
    :param partition: the partition's date
    :param dataset: whose source is read, for errors
    :returns: their paths, sorted; at least one
    :raises DataError: when there are none, when one is a folder or a device, or when a folder has more than `MOST_FILES` entries
    """
    _refuse_climbing(pattern, dataset)
    path = pattern.replace("{partition}", partition)
    paths = sorted(_expanded(filesystem, path, dataset)) if ANY in path else [path]
    if not paths:
        raise DataError(no_file(dataset, path))
    for path in paths:
        _refuse_other_than_files(filesystem, path, dataset)
    return paths


def delivered_files(filesystem: AbstractFileSystem, paths: list[str], dataset: DatasetConfig) -> list[DeliveredFile]:
    """Describe files for `read_files`, which opens them one after the other.

    :param filesystem: where they lie
    :param paths: the files' paths in it
    :param dataset: whose source is read, for errors
    :returns: one for each path, in their order
    """
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
        elif (entry["type"] != "directory") if not rest else _facts(filesystem, whole, dataset) is not None:
            yield whole


def _listed(filesystem: AbstractFileSystem, folder: str, dataset: DatasetConfig) -> list[dict[str, Any]]:
    with answering(dataset, folder):
        try:
            entries: list[dict[str, Any]] = filesystem.ls(folder or ".", detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
    if len(entries) > MOST_FILES:
        raise DataError(
            f"{dataset.name}: {folder} has {len(entries)} entries; at most {MOST_FILES} are looked through. Divide it by partition."
        )
    return entries


def _facts(filesystem: AbstractFileSystem, path: str, dataset: DatasetConfig) -> dict[str, Any] | None:
    """What the filesystem knows of a path; None when nothing is there."""
    with answering(dataset, path):
        try:
            return cast("dict[str, Any]", filesystem.info(path))
        except (FileNotFoundError, NotADirectoryError):
            return None


def _refuse_other_than_files(filesystem: AbstractFileSystem, path: str, dataset: DatasetConfig) -> None:
    facts = _facts(filesystem, path, dataset)
    if facts is None:
        raise DataError(no_file(dataset, path))
    if facts["type"] not in {"file", "link"}:
        kind = "a folder" if facts["type"] == "directory" else "a device or a pipe"
        raise DataError(f"{dataset.name}: the source's {path} is {kind}, not a file. Put a file there, or fix the source's path.")


def _state(filesystem: AbstractFileSystem, path: str, dataset: DatasetConfig) -> object:
    facts = _facts(filesystem, path, dataset) or {}
    return [facts.get(name) for name in ("size", "ino", "mtime", "LastModified", "ETag", "etag", "updated", "generation")]
