"""Deletion of a person's rows by key: from all that is stored now, and from what the source still delivers later."""
