-- Airflow's database is made by the image itself; these are ours and MLflow's.
CREATE DATABASE evergreen;
CREATE DATABASE mlflow;
