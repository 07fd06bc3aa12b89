"""Writes scaffolded declarations: under a name that is free, all files at once."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog
from include.evergreen.config.base import Name
from include.evergreen.foundation.errors import ConfigError

_HERE = Path(__file__).parent


def free_folder(catalog: Catalog, kind: Literal["dataset", "model"], name: str) -> Path:
    """Choose the folder of a new declaration; it is not made yet.

    :param catalog: whose root the folder lies under
    :param kind: of what
    :param name: lower-case letters, digits and underscores, beginning with a letter; at most 60
    :returns: the folder
    :raises ConfigError: when ``name`` is none, or its folder is there already
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise ConfigError(
            f"{name[:80]!r} is no name for a {kind}; write lower-case letters, digits and underscores, beginning with a letter, at most 60."
        ) from None
    folder = catalog.root / f"{kind}s" / name
    if folder.exists():
        raise ConfigError(f"{folder} is there already; choose another name, or edit what is in it.")
    return folder


def filled(template: str, values: Mapping[str, object]) -> str:
    """Fill a template of this folder.

    :param template: the name of the file that it makes, such as ``model.yaml``; it lies in ``model.yaml.template``
    :param values: one for each name in the template; others are not used
    :returns: the text
    """
    return Template((_HERE / f"{template}.template").read_text(encoding="utf-8")).substitute(values)


def schema_from(folder: Path, kind: Literal["dataset", "model"]) -> str:
    """Tell where the JSON Schema of a declaration lies, by which editors find it.

    :param folder: the declaration's, which need not exist yet
    :param kind: of what
    :returns: the schema's path, relative to the folder
    """
    return os.path.relpath(PROJECT_ROOT / "include" / "evergreen" / "config" / f"{kind}.schema.json", folder)


def write_declaration(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a new folder: all or none, so that no half of a declaration is ever read.

    :param folder: of `free_folder`; it must not be there yet
    :param files: a text for each file name
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, text in files.items():
        (unfinished / name).write_text(text, encoding="utf-8")
    unfinished.rename(folder)


def in_yaml(text: str) -> str:
    """Write a text as YAML takes it within a list or mapping of one line.

    :param text: any, of one line or more
    :returns: the bare text where it is read as the same text, else in double quotes
    """
    is_bare = re.fullmatch(r"[A-Za-z]\w*", text, re.ASCII) and yaml.safe_load(text) == text
    return text if is_bare else json.dumps(text)
