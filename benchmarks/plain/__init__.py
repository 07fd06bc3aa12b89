"""Plain scripts: what a team writes that has the libraries and nothing of ours. They import neither us nor Airflow."""

import os

for _name, _value in {"MLFLOW_DISABLE_TELEMETRY": "true", "GX_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}.items():
    os.environ.setdefault(_name, _value)
