"""Monitoring of scored partitions: data quality, drift and performance as observations, rules that trigger retraining, drift reports."""

from include.evergreen.monitoring.monitor import monitor
from include.evergreen.monitoring.observations import Observation, list_observations, record_observations
from include.evergreen.monitoring.report import NotAsMonitoredError, ensure_report, find_monitored, find_report, read_report

__all__ = [
    "NotAsMonitoredError",
    "Observation",
    "ensure_report",
    "find_monitored",
    "find_report",
    "list_observations",
    "monitor",
    "read_report",
    "record_observations",
]
