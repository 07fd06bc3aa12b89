#!/bin/bash
# The databases and their roles, each with no more than it needs (docs/guides/database-roles.md). The image of PostgreSQL runs this
# once, when its volume is empty. It is safe to repeat, and also sets the passwords anew.
set -euo pipefail

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set airflow="$AIRFLOW_DB_PASSWORD" --set mlflow="$MLFLOW_DB_PASSWORD" --set owner="$EVERGREEN_OWNER_PASSWORD" \
    --set worker="$EVERGREEN_WORKER_PASSWORD" --set reader="$EVERGREEN_READER_PASSWORD" <<'SQL'
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['airflow', 'mlflow', 'evergreen_owner', 'evergreen_worker', 'evergreen_reader']) AS name
WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE airflow PASSWORD :'airflow';
ALTER ROLE mlflow PASSWORD :'mlflow';
ALTER ROLE evergreen_owner PASSWORD :'owner';
ALTER ROLE evergreen_worker PASSWORD :'worker';
ALTER ROLE evergreen_reader PASSWORD :'reader';
SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (VALUES ('airflow', 'airflow'), ('mlflow', 'mlflow'), ('evergreen', 'evergreen_owner')) AS wanted (name, owner)
WHERE name NOT IN (SELECT datname FROM pg_database) \gexec
REVOKE CONNECT ON DATABASE airflow, mlflow, evergreen FROM PUBLIC;
GRANT CONNECT ON DATABASE evergreen TO evergreen_worker, evergreen_reader;
SQL
