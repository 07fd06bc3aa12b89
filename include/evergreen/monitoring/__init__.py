"""What became of a partition's predictions: quality, drift and performance as observations, and a report to read."""

from include.evergreen.monitoring.monitor import find_report, monitor
from include.evergreen.monitoring.observations import Observation, observations_of, record_observations

__all__ = ["Observation", "find_report", "monitor", "observations_of", "record_observations"]
