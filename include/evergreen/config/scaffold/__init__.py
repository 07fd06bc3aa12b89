"""Declarations to begin with: a dataset after a CSV file, a model after its datasets. Sound from the start, and meant to be edited."""

from include.evergreen.config.scaffold.dataset import new_dataset
from include.evergreen.config.scaffold.model import new_model

__all__ = ["new_dataset", "new_model"]
