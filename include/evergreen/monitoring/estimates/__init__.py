"""Performance before labels come: estimated of features and predictions, with an interval, beside the realised one."""

from include.evergreen.monitoring.estimates.observe import Estimated, estimate_performance
from include.evergreen.monitoring.estimates.records import RecordedEstimate

__all__ = ["Estimated", "RecordedEstimate", "estimate_performance"]
