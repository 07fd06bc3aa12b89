"""Development tools: how `make run`, `make serve`, `make test` and `make bench` start and drive Airflow. No product code imports them."""
