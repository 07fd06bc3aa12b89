from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from include.evergreen import PROJECT_ROOT
from include.evergreen.config.schema import SCHEMAS, main, stale_schemas, write_schemas

FOLDER = PROJECT_ROOT / "include/evergreen/config"


def schema_of(kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((FOLDER / f"{kind}.schema.json").read_text())
    return schema


def as_json(path: Path) -> Any:
    """A YAML file as an editor's JSON schema sees it: dates are text."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text()), default=dt.date.isoformat))


def test_the_schema_files_in_the_tree_are_current() -> None:
    assert stale_schemas(FOLDER) == []


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_every_shipped_file_fits_its_schema(kind: str) -> None:
    Draft202012Validator.check_schema(schema_of(kind))
    paths = list(PROJECT_ROOT.glob(f"include/{kind}s/*/{kind}.yaml"))
    assert paths
    for path in paths:
        Draft202012Validator(schema_of(kind)).validate(as_json(path))


def test_a_misspelt_key_does_not_fit() -> None:
    data = as_json(PROJECT_ROOT / "include/models/flight_delay/model.yaml")
    data["train"]["estimater"] = data["train"].pop("estimator")
    assert not Draft202012Validator(schema_of("model")).is_valid(data)


def test_an_editor_can_show_what_a_key_means() -> None:
    schema = schema_of("model")
    assert schema["title"] == "ModelConfig"
    assert schema["$defs"]["Train"]["properties"]["window"]["description"].startswith("How far before as_of")


def test_check_passes_after_writing_and_fails_on_a_stale_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_schemas(tmp_path)
    assert main(["--check"], folder=tmp_path) == 0
    stale = tmp_path / next(iter(SCHEMAS))
    stale.write_text("{}")
    assert main(["--check"], folder=tmp_path) == 1
    assert f"{stale} is out of date; run python -m include.evergreen.config.schema" in capsys.readouterr().err
    assert main([], folder=tmp_path) == 0
    assert main(["--check"], folder=tmp_path) == 0


def test_a_missing_file_is_stale(tmp_path: Path) -> None:
    assert [path.name for path in stale_schemas(tmp_path)] == list(SCHEMAS)
