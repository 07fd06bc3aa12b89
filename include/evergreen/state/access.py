"""Which columns a role of PostgreSQL may write, so that who runs tasks or shows pages cannot edit what was recorded.

(docs/guides/database-roles.md)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import sqlalchemy as sa

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import (
    alert_events,
    alert_places,
    alerts,
    kept_files,
    leases,
    ledger,
    maintenance_windows,
    metadata,
    notifications,
    recipes,
    task_failures,
)
from include.evergreen.state.ledger.bindings import BINDINGS

INSERTED_ONCE = (ledger, recipes)  # no work of ours changes a row of these
# What the pages' acts on alerts, the watcher and the escalation write: all of it in the API server. Of these only failures are removed.
ON_CALL = (alerts, alert_places, alert_events, task_failures, leases, notifications, maintenance_windows, kept_files)
REMOVED_BY_READER = (task_failures, notifications)


def updated_columns(table: sa.Table) -> list[str] | None:
    """Tell which columns of a table a worker may change in a row that stands.

    Of a table whose rows are bound to the ledger these are the row's entry, what may change without one, and what daily work renews.

    :param table: one of ours
    :returns: the columns' names, none for a table of which no row ever changes; None: all of them, and then it may delete rows too
    """
    if binding := BINDINGS.get(table.name):
        return ["entry", *binding.unbound, *sorted(binding.renewed)]
    return [] if table in INSERTED_ONCE else None


def reader_rights(table: sa.Table) -> tuple[str, ...]:
    """Tell what the role of the API server may do with a table, beside reading it.

    :param table: one of ours
    :returns: of ``INSERT``, ``UPDATE`` and ``DELETE``; none for what only tasks write
    """
    if table in ON_CALL:
        return ("INSERT", "UPDATE", "DELETE") if table in REMOVED_BY_READER else ("INSERT", "UPDATE")
    return ("INSERT",) if table is ledger else ()  # each act of a person on an alert is an entry


def grant_access(*, worker: str | None = None, reader: str | None = None) -> None:
    """Give roles of PostgreSQL what their work needs, and take what they had beyond it; safe to repeat, and needed after a migration.

    :param worker: name of the role that runs tasks and the triggerer; it gets what `updated_columns` says
    :param reader: name of the role of the API server and the DAG processor: it reads, and writes what is about alerts, as
        `reader_rights` says
    :raises ConfigError: if the database is not PostgreSQL, or has no such role
    """
    with writing() as connection:
        if connection.dialect.name != "postgresql":
            raise ConfigError(f"Roles are PostgreSQL's, and EVERGREEN_DATABASE_URL is of {connection.dialect.name}. Omit them.")
        known = set(connection.execute(sa.text("SELECT rolname FROM pg_roles")).scalars())
        for role in filter(None, (worker, reader)):
            if role not in known:
                raise ConfigError(f"The database has no role {role!r}. Create it first: CREATE ROLE {role} LOGIN PASSWORD '...'.")
            quote = connection.dialect.identifier_preparer.quote_identifier
            for statement in _statements(quote(role), quote, writes=role == worker):
                connection.exec_driver_sql(statement)


def _statements(role: str, quote: Callable[[str], str], *, writes: bool) -> Iterator[str]:
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}"
    yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role}"
    yield f"GRANT USAGE ON SCHEMA public TO {role}"
    yield f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
    if not writes:
        for table in metadata.sorted_tables:
            if rights := reader_rights(table):
                yield f"GRANT {', '.join(rights)} ON {quote(table.name)} TO {role}"
        return
    for table in metadata.sorted_tables:
        columns = updated_columns(table)
        if columns is None:
            yield f"GRANT INSERT, UPDATE, DELETE ON {quote(table.name)} TO {role}"
        else:
            yield f"GRANT INSERT ON {quote(table.name)} TO {role}"
            if columns:
                yield f"GRANT UPDATE ({', '.join(map(quote, columns))}) ON {quote(table.name)} TO {role}"
