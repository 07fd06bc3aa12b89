"""What all tests share: how they are spread over workers, and where skips are not accepted, that they fail."""

import contextlib
import gc
import json
import os
import signal
from collections import defaultdict
from pathlib import Path

import psutil
import pytest

from include.evergreen.foundation.garbage import collect_seldom
from tests.servers import _s3_server, docker_daemon, http_server, postgresql, s3  # noqa: F401
from tests.warm_workers import fork_workers

collect_seldom()
os.environ |= {"MLFLOW_CONFIGURE_LOGGING": "false", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}  # as our command line has it
TIMES = "EVERGREEN_TEST_TIMES"
REQUIRE_ALL = os.environ.get("EVERGREEN_REQUIRE_ALL") == "1"
NICENESS = 5
ROOT = Path(__file__).parent
SECONDS = ROOT / "seconds.json"  # of each file; `make test-times` measures them again
TOGETHER = {  # what shares a costly server runs in one worker, and no more than two Airflows run at once; all else by file
    "plugins/test_containers.py": "first Airflow",
    "plugins/test_channels.py": "plugins/test_channels.py",
    "plugins/test_roles.py": "plugins/test_roles.py",
    "plugins/": "Airflow's app",
    "integration/test_your_own_model.py": "second Airflow",
    "integration/": "first Airflow",
}


@pytest.fixture(scope="session")
def lightgbm():
    """The library. Its wheel, unlike the others', brings no OpenMP."""
    try:
        import lightgbm
    except OSError as error:
        pytest.skip(f"LightGBM cannot be loaded: {error}. Debian has what it lacks in libgomp1")
    return lightgbm


def pytest_configure(config):
    """Ended from outside, the tests still stop the servers that they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    in_a_worker = hasattr(config, "workerinput")
    if place := os.environ.pop(TIMES, "") if in_a_worker else os.environ.get(TIMES, ""):  # not for a pytest that a test starts
        config.pluginmanager.register(_Times(Path(place)))
    if config.getoption("numprocesses", None) and not in_a_worker:
        config.pluginmanager.register(_FailuresAtOnce(config))
        fork_workers()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """In parallel, what shares a server, or a file's fixtures, stays together in one worker."""
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return _group(nodeid.split("::")[0].removeprefix("tests/"))

    return Grouped(config, log)


def pytest_collection_modifyitems(config, items):
    """In parallel, what takes longest begins first."""
    if not hasattr(config, "workerinput"):
        return
    seconds, of_group = json.loads(SECONDS.read_text()), defaultdict(float)
    files = {str(item.path.relative_to(ROOT)) for item in items}
    for file in files:
        of_group[_group(file)] += seconds.get(file, 0.0)
    items.sort(key=lambda item: -of_group[_group(str(item.path.relative_to(ROOT)))])


def pytest_collection_finish(session):
    """A million objects of imported libraries are not looked through for garbage again."""
    gc.freeze()


def pytest_sessionfinish(session):
    """Nor are all that were made since, five times, when pytest ends."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """In parallel, what waits for a real Airflow goes first: that one takes memory and processors until its last test has ended."""
    waits_for_airflow = _group(str(item.path.relative_to(ROOT))).endswith(" Airflow")
    if hasattr(item.config, "workerinput") and not waits_for_airflow and os.nice(0) == 0:
        os.nice(NICENESS)


def _group(file):
    return next((group for start, group in TOGETHER.items() if file.startswith(start)), file)


class _FailuresAtOnce:
    """Names what fails when it fails, in a run of many minutes in parallel; the whole comes at the end, as always."""

    def __init__(self, config):
        self._config = config

    def pytest_runtest_logreport(self, report):
        if report.failed:
            reporter, crash = self._config.pluginmanager.getplugin("terminalreporter"), getattr(report.longrepr, "reprcrash", None)
            said = (crash.message if crash else str(report.longrepr)).strip().splitlines() or ["without a word"]
            reporter.write(f"\nFAILED {report.nodeid} - {said[0][:200]}\n")


class _Times:
    """Writes down what each file's tests took: seconds of processors, or of the clock where they mostly wait.

    A server's seconds, such as those of a real Airflow, count for the test during which it took them. While each processor has two
    workers, what computes takes twice its seconds by the clock.
    """

    def __init__(self, place):
        self._place, self._seconds, self._before = place, defaultdict(float), 0.0

    def pytest_collection_finish(self):
        self._before = _processor_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        now = _processor_seconds()
        report.user_properties.append(("seconds", max(now - self._before, report.duration / 2)))
        self._before = now
        return report

    def pytest_runtest_logreport(self, report):
        file = report.nodeid.split("::")[0].removeprefix("tests/")
        self._seconds[file] += dict(report.user_properties)["seconds"]

    def pytest_sessionfinish(self, session):
        if not hasattr(session.config, "workerinput"):
            longest_first = sorted(self._seconds.items(), key=lambda each: -each[1])
            self._place.write_text(json.dumps({file: round(seconds, 1) for file, seconds in longest_first}, indent=1) + "\n")


def _processor_seconds():
    """Of this process and of all that it started, those that ended among them."""
    this, seconds = psutil.Process(), 0.0
    for process in [this, *this.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):  # it has just ended
            seconds += sum(process.cpu_times()[:4])
    return seconds


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With EVERGREEN_REQUIRE_ALL=1 every skip is a failure: CI has installed what the tests need."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and EVERGREEN_REQUIRE_ALL=1 allows no skip: {report.longrepr}"
    return report
