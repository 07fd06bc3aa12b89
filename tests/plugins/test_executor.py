"""The executor and what it does before it forks."""

import datetime as dt
import inspect
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from airflow.models import DagRun

from evergreen_airflow import executor as executor_module
from evergreen_airflow import supervisor_wait, worker_parent
from evergreen_airflow.executor import LONGEST_WAIT, SHORTEST_WAIT, SHORTEST_WHILE_TASKS_RUN, PreloadingLocalExecutor
from evergreen_airflow.preload import MODULES, own_modules, preload
from evergreen_airflow.supervisor_wait import RECHECK_SECONDS, shorten_wait_for_exit
from include.evergreen.serving.clean_processes import ADDRESS
from tools.embedded import ROOT


@pytest.fixture
def executor(monkeypatch):
    """One that was started with nothing to preload and no worker, and is ended."""
    monkeypatch.setenv("EVERGREEN_PRELOAD", "0")
    executor = PreloadingLocalExecutor(parallelism=2)
    monkeypatch.setattr(executor, "_spawn_workers_with_gc_freeze", lambda number: None)
    executor.start()
    yield executor
    executor.end()


class Clock:
    """Passes only while the executor waits for a task to end, and none does."""

    def __init__(self):
        self.now, self.waits = 1000.0, []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        return False


@pytest.fixture
def clock(executor, monkeypatch):
    clock, poll = Clock(), executor.result_queue._reader.poll
    monkeypatch.setattr(executor_module, "monotonic", lambda: clock.now)
    monkeypatch.setattr(executor.result_queue._reader, "poll", lambda seconds=0.0: poll() or (seconds > 0 and clock.wait(seconds)))
    executor._changed_at = clock.now
    return clock


def test_the_executor_overrides_when_it_starts_looks_and_ends_and_nothing_else():
    own = {name for name in vars(PreloadingLocalExecutor) if not name.startswith("_")}
    assert own == {"start", "sync", "end", "terminate"}


def test_with_nothing_new_it_looks_ever_more_seldom_and_soon_again_once_something_was(executor, clock):
    while clock.now < 1020.0:
        executor.sync()
    assert clock.waits == sorted(clock.waits)
    assert (clock.waits[0], clock.waits[-1]) == (SHORTEST_WAIT, LONGEST_WAIT)
    assert len(clock.waits) < 50, "a quarter of those with a tenth of a second between looks"
    executor.running.add("a task")
    clock.waits.clear()
    executor.sync()
    assert clock.waits == [], "what was just submitted is not waited for"
    executor.sync()
    assert clock.waits == [SHORTEST_WHILE_TASKS_RUN]
    while clock.now < 1040.0:
        executor.sync()
    assert clock.waits == sorted(clock.waits)
    assert clock.waits[-1] == LONGEST_WAIT
    clock.waits.clear()
    executor.result_queue.put(("a task", "success", None))
    executor.sync()
    assert executor.event_buffer == {"a task": ("success", None)}
    executor.sync()
    assert clock.waits == [SHORTEST_WAIT]


def test_while_all_slots_are_taken_it_looks_as_seldom_as_it_ever_does(executor, clock):
    executor.running |= {"a task", "another"}
    for _ in range(3):
        executor.sync()
    assert clock.waits == [LONGEST_WAIT] * 3, "nothing more can be submitted"
    clock.waits.clear()
    executor.result_queue.put(("a task", "success", None))
    executor.sync()
    assert (executor.running, clock.waits) == ({"another"}, [])
    executor.sync()
    assert clock.waits == [SHORTEST_WHILE_TASKS_RUN], "one slot is free"


def test_a_task_that_ends_wakes_it(executor, monkeypatch):
    executor.running.add("a task")
    executor.sync()
    monkeypatch.setattr(executor_module, "LONGEST_WAIT", 600.0)  # longer than the test may take
    monkeypatch.setattr(executor_module, "SHORTEST_WHILE_TASKS_RUN", 600.0)
    threading.Timer(0.01, executor.result_queue.put, [("a task", "success", None)]).start()
    executor.sync()
    assert executor.event_buffer == {"a task": ("success", None)}


@pytest.mark.parametrize("ended", ["end", "terminate"])
def test_the_server_of_clean_processes_is_there_before_the_workers_and_gone_with_the_executor(monkeypatch, ended):
    monkeypatch.setattr(worker_parent, "preload", lambda: [])
    executor = PreloadingLocalExecutor(parallelism=2)
    found = []
    monkeypatch.setattr(executor, "_spawn_workers_with_gc_freeze", lambda number: found.append(os.environ[ADDRESS]))
    executor.start()
    server = psutil.Process(executor._clean_processes.pid)
    while not (command := server.cmdline()):  # for a moment after a process was replaced by a program it has none
        assert server.is_running()
    assert command[-1] == str(Path(found[0]).parent)
    getattr(executor, ended)()
    assert not server.is_running()
    assert ADDRESS not in os.environ


def test_a_module_that_fails_to_import_is_passed_over():
    assert preload(("json", "there_is_no_such_module", "csv")) == ["json", "csv"]


def test_one_setting_turns_preloading_off_and_the_server_of_clean_processes(executor):
    assert preload(("json",)) == []
    assert executor._clean_processes.pid is None
    assert ADDRESS not in os.environ


