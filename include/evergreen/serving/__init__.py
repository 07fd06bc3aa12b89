"""Inference: what a fitted pipeline needs to predict, and the clean processes that verify it. Imports nothing else."""
