"""From a source to a published partition: sources, validation, quarantine, ingestion, and whose rows were erased."""
