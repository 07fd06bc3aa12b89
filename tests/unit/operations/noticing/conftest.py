from tests.unit.copies import database  # noqa: F401  tests with a home run on SQLite and on PostgreSQL
