"""What teams declare: datasets and models in YAML, read into frozen, checked objects.

`Catalog` finds and loads them; `expand` puts environment variables into a path when the path is used; `METRICS` names
the figures that gates and rules may use. The classes themselves are in `datasets`, `models` and
the modules that those are made of. Everything here is read at every DAG
parse: pydantic and PyYAML, and nothing heavier.
"""

from include.evergreen.config.catalog import Catalog
from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.environment import expand
from include.evergreen.config.metrics import METRICS
from include.evergreen.config.models import ModelConfig

__all__ = [
    "METRICS",
    "Catalog",
    "DatasetConfig",
    "ModelConfig",
    "expand",
]
