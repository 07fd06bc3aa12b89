"""Tests that every declared model's features must pass, on synthetic rows generated from the declarations alone."""

from include.evergreen.features.differences import Finding
from include.evergreen.testkit.checks import CHECKS, examine

__all__ = ["CHECKS", "Finding", "examine"]
