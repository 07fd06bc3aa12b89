"""On SQLite, lets a run begin when it is due, rather than at the next full second.

Airflow starts runs whose ``run_after <= now()``, and ``run_after`` is a moment to the microsecond. SQLite's CURRENT_TIMESTAMP, which
SQLAlchemy makes of ``now()``, has no fraction: a run that was made at 10:00:00.1 is due at 10:00:01. A night is a chain of three runs
(an ingestion's, a scoring's, a monitoring's), and lost a second and a half so (docs/decisions/waiting-for-news.md).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import now

NOW = "STRFTIME('%Y-%m-%d %H:%M:%f000', 'now')"  # to the millisecond, in as many digits as SQLAlchemy writes


def tell_fractions_of_now() -> None:
    """From now on, in this process and its forks; nothing changes on other databases."""

    @compiles(now, "sqlite")
    def _to_the_millisecond(element: Any, compiler: Any, **options: Any) -> str:
        return NOW
