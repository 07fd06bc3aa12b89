"""The catalog of everything declared under `include/`: found by listing folders, parsed one file at a time, on demand.

A DAG parse lists names, and parses the one dataset or model that it needs.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG

from include.evergreen.config.calendar import DAYS, Calendar
from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.feature_groups import with_grouped_features
from include.evergreen.config.loader import load_dataset, load_model, shown_path
from include.evergreen.config.models import ModelConfig
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.config.wording import did_you_mean, listed
from include.evergreen.foundation.errors import ConfigError

ROOT_VARIABLE = "EVERGREEN_INCLUDE"
_CACHED_FILES = 4096  # several times the largest fleet that we have in mind; a config is about 20 kB


class Catalog:
    """The datasets and models that are declared under one ``include`` folder.

    :param root: the folder; by default ``EVERGREEN_INCLUDE``, else the one that this package lies in
    :raises ConfigError: there is no such folder
    """

    def __init__(self, root: Path | None = None) -> None:
        chosen = root or os.environ.get(ROOT_VARIABLE) or Path(__file__).parents[2]
        self.root = Path(os.path.abspath(chosen))
        if not self.root.is_dir():
            source = f"set {ROOT_VARIABLE} to" if root is None else "give"
            raise ConfigError(f"{self.root}: no such folder; {source} the folder that holds datasets/ and models/")

    def dataset_names(self) -> list[str]:
        """List the declared datasets. Parses nothing.

        :returns: the names of the folders below ``datasets`` that have a ``dataset.yaml``, sorted; sound or not
        """
        return self._names("dataset")

    def model_names(self) -> list[str]:
        """List the declared models. Parses nothing.

        :returns: the names of the folders below ``models`` that have a ``model.yaml``, sorted; sound or not
        """
        return self._names("model")

    def dataset(self, name: str) -> DatasetConfig:
        """Load a dataset; its file is parsed again only when it has changed.

        Raises `ConfigError` when it is not declared, or its file is wrong: with a line for each problem, as `load_dataset`.

        :param name: that of its folder, and so of the dataset
        :returns: the dataset as it is declared now
        """
        return _parsed_dataset(*self._file("dataset", name))

    def model(self, name: str) -> ModelConfig:
        """Load a model; its file is parsed again only when it has changed.

        Raises `ConfigError` when it is not declared, or its file is wrong: with a line for each problem, as `load_model`.

        :param name: that of its folder, and so of the model
        :returns: the model as it is declared now, with every feature of ``features_from`` written out
        """
        declared = _parsed_model(self, *self._file("model", name))
        return with_grouped_features(self, declared) if declared.features_from else declared

    def calendar_of(self, dataset: str) -> Calendar:
        """Look up how long the partitions of a dataset are, in whose time, and which of them its schedule makes.

        A model goes on while the file of a dataset that it reads is wrong elsewhere; whatever needs the dataset itself says what is wrong.

        :param dataset: name of the dataset
        :returns: its calendar; days, when nothing can be read of it
        """
        try:
            return self.dataset(dataset).schedule.calendar
        except ConfigError:
            return _written_calendar(self.root / "datasets" / dataset / "dataset.yaml")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Catalog) and other.root == self.root

    def __hash__(self) -> int:
        return hash(self.root)

    def dataset_path(self, name: str) -> Path:
        """Find the ``dataset.yaml`` of a dataset. Raises `ConfigError` when none is declared by this name.

        :param name: that of its folder
        :returns: the absolute path of a file that exists; whether it is sound is not looked at
        """
        return Path(self._file("dataset", name)[0])

    def model_path(self, name: str) -> Path:
        """Find the ``model.yaml`` of a model. Raises `ConfigError` when none is declared by this name.

        :param name: that of its folder
        :returns: the absolute path of a file that exists; whether it is sound is not looked at
        """
        return Path(self._file("model", name)[0])

    def oncall_path(self) -> Path:
        """Say where the file belongs that says who is told about alerts.

        :returns: the absolute path of ``oncall.yaml``, whether or not there is one
        """
        return self.root / "oncall.yaml"

    def features_path(self, model: str) -> Path:
        """Say where the ``features.py`` of a model belongs. Raises `ConfigError` when no such model is declared.

        :param model: name of the model
        :returns: the absolute path, beside ``model.yaml``, whether or not there is such a file
        """
        return self.model_path(model).with_name("features.py")

    def models_reading(self, dataset: str) -> list[ModelConfig]:
        """Find the models with a dataset among their inputs or as their target.

        A model whose file is wrong is left out: it fails by itself, and must not fail what asks here.

        :param dataset: name of the dataset, declared or not
        :returns: the models, by name; none when nothing reads it
        """
        readers = []
        for name in self.model_names():
            with suppress(ConfigError):
                model = self.model(name)
                if dataset in {model.target.dataset, *(model_input.dataset for model_input in model.inputs)}:
                    readers.append(model)
        return readers

    def _names(self, kind: str) -> list[str]:
        folder, file = self.root / f"{kind}s", f"{kind}.yaml"
        if not folder.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(folder) if os.path.isfile(os.path.join(entry.path, file)))

    def _file(self, kind: str, name: str) -> tuple[str, int, int]:
        """The YAML file of a name, with what tells its versions apart: mtime_ns and size. Asked some hundred thousand times a check."""
        if name not in ("", ".", "..") and os.sep not in name:
            path = f"{self.root}/{kind}s/{name}/{kind}.yaml"
            with suppress(OSError, ValueError):
                found = os.stat(path)
                if S_ISREG(found.st_mode):
                    return path, found.st_mtime_ns, found.st_size
        known = self._names(kind)
        folder = shown_path(self.root / f"{kind}s")
        raise ConfigError(
            f"unknown {kind} {name!r}; {did_you_mean(name, known)}known: {listed(known)}; "
            f"a {kind} is declared in {folder}/<name>/{kind}.yaml"
        )


def _written_calendar(path: Path) -> Calendar:
    import yaml

    try:
        schedule = yaml.safe_load(path.read_text(encoding="utf-8"))["schedule"]
        return PartitionSchedule.model_validate(schedule).calendar
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):  # of pydantic, too
        return DAYS


@lru_cache(maxsize=_CACHED_FILES)
def _parsed_dataset(path: str, mtime_ns: int, size: int) -> DatasetConfig:
    return load_dataset(Path(path))


@lru_cache(maxsize=_CACHED_FILES)
def _parsed_model(catalog: Catalog, path: str, mtime_ns: int, size: int) -> ModelConfig:
    return load_model(Path(path)).with_calendars(catalog.calendar_of)
