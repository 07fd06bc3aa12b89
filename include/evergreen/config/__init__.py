"""What teams declare: datasets and models in YAML, read into frozen, checked objects.

`Catalog` finds and loads them; `expand` puts environment variables into a path when the path is used; `METRICS` names
the figures that gates and rules may use. The classes themselves are in `models`. Everything here is read at every DAG
parse: pydantic and PyYAML, and nothing heavier.
"""

from include.evergreen.config.catalog import Catalog
from include.evergreen.config.environment import expand
from include.evergreen.config.metrics import METRICS
from include.evergreen.config.models import DatasetConfig, ModelConfig

__all__ = [
    "METRICS",
    "Catalog",
    "DatasetConfig",
    "ModelConfig",
    "expand",
]
