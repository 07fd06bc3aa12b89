"""Evergreen's core: pure Python that never imports Airflow."""

import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]


def telemetry_off() -> dict[str, str]:
    """The environment variables that keep every library from sending usage data, from ``telemetry.env``."""
    lines = Path(__file__).with_name("telemetry.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


for _name, _value in telemetry_off().items():
    os.environ.setdefault(_name, _value)
os.environ.setdefault("EVERGREEN_HOME", str(PROJECT_ROOT / "var"))
