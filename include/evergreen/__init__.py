"""Evergreen's core: pure Python that never imports Airflow."""

import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]


def telemetry_off() -> dict[str, str]:
    """The environment variables that keep every library from sending usage data, from ``telemetry.env``."""
    return read_variables(Path(__file__).with_name("telemetry.env"))


def read_variables(file: Path) -> dict[str, str]:
    """The environment variables of a file as docker-compose reads it: ``NAME=value``, and comments on lines of their own."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if line and not line.startswith("#"))


for _name, _value in telemetry_off().items():
    os.environ.setdefault(_name, _value)
os.environ.setdefault("EVERGREEN_HOME", str(PROJECT_ROOT / "var"))
