"""Persistent state: the database, the storage, MLflow's store, the ledger, and what several halls record (stages, alerts, pauses)."""
