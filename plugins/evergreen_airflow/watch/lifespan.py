"""The watcher lives as long as the API server does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

SWITCH = "EVERGREEN_WATCH"


@asynccontextmanager
async def watching(app: FastAPI) -> AsyncIterator[None]:
    """Start a watcher with the app, and stop it with the app; ``EVERGREEN_WATCH=off`` leaves it out.

    :param app: the plugin's app, in an API server
    :yields: once, while it watches
    """
    if os.environ.get(SWITCH, "").lower() == "off":
        yield
        return
    import asyncio

    from evergreen_airflow.watch.watcher import Watcher

    watcher = Watcher()
    watcher.start()
    try:
        yield
    finally:
        await asyncio.to_thread(watcher.stop)
