"""Features, computed the same way for training and for scoring, from what was known at the time."""

from include.evergreen.features.build import feature_frame, labelled_frame
from include.evergreen.features.reader import PointInTimeReader

__all__ = ["PointInTimeReader", "feature_frame", "labelled_frame"]
