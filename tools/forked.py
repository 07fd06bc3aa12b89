"""Modules and functions in processes that are forked from one that has imported what they need: most of what a new one costs is imports."""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkContext, ForkServerContext
from pathlib import Path
from typing import Any


def run_forked(
    context: ForkContext | ForkServerContext, module: str, *arguments: str, environment: Mapping[str, str], output: Path, errors: Path
) -> int:
    """Do what ``python -m module`` does, with ``environment``; returns the exit code. What it prints is in the two files."""
    process = context.Process(target=within, args=(dict(environment), _run_module, (module, arguments, str(output), str(errors))))
    process.start()
    try:
        process.join()
    finally:
        process.kill()  # whoever waits has been interrupted
    assert process.exitcode is not None
    return process.exitcode


def within(environment: dict[str, str], work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """What a forked process does: ``work``, with this environment in place of its parent's."""
    os.environ.clear()
    os.environ.update(environment)
    work(*arguments)


def print_into(output: int, errors: int) -> None:
    """What this process prints from now on goes to these two descriptors."""
    os.dup2(output, 1)
    os.dup2(errors, 2)
    tempfile.tempdir = None  # as it was found for the process that this one is forked from


def file_to_print_into(path: str) -> int:
    """A new file's descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)


def _run_module(module: str, arguments: tuple[str, ...], output: str, errors: str) -> None:
    print_into(file_to_print_into(output), file_to_print_into(errors))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
