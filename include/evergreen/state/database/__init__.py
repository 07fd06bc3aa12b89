"""Evergreen's own state: one SQLAlchemy database, SQLite by default, PostgreSQL in production."""

from include.evergreen.state.database.engine import disconnect, migrate, reading, writing

__all__ = ["disconnect", "migrate", "reading", "writing"]
