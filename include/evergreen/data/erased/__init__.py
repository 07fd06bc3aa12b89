"""Whose rows were erased: known by keyed hashes alone, kept out of what still arrives, and of what was read before."""
