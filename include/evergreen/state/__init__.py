"""What is remembered: the database, files, MLflow's store, the ledger, and what several halls record (stages, alerts, pauses)."""
