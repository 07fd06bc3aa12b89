"""The executor and what it does before it forks."""

import os
import subprocess
import sys

from evergreen_airflow.executor import PreloadingLocalExecutor
from evergreen_airflow.preload import MODULES, preload
from evergreen_airflow.supervisor_wait import LOOK_AGAIN_SECONDS, shorten_wait_for_exit


def test_the_executor_overrides_start_alone():
    own = {name for name in vars(PreloadingLocalExecutor) if not name.startswith("__")}
    assert own == {"start"}


def test_a_module_that_fails_to_import_is_passed_over():
    assert preload(("json", "there_is_no_such_module", "csv")) == ["json", "csv"]


def test_one_setting_turns_preloading_off(monkeypatch):
    monkeypatch.setenv("EVERGREEN_PRELOAD", "0")
    assert preload(("json",)) == []


def test_all_that_is_preloaded_can_be_imported_in_an_airflow_process_without_a_word_of_noise():
    code = (
        "import logging, airflow.models.dagrun; logging.basicConfig(level=logging.INFO)\n"
        f"from evergreen_airflow.preload import preload; assert len(preload()) == {len(MODULES)}"
    )
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len((done.stdout + done.stderr).splitlines()) < 20


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
    assert waited == [LOOK_AGAIN_SECONDS, 5.0]


def test_the_wait_is_still_where_we_shorten_it():
    """When Airflow mends the race itself, or moves the code, this fails and the wrapper can go."""
    from airflow.sdk.execution_time import supervisor

    assert "max_wait_time" in supervisor.WatchedSubprocess._service_subprocess.__wrapped__.__code__.co_varnames
