"""The gate: criteria over a candidate's holdout, and the one decision that follows."""

from include.evergreen.gates.decide import Decision, blessing_of, decide, latest_decision

__all__ = ["Decision", "blessing_of", "decide", "latest_decision"]
