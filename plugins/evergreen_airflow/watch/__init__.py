"""Noticing what goes wrong in Airflow: a listener in whatever runs tasks, and a watcher in the API server."""
