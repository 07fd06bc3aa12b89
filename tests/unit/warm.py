"""Processes forked from one that has imported what they need, and has done nothing else: most of what a new one costs is its imports."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

IMPORTED = (
    "include.evergreen.serving.check", "include.evergreen.state.mlflow_store", "include.evergreen.promotion.promote",
    "include.evergreen.training.fitting", "include.evergreen.training.pipeline", "pandas", "pyarrow.parquet", "skops.io", "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.artifact.local_artifact_repo", "sklearn.compose", "sklearn.ensemble",
    "sklearn.impute", "sklearn.linear_model", "sklearn.pipeline", "sklearn.preprocessing",
)  # fmt: skip


def warm_context() -> ForkServerContext:
    """Its first process brings the one that has imported everything; later ones, also of processes that are forked from here, find it."""
    multiprocessing.set_forkserver_preload(list(IMPORTED))
    return multiprocessing.get_context("forkserver")


def start_warm(work: Callable[..., Any], *arguments: Any) -> ForkServerProcess:
    """Start ``work`` in a process with this one's environment of now."""
    process = warm_context().Process(target=_within, args=(dict(os.environ), work, arguments), daemon=True)
    process.start()
    return process


def _within(environment: dict[str, str], work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    work(*arguments)
