"""One YAML file to one config, or to one ConfigError that lists every problem with its line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from include.evergreen import PROJECT_ROOT
from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.document import Document, Key, Problem, Unreadable, parse_document, read_document
from include.evergreen.config.models import ModelConfig
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.config.oncall import OncallConfig

_Config = TypeVar("_Config", bound=BaseModel)


def load_dataset(path: Path) -> DatasetConfig:
    """Load a dataset's declaration; each call parses the file.

    Raises one `ConfigError` with a line for each problem: ``file:line: key: what is wrong; what is allowed``.

    :param path: the ``dataset.yaml``, in a folder of the dataset's name
    :returns: the dataset that it declares
    """
    return _load(path, DatasetConfig)


def load_model(path: Path) -> ModelConfig:
    """Load a model's declaration; each call parses the file.

    Raises one `ConfigError` with a line for each problem: ``file:line: key: what is wrong; what is allowed``.

    :param path: the ``model.yaml``, in a folder of the model's name
    :returns: the model that it declares
    """
    return _load(path, ModelConfig)


def load_oncall(path: Path) -> OncallConfig:
    """Load what says who is told about alerts; each call parses the file.

    Raises one `ConfigError` with a line for each problem: ``file:line: key: what is wrong; what is allowed``.

    :param path: the ``oncall.yaml``
    :returns: what it declares
    """
    return _oncall(path, _read(path))


def parse_oncall(content: str, path: Path) -> OncallConfig:
    """As `load_oncall`, of a file's content.

    :param content: the file's text
    :param path: where it stands or stood, for messages
    :returns: what it declares
    """
    return _oncall(path, _parse(path, content))


def _oncall(path: Path, document: Document) -> OncallConfig:
    from include.evergreen.config.oncall import OncallConfig, inner_problems  # no DAG parse needs them

    config = _checked(path, document, OncallConfig)
    problems = [Problem(key, document.line(key), text) for key, text in inner_problems(config)]
    if problems:
        raise ConfigError("\n".join(_lines(path, problems)))
    return config


def describe(path: Path, problems: list[tuple[Key, str]]) -> list[str]:
    """Name file and line of problems that were found in a file that had loaded: it is read again for the line numbers.

    :param path: of the YAML file, which must be there
    :param problems: the key of each, from the top of the file, and what is wrong there
    :returns: a line for each, as ``file:line: key: what is wrong``, by line and key
    """
    if not problems:
        return []
    document = _read(path)
    return _lines(path, [Problem(key, document.line(_as_written(document, key)), text) for key, text in problems])


def _as_written(document: Document, key: Key) -> Key:
    """The key in the file: a feature that does not stand there is one of a group's."""
    return (
        ("features_from",) if key[:1] == ("features",) and key[:2] not in document.lines and ("features_from",) in document.lines else key
    )


def shown_path(path: Path) -> str:
    """Write a path as messages name it.

    :param path: of any file or folder, there or not; a relative one is of the working directory
    :returns: relative to the project's root where it lies below it, else absolute
    """
    absolute = Path(os.path.abspath(path))
    return str(absolute.relative_to(PROJECT_ROOT) if absolute.is_relative_to(PROJECT_ROOT) else absolute)


def _load(path: Path, model: type[_Config]) -> _Config:
    return _checked(path, _read(path), model)


def _checked(path: Path, document: Document, model: type[_Config]) -> _Config:
    problems = [*document.problems, *_name_problems(path, document)]
    try:
        config = model.model_validate(document.data)
    except ValidationError as error:
        from include.evergreen.config.explanation import explain  # only a failure pays for it

        problems += [problem for problem in explain(error, model, document) if problem.key not in document.unread]
    else:
        if not problems:
            return config
    raise ConfigError("\n".join(_lines(path, problems)))


def _read(path: Path) -> Document:
    try:
        return read_document(path)
    except Unreadable as error:
        raise _unreadable(path, error) from error.__cause__


def _parse(path: Path, content: str) -> Document:
    try:
        return parse_document(content.encode())
    except Unreadable as error:
        raise _unreadable(path, error) from error.__cause__


def _unreadable(path: Path, error: Unreadable) -> ConfigError:
    place = shown_path(path) if error.line is None else f"{shown_path(path)}:{error.line}"
    return ConfigError(f"{place}: {error}")


def _name_problems(path: Path, document: Document) -> list[Problem]:
    name, folder = document.data.get("name"), Path(os.path.abspath(path)).parent.name
    if not isinstance(name, str) or name == folder:
        return []
    text = f"{name!r} differs from its folder's name, {folder!r}; rename one so that they agree"
    return [Problem(("name",), document.line(("name",)), text)]


def _lines(path: Path, problems: list[Problem]) -> list[str]:
    from include.evergreen.config.explanation import dotted

    file = shown_path(path)
    in_order = sorted(problems, key=lambda problem: (problem.line, dotted(problem.key)))
    return [": ".join(filter(None, (f"{file}:{problem.line}", dotted(problem.key), problem.text))) for problem in in_order]
