"""Evergreen's pages in Airflow's API server, the only process that imports these modules."""

URL_PREFIX = "/evergreen"
