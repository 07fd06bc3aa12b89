"""Evergreen's own state: one SQLAlchemy database, SQLite by default, PostgreSQL in production."""

from include.evergreen.database.engine import migrate, reading, writing

__all__ = ["migrate", "reading", "writing"]
