"""Scoring: when a partition is ready, which version scores it, the predictions, and their explanations."""
