"""A Celery worker that is configured with `evergreen_airflow.celery_worker.CONFIG` prepares itself before it forks its pool."""

import json
import os
import subprocess
import sys

WORKER = """
import functools, json, os, sys
from airflow.providers.celery.executors.celery_executor import app
from evergreen_airflow import celery_worker, worker_parent
from evergreen_airflow.preload import preload

worker_parent.preload = functools.partial(preload, ("wave",))  # all that is preloaded takes ten seconds

class CleanProcesses:  # likewise
    def start(self):
        os.environ["CLEAN_PROCESSES"] = "started"

    def stop(self):
        print("STOPPED", flush=True)

celery_worker._clean_processes = CleanProcesses()

@app.task(name="look")
def look():
    from airflow.sdk.execution_time.supervisor import WatchedSubprocess
    seen = {
        "process": os.getpid(),
        "parent": os.getppid(),
        "preloaded": "wave" in sys.modules,
        "patched": getattr(WatchedSubprocess._service_subprocess, "rechecks_soon", False),
        "clean_processes": os.environ["CLEAN_PROCESSES"],
    }

    print("SEEN " + json.dumps(seen), flush=True)
    app.control.shutdown()

from celery.signals import worker_ready
worker_ready.connect(lambda **_: look.delay(), weak=False)
assert "wave" not in sys.modules
options = ["--pool", "prefork", "--concurrency", "1", "--loglevel", "INFO", "--without-mingle", "--without-gossip"]
app.worker_main(["worker", *options, "--queues", app.conf.task_default_queue])
"""


def test_what_the_pool_forks_has_the_libraries_the_short_wait_and_the_clean_processes(tmp_path):
    environment = {
        **os.environ,
        "EVERGREEN_PRELOAD": "1",
        "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": "evergreen_airflow.celery_worker.CONFIG",
        "AIRFLOW__CELERY__BROKER_URL": "filesystem://",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"file://{tmp_path}",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__DATA_FOLDER_IN": str(tmp_path),
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__DATA_FOLDER_OUT": str(tmp_path),
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__CONTROL_FOLDER": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )
    lines = done.stdout.splitlines()
    told = [line.removeprefix("SEEN ") for line in lines if line.startswith("SEEN ")]
    assert told, done.stdout[-5000:]
    seen = json.loads(told[0])
    assert seen.pop("process") != seen.pop("parent"), "it is a child of the pool"
    assert seen == {"preloaded": True, "patched": True, "clean_processes": "started"}
    assert lines.count("STOPPED") == 1


def test_the_configuration_is_the_providers_own():
    from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

    from evergreen_airflow.celery_worker import CONFIG

    assert CONFIG is DEFAULT_CELERY_CONFIG
