"""Generates the guide that lists every key of the three YAML files from the config classes.

`python -m include.evergreen.config.reference` writes it; with `--check` it exits with 1 if it is out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from include.evergreen import PROJECT_ROOT
from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.models import ModelConfig
from include.evergreen.config.oncall import OncallConfig
from include.evergreen.config.schema import json_schema

PATH = PROJECT_ROOT / "docs" / "guides" / "yaml-reference.md"
_HEAD = """\
# Every key of dataset.yaml, model.yaml and oncall.yaml

Written by `make schemas` from the classes that read the files, so this is what they take. Editors show the same as you type:
the first line of each shipped YAML names its JSON Schema. What to do with the keys is in [declaring a model](declaring-a-model.md),
[schedules](schedules.md), [monitoring and retraining](monitoring.md), [sources](sources.md), [contracts](contracts.md),
[training](training.md), [gates](gates.md) and [who is told of alerts](on-call-routes.md).
"""
_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
}
_TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "`true` or `false`",
    "object": "keys and values",
    "null": "nothing",
}


def reference_text() -> str:
    """Write the guide that lists every key of the files.

    :returns: the whole page, as Markdown
    """
    parts = [_HEAD]
    for file, model in (("dataset.yaml", DatasetConfig), ("model.yaml", ModelConfig), ("oncall.yaml", OncallConfig)):
        schema = json_schema(model)
        parts.append(f"\n## {file}\n{schema['description']}\n")
        parts += _table("", schema, schema["$defs"], seen=set())
    return "\n".join(parts) + "\n"


def _table(place: str, schema: dict[str, Any], definitions: dict[str, Any], seen: set[str]) -> Iterator[str]:
    """The keys of one class, and then of those classes that stand below it, each once."""
    yield "| key | takes | default | meaning |\n|---|---|---|---|"
    below: list[tuple[str, str]] = []
    for key, value in schema["properties"].items():
        default = "required" if key in schema.get("required", ()) else f"`{json.dumps(value['default'])}`" if "default" in value else ""
        default = default if len(default) <= 40 else "see its own keys"
        names = list(dict.fromkeys(_references(value)))
        takes = f"keys of {', '.join(f'`{name}`' for name in names)} below" if names and "items" not in value else _takes(value)
        yield f"| `{key}` | {takes} | {default.replace('`null`', 'none')} | {_cell(_meaning(value, names, definitions))} |"
        below += [(f"{place}{key}", name) for name in names]
    yield ""
    for path, name in below:
        if name in seen:
            continue
        seen.add(name)
        message = _cell(definitions[name].get("description", ""))
        yield f"### `{path}`: {name}\n" + (f"{message}\n" if message else "")
        yield from _table(f"{path}.", definitions[name], definitions, seen)


def _meaning(schema: dict[str, Any], names: list[str], definitions: dict[str, Any]) -> str:
    """Its own description, else what the class of its keys is about."""
    if "const" in schema:
        return "Chooses these keys."
    of_class = definitions[names[0]].get("description", "") if len(names) == 1 else ""
    return str(schema.get("description") or re.split(r"(?<=[.])\s", of_class)[0])


def _references(schema: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield schema["$ref"].rpartition("/")[2]
    for form in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *filter(None, [schema.get("items")])):
        yield from _references(form)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _references(schema["additionalProperties"])


def _takes(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_takes(form) for form in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    limits = [text.format(f"{schema[name]:g}") for name, text in _LIMITS.items() if name in schema and "prefixItems" not in schema]
    return ", ".join([_kind(schema), *limits])


def _kind(schema: dict[str, Any]) -> str:
    if names := list(dict.fromkeys(_references(schema))):
        return f"list, each with keys of {' or '.join(f'`{name}`' for name in names)} below"
    if "prefixItems" in schema:
        return f"{_takes(schema['prefixItems'][0])}, {len(schema['prefixItems'])} of them in a list"
    if "items" in schema:
        return f"list, each {_takes(schema['items'])}"
    if schema.get("format") == "span":
        return "length, such as `60 days` or `4 partitions`"
    if schema.get("format") == "cron":
        return "cron expression, such as `0 6,18 * * *`"
    return "date" if schema.get("format") == "date" else _TYPES.get(schema.get("type", ""), "anything")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: Sequence[str] | None = None, path: Path = PATH) -> int:
    """Write or check the page, for the command line.

    :param arguments: those of the command line; None reads the process's own
    :param path: where the page lies
    :returns: the exit status: 0 when the page is, or now is, up to date, else 1
    """
    parser = argparse.ArgumentParser(prog="python -m include.evergreen.config.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the page is out of date")
    if not parser.parse_args(arguments).check:
        path.write_text(reference_text(), encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == reference_text():
        return 0
    sys.stderr.write(f"{path.name} is out of date; run python -m include.evergreen.config.reference\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