IN_AN_AIRFLOW_PROCESS = """
from include.evergreen.foundation.garbage import collect_seldom
collect_seldom()
import json, logging, multiprocessing, runpy, sys
import airflow.models.dagrun
logging.basicConfig(level=logging.INFO)
from evergreen_airflow.preload import preload
preloaded = preload()
before = set(sys.modules)

def build(file, answers):
    dag_id = runpy.run_path(f"dags/{file}.py")["dag"].dag_id
    imported = set(sys.modules) - before
    answers.send((dag_id, [name for name in imported if name.split(".")[0] in ("include", "evergreen_airflow", "airflow")]))

def built(file):
    here, there = multiprocessing.Pipe(duplex=False)
    multiprocessing.get_context("fork").Process(target=build, args=(file, there)).start()
    there.close()
    return here.recv()

print(json.dumps({"preloaded": preloaded, "built": {file: built(file) for file in FILES}}))
"""
FILES = ("datasets", "models", "platform")


@pytest.fixture(scope="module")
def preloading():
    """What an Airflow process has imported by preloading, all that it printed, and what its forks still import to build DAGs."""
    code = IN_AN_AIRFLOW_PROCESS.replace("FILES", repr(FILES))
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "printed": (done.stdout + done.stderr).splitlines()}


def test_all_that_is_preloaded_can_be_imported_in_an_airflow_process_without_a_word_of_noise(preloading):
    assert preloading["preloaded"] == [*MODULES, *own_modules()]
    assert len(preloading["printed"]) < 20


@pytest.mark.parametrize("file", FILES)
def test_a_task_imports_nothing_of_ours_or_of_airflows_to_build_its_dag(preloading, file):
    dag_id, imported = preloading["built"][file]
    assert dag_id
    assert imported == []


def test_a_supervisor_without_sockets_looks_again_soon_rather_than_sleeping():
    from airflow.sdk.execution_time.supervisor import WatchedSubprocess

    assert shorten_wait_for_exit()
    assert shorten_wait_for_exit(), "a second time changes nothing"
    waited = []

    class Selector:
        def select(self, timeout):
            waited.append(timeout)
            return []

    class Supervisor:
        selector = Selector()
        _open_sockets = {}

        def _check_subprocess_exit(self, **_):
            return 0

    WatchedSubprocess._service_subprocess(Supervisor(), 5.0)
    with_sockets = Supervisor()
    with_sockets._open_sockets = {"stdout": object()}
    WatchedSubprocess._service_subprocess(with_sockets, 5.0)
    assert waited == [RECHECK_SECONDS, 5.0]


def _moved(monkeypatch, supervisor):
    monkeypatch.delattr(supervisor, "WatchedSubprocess")


def _renamed(monkeypatch, supervisor):
    monkeypatch.delattr(supervisor.WatchedSubprocess, "_service_subprocess")


def _of_other_arguments(monkeypatch, supervisor):
    monkeypatch.setattr(supervisor.WatchedSubprocess, "_service_subprocess", lambda self, *, deadline: None)


def _without_a_list_of_sockets(monkeypatch, supervisor):
    monkeypatch.setattr(supervisor.WatchedSubprocess, "__attrs_attrs__", ())


@pytest.mark.parametrize("change", [_moved, _renamed, _of_other_arguments, _without_a_list_of_sockets])
def test_a_supervisor_that_is_built_in_another_way_is_left_alone(monkeypatch, caplog, change):
    from airflow.sdk.execution_time import supervisor

    change(monkeypatch, supervisor)
    before = vars(getattr(supervisor, "WatchedSubprocess", object)).get("_service_subprocess")
    with caplog.at_level("WARNING"):
        assert not supervisor_wait.shorten_wait_for_exit()
    assert "may occupy workers for 5 s" in caplog.text
    assert vars(getattr(supervisor, "WatchedSubprocess", object)).get("_service_subprocess") is before


def test_the_wait_is_still_where_we_shorten_it():
    """When Airflow fixes the race itself, or moves the code, this fails and the wrapper can be removed."""
    from airflow.sdk.execution_time import supervisor

    assert shorten_wait_for_exit()
    assert supervisor.WatchedSubprocess._service_subprocess.rechecks_soon


def test_on_sqlite_a_run_is_due_at_its_moment_and_not_at_the_next_full_second(executor):
    engine = sa.create_engine("sqlite://")
    runs = sa.Table("runs", sa.MetaData(), sa.Column("run_after", sa.DateTime))
    with engine.begin() as connection:
        runs.create(connection)
        for seconds in (-0.002, 60):
            connection.execute(runs.insert().values(run_after=dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=seconds)))
        due = sa.select(sa.func.count()).select_from(runs).where(runs.c.run_after <= sa.func.now())
        assert connection.execute(due).scalar() == 1
        told = connection.execute(sa.select(sa.func.now())).scalar()
        assert abs(dt.datetime.now(dt.UTC).replace(tzinfo=None) - told) < dt.timedelta(seconds=30)


def test_airflow_still_compares_with_the_databases_now():
    """When it no longer does, sqlite_now.py can go."""
    assert "run_after <= func.now()" in inspect.getsource(DagRun.get_queued_dag_runs_to_set_running)
