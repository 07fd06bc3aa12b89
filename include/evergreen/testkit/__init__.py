"""The promises that every declared model's features must keep, checked on rows that are made up from the declarations alone."""

from include.evergreen.testkit.checks import CHECKS, examine
from include.evergreen.testkit.differences import Finding

__all__ = ["CHECKS", "Finding", "examine"]
