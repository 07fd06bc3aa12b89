"""What all tests share: where skips are not accepted, they fail."""

import os
import signal

import pytest

from tests.servers import _s3_server, docker_daemon, http_server, postgresql, s3  # noqa: F401

os.environ |= {"MLFLOW_CONFIGURE_LOGGING": "false", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}  # as our command line has it
REQUIRE_ALL = os.environ.get("EVERGREEN_REQUIRE_ALL") == "1"


@pytest.fixture(scope="session")
def lightgbm():
    """The library. Its wheel, unlike the others', brings no OpenMP."""
    try:
        import lightgbm
    except OSError as error:
        pytest.skip(f"LightGBM cannot be loaded: {error}. Debian has what it lacks in libgomp1")
    return lightgbm


def pytest_configure():
    """Ended from outside, the tests still stop the servers that they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With EVERGREEN_REQUIRE_ALL=1 every skip is a failure: CI has installed what the tests need."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and EVERGREEN_REQUIRE_ALL=1 allows no skip: {report.longrepr}"
    return report
