"""The base of all other halls: errors, dates, settings, digests. It imports no other hall."""
