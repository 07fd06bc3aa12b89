"""JSON schemas of the three YAML files, for editors: completion, descriptions and errors as you type.

`python -m include.evergreen.config.schema` writes them; with `--check` it exits with 1 if they are out of date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.loader import shown_path
from include.evergreen.config.models import ModelConfig
from include.evergreen.config.oncall import OncallConfig
from include.evergreen.foundation.span import Span

SCHEMAS: dict[str, type[BaseModel]] = {
    "dataset.schema.json": DatasetConfig,
    "model.schema.json": ModelConfig,
    "oncall.schema.json": OncallConfig,
}


class _WithSpans(GenerateJsonSchema):
    """Writes spans that are defaults as a file has them."""

    def encode_default(self, dft: Any) -> Any:
        return str(dft) if isinstance(dft, Span) else super().encode_default(dft)


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Describe what a file may hold.

    :param model: one of `SCHEMAS`
    :returns: the JSON schema
    """
    return model.model_json_schema(schema_generator=_WithSpans)


def schema_text(model: type[BaseModel]) -> str:
    """Write the JSON schema of a config class.

    :param model: one of `SCHEMAS`
    :returns: the text as its file has it, with a newline at the end
    """
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **json_schema(model)}
    return json.dumps(schema, indent=2) + "\n"


def stale_schemas(folder: Path) -> list[Path]:
    """Find the schema files that are missing or do not say what the config classes say.

    :param folder: where the files of `SCHEMAS` lie
    :returns: their paths, in the order of `SCHEMAS`; none when all are up to date
    """
    paths = {folder / name: schema_text(model) for name, model in SCHEMAS.items()}
    return [path for path, text in paths.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def write_schemas(folder: Path) -> None:
    """Write every schema file anew.

    :param folder: where they go, which must be there
    """
    for name, model in SCHEMAS.items():
        (folder / name).write_text(schema_text(model), encoding="utf-8")


def main(arguments: Sequence[str] | None = None, folder: Path = Path(__file__).parent) -> int:
    """Write or check the schemas, for the command line.

    :param arguments: those of the command line; None reads the process's own
    :param folder: where the schemas lie
    :returns: the exit status: 0 when the files are, or now are, up to date, else 1
    """
    parser = argparse.ArgumentParser(prog="python -m include.evergreen.config.schema", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is out of date")
    if not parser.parse_args(arguments).check:
        write_schemas(folder)
        return 0
    stale = stale_schemas(folder)
    for path in stale:
        sys.stderr.write(f"{shown_path(path)} is out of date; run python -m include.evergreen.config.schema\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
