from __future__ import annotations

import logging
import warnings

import pytest

from include.evergreen.cli.terminal import quiet

OURS, THEIRS = logging.getLogger("include.evergreen.somewhere"), logging.getLogger("mlflow.somewhere")


def say_everything() -> None:
    for logger in (OURS, THEIRS):
        logger.info("%s info", logger.name)
        logger.error("%s error", logger.name)
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # whatever filters this test run has
        warnings.warn("a library's warning", stacklevel=1)


@pytest.mark.parametrize(
    ("settings", "heard"),
    [
        ({"verbose": False, "debug": False}, ["ERROR include.evergreen.somewhere error"]),
        ({"verbose": True, "debug": False}, ["INFO include.evergreen.somewhere info", "ERROR include.evergreen.somewhere error"]),
    ],
)
def test_our_log_alone_is_heard(settings: dict[str, bool], heard: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with quiet(**settings):
        say_everything()
    assert capsys.readouterr().err.splitlines() == heard


def test_with_debug_everyone_is_heard(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet(verbose=False, debug=True):
        say_everything()
    heard = capsys.readouterr().err
    assert "INFO mlflow.somewhere: mlflow.somewhere info" in heard and "a library's warning" in heard


def test_afterwards_logging_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with quiet(verbose=True, debug=True):
        pass
    assert (root.handlers, root.level) == before
