"""The promises that every declared model's features must keep, checked on rows that are made up from the declarations alone."""

from include.evergreen.features.differences import Finding
from include.evergreen.testkit.checks import CHECKS, examine

__all__ = ["CHECKS", "Finding", "examine"]
