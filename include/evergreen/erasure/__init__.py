"""Deletion of a person's rows by key: from all that is stored now, and from what the source still delivers later."""

from include.evergreen.erasure.subjects import refuse_what_was_read_before_an_erasure, without_erased

__all__ = ["refuse_what_was_read_before_an_erasure", "without_erased"]
