"""Ingestion: from a source to a published partition, with validation, quarantine, and erased subjects."""
