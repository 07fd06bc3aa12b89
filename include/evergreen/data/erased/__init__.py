"""Erased subjects: known by keyed hashes alone, their rows are kept out of new data and of what was read before."""
