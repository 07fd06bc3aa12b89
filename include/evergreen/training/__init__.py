"""From a snapshot of what was known as of a date to a candidate in MLflow."""

from include.evergreen.training.candidate import Candidate, find_candidate, train
from include.evergreen.training.snapshot import Snapshot, find_snapshot, take_snapshot

__all__ = ["Candidate", "Snapshot", "find_candidate", "find_snapshot", "take_snapshot", "train"]
