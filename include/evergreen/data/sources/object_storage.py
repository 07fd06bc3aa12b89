"""Objects in S3, Google Cloud Storage, Azure and their like, through Airflow's connections: files in every other respect."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from include.evergreen.config import DatasetConfig, expand
from include.evergreen.config.sources import ObjectStorageSource
from include.evergreen.data.sources import Delivery
from include.evergreen.data.sources.connections import connections
from include.evergreen.data.sources.files import matching_files
from include.evergreen.data.sources.unpacking import DeliveredFile, read_files
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

BLOCK_BYTES = 8 * 1024**2  # of an object that are asked for at a time
NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError", "RefreshError"})


class ObjectStorageReader:
    """Reads a dataset whose source is ``object_storage``.

    :param dataset: as it is declared now
    """

    def __init__(self, dataset: DatasetConfig) -> None:
        self.dataset = dataset
        self.source = cast(ObjectStorageSource, dataset.source)

    def open(self, partition: Partition) -> Delivery:
        """Find the partition's objects; raises what `matching_files` does, and `ConfigError` for a bucket or a credential that fails.

        :param partition: the partition's date
        :returns: the rows of all objects, none of which is opened yet
        """
        url = expand(self.source.url, where=f"{self.dataset.name}: source.url")
        store = _Store(connections().filesystem(url.partition("://")[0], self.source.connection), self)
        urls = matching_files(cast("AbstractFileSystem", store), url, partition, self.dataset)
        undeclared: list[str] = []
        files = [DeliveredFile(url, partial(store.open, url)) for url in urls]
        return Delivery(read_files(self.dataset, self.source, files, undeclared), urls, undeclared)


class _Store:
    """What is needed of a file system, by whole URLs. What it complains of is explained; what is not there is `FileNotFoundError`.

    :param filesystem: of the store
    :param reader: whose dataset and connection errors name
    """

    def __init__(self, filesystem: AbstractFileSystem, reader: ObjectStorageReader) -> None:
        self._filesystem = filesystem
        self._dataset, self._connection = reader.dataset.name, reader.source.connection

    def ls(self, url: str, detail: bool = True) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", self._asked(self._filesystem.ls, url, detail=detail))

    def info(self, url: str) -> dict[str, Any]:
        return cast("dict[str, Any]", self._asked(self._filesystem.info, url))

    def open(self, url: str, mode: str = "rb") -> AbstractContextManager[BinaryIO]:
        return cast(AbstractContextManager[BinaryIO], self._asked(self._filesystem.open, url, mode=mode, block_size=BLOCK_BYTES))

    def _asked(self, call: Callable[..., Any], url: str, **arguments: Any) -> Any:
        try:
            return call(url, **arguments)
        except FileNotFoundError:
            self._refuse_missing_bucket(url)
            raise
        except Exception as error:  # each store's client raises errors of its own kinds
            raise self._explanation(error, url) from error

    def _refuse_missing_bucket(self, url: str) -> None:
        protocol, _, rest = url.partition("://")
        bucket = f"{protocol}://{rest.split('/')[0]}"
        try:
            there = self._filesystem.exists(bucket)
        except Exception:  # not everyone who may read an object may look at its bucket
            return
        if not there:
            raise ConfigError(f"{self._dataset}: there is no bucket {bucket} for {self._access}. Fix source.url, or make the bucket.")

    def _explanation(self, error: Exception, url: str) -> ConfigError | TransientError:
        kind = type(error).__name__
        if isinstance(error, PermissionError) or kind in NO_CREDENTIALS:
            return ConfigError(
                f"{self._dataset}: {self._access} may not read {url}: {error}. Look at its credentials, and at what they may read."
            )
        return TransientError(
            f"{self._dataset}: {url} was not given to {self._access}: {error} ({kind}). Is its server there? Then try again."
        )

    @property
    def _access(self) -> str:
        return f"connection {self._connection!r}" if self._connection else "this machine (no connection is named)"
