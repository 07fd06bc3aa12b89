"""On SQLite, start a run when it is due rather than at the next full second.

Airflow starts runs whose ``run_after <= now()``, and ``run_after`` has microseconds. SQLAlchemy compiles ``now()`` to SQLite's
CURRENT_TIMESTAMP, which has no fraction: a run created at 10:00:00.1 is due at 10:00:01. A night is a chain of three runs (ingestion,
scoring, monitoring), and lost a second and a half in this way (docs/decisions/waiting-for-news.md).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import now

NOW = "STRFTIME('%Y-%m-%d %H:%M:%f000', 'now')"  # milliseconds, in as many digits as SQLAlchemy writes


def use_subsecond_now() -> None:
    """Compile ``now()`` with milliseconds on SQLite, in this process and its forks. Other databases are not affected."""

    @compiles(now, "sqlite")
    def _compile_now(element: Any, compiler: Any, **options: Any) -> str:
        return NOW
