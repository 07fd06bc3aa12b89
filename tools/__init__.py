"""What `make run`, `make test` and `make bench` drive Airflow with. Nothing in the product imports it."""
