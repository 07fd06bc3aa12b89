"""The gate: criteria over a candidate's holdout, and the one decision that follows."""
