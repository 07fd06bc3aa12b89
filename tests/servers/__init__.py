"""Real servers that tests start and stop, and the fixtures that do so."""

from __future__ import annotations

from collections.abc import Iterator

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


@pytest.fixture(scope="session")
def docker_daemon() -> Iterator[DockerDaemon]:
    """One daemon for all tests, without a route to anywhere."""
    if reason := DockerDaemon.why_not():
        pytest.skip(reason)
    with DockerDaemon() as daemon:
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
