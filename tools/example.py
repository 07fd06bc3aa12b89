"""The example that ships: what the main job and the landing zone are about, wherever a team's own datasets and models stand beside it."""

from __future__ import annotations

from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError

DATASETS = ("outcomes", "schedules", "weather")
MODELS = ("air_time", "flight_delay")


def refuse_without_example(catalog: Catalog) -> None:
    """Raises `ConfigError` where ``catalog`` lacks a part of the example, or has it no longer sound."""
    try:
        for name in DATASETS:
            catalog.dataset(name)
        for name in MODELS:
            catalog.model(name)
    except ConfigError as error:
        raise ConfigError(
            f"`make run` tells the example's story, and not all of the example is there: {error}\n"
            f"`make serve` starts Airflow over what is declared, without the story."
        ) from error
