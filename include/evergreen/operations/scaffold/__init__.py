"""Scaffolding: generates a dataset from a CSV file and a model from its datasets. Valid as written, meant to be edited."""

from include.evergreen.operations.scaffold.dataset import new_dataset
from include.evergreen.operations.scaffold.model import new_model

__all__ = ["new_dataset", "new_model"]
