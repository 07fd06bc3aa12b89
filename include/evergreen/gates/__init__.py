"""The gate: criteria over a candidate's holdout, and the one decision that follows."""

from include.evergreen.gates.decide import Decision, decide, find_decision, latest_decision

__all__ = ["Decision", "decide", "find_decision", "latest_decision"]
