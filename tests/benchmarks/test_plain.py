"""A plain script stands for a team that has the libraries and nothing of ours."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PLAIN = Path(__file__).resolve().parents[2] / "benchmarks" / "plain"
BESIDE = {script.stem for script in PLAIN.glob("*.py")}  # a plain script may have parts, which are plain scripts themselves
OURS = {"include", "evergreen_airflow", "tools", "benchmarks", "airflow"}


def test_plain_scripts_import_nothing_of_ours() -> None:
    scripts = list(PLAIN.glob("*.py"))
    assert PLAIN / "night.py" in scripts
    assert not {module for script in scripts for module in _imported(script)} & OURS


def _imported(script: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = str(node.module).partition(".")[0]
            yield (name if name in BESIDE else "benchmarks") if node.level else name
