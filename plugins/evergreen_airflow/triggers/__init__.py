"""Triggers: what waits in the triggerer without a worker."""
