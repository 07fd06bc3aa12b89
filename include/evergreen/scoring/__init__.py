"""Predictions of a partition: when it is ready, by which version, and why they are what they are."""
