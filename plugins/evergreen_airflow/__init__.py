"""Everything of Evergreen that imports Airflow."""
