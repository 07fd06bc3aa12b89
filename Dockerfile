# One image for every part: API server, scheduler, DAG processor, triggerer, workers, and the command line.
FROM python:3.12-slim

ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/evergreen/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/evergreen/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__CORE__EXECUTOR=evergreen_airflow.executor.PreloadingLocalExecutor \
    PYTHONPATH=/opt/evergreen:/opt/evergreen/plugins \
    PYTHONUNBUFFERED=1

# libgomp1 is what scikit-learn computes with
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 50000 airflow && mkdir -p /opt/airflow/logs /opt/evergreen /data \
    && chown -R airflow /opt/airflow /opt/evergreen /data

WORKDIR /opt/evergreen
COPY requirements.txt .
# compiled to byte code: it halves the cold start of every task
RUN pip install --no-cache-dir "$(grep '^uv==' requirements.txt)" \
    && uv pip install --system --no-cache --compile-bytecode -r requirements.txt
COPY --chown=airflow dags dags
COPY --chown=airflow plugins plugins
COPY --chown=airflow include include
COPY --chown=airflow docs/runbooks docs/runbooks
COPY pyproject.toml README.md LICENSE ./
# the command `evergreen`: a path to this folder, built with what is installed already
RUN uv pip install --system --offline --no-cache --no-deps --no-build-isolation --editable .
USER airflow
CMD ["airflow", "version"]
