"""Sensors: what stands armed in the UI."""
