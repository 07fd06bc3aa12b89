"""Where this process keeps its state, and other settings, read from the environment each time they are asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from include.evergreen import PROJECT_ROOT
from include.evergreen.foundation.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """Places, each of them overridable by one environment variable; an empty one counts as unset."""

    home: Path
    database_url: str
    storage: str
    ledger_anchors: str
    mlflow_tracking_uri: str
    mlflow_artifacts: str | None
    mlflow_ui_url: str | None

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the places that this process's environment variables name now.

        :returns: places that need not exist yet; what is not set lies below ``home``, which is absolute
        """
        home = Path(os.environ.get("EVERGREEN_HOME") or PROJECT_ROOT / "var").absolute()
        tracking = os.environ.get("MLFLOW_TRACKING_URI")
        storage = os.environ.get("EVERGREEN_STORAGE") or str(home / "storage")
        return cls(
            home=home,
            database_url=os.environ.get("EVERGREEN_DATABASE_URL") or f"sqlite:///{home}/evergreen.db",
            storage=storage,
            ledger_anchors=os.environ.get("EVERGREEN_LEDGER_ANCHORS") or f"{storage.rstrip('/')}/ledger/anchors",
            mlflow_tracking_uri=tracking or f"sqlite:///{home}/mlflow.db",
            mlflow_artifacts=None if tracking else (home / "mlartifacts").as_uri(),
            mlflow_ui_url=os.environ.get("EVERGREEN_MLFLOW_UI_URL") or None,
        )


def read_number(variable: str, default: float, unit: str, *, least: float = 0, most: float, given: float | None = None) -> float:
    """Read a number from the environment.

    :param variable: its name; unset and empty are the same
    :param default: what holds then
    :param unit: what it counts, in the plural, for people
    :param least: the smallest number allowed
    :param most: the largest
    :param given: goes before the variable, and is checked likewise
    :returns: the number
    :raises ConfigError: when it is no number, or out of range
    """
    text = given if given is not None else (os.environ.get(variable) or default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (isfinite(value) and least <= value <= most):
        raise ConfigError(f"{variable} is {text!r}. Give a number of {unit} from {least:g} to {most:g}; the default is {default:g}.")
    return value
