"""The bundled example, which the main job and the landing zone use, whatever other datasets and models are declared."""

from __future__ import annotations

from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError

DATASETS = ("outcomes", "schedules", "weather")
MODELS = ("air_time", "flight_delay")


def require_example(catalog: Catalog) -> None:
    """Raise `ConfigError` if a part of the example is missing from the catalog or is invalid."""
    try:
        for name in DATASETS:
            catalog.dataset(name)
        for name in MODELS:
            catalog.model(name)
    except ConfigError as error:
        raise ConfigError(
            f"`make run` runs the bundled example, which is incomplete: {error}\n"
            f"To start Airflow for your own declarations, use `make serve`."
        ) from error
