"""Training: from a snapshot of what was known as of a date to a candidate in MLflow."""
