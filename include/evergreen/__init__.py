"""Evergreen's core: pure Python that never imports Airflow."""

import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]


def telemetry_off() -> dict[str, str]:
    """Read from ``telemetry.env`` the environment variables that keep every library from sending usage data.

    :returns: their values by name; setting them is left to the caller
    """
    return read_variables(Path(__file__).with_name("telemetry.env"))


def read_variables(file: Path) -> dict[str, str]:
    """Read the environment variables of a file as docker-compose reads it: ``NAME=value``, and comments on lines of their own.

    :param file: each line that is neither empty nor begins with ``#`` has a ``=``
    :returns: the values by name, as they are written: quotes stay, and nothing is expanded
    """
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if line and not line.startswith("#"))


for _name, _value in telemetry_off().items():
    os.environ.setdefault(_name, _value)
os.environ.setdefault("EVERGREEN_HOME", str(PROJECT_ROOT / "var"))
