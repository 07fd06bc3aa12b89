"""Evergreen's pages in Airflow's API server. Only that process imports the modules in here."""

URL_PREFIX = "/evergreen"
