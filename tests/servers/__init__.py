"""Real servers that tests start and stop, and the fixtures that do so."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from tests.servers.docker import DockerDaemon
from tests.servers.http import HttpServer
from tools.postgresql import PostgreSQL


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One server for all tests; each takes a database of its own."""
    if PostgreSQL.program("initdb") is None or PostgreSQL.program("postgres") is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with PostgreSQL() as server:
        yield server


@cache
def daemon_of_the_tests() -> DockerDaemon:
    """The one that `docker_daemon` starts and ends. Its place is known before: an Airflow can be told of it."""
    return DockerDaemon()


@pytest.fixture(scope="module")
def docker_daemon() -> Iterator[DockerDaemon]:
    """A daemon for the tests of a file, without a route to anywhere. After them it ends: containerd takes processor time for nothing."""
    if reason := DockerDaemon.why_not():
        pytest.skip(reason)
    with daemon_of_the_tests() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def _s3_server():
    from tests.servers.s3 import S3

    with S3() as server:
        yield server


@pytest.fixture
def s3(_s3_server):
    """S3 without a bucket."""
    _s3_server.reset()
    yield _s3_server
    _s3_server.reset()


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """A server that answers what the test tells it to."""
    with HttpServer() as server:
        yield server
