"""What the nightly verbs ask of a database that grows for years is answered by an index, whatever they ask: each statement is explained.

A statement fails when it reads a table, or all that one model or dataset ever recorded in it, from end to end. It may where it takes a few
rows off the end of an index (LIMIT without sorting), and by an index that holds few rows itself (of firing alerts, of places in the line).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog
from include.evergreen.data.validation import latest_validation, next_validated, recent_validations
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY
from include.evergreen.monitoring import monitor
from include.evergreen.monitoring.report import find_monitored
from include.evergreen.monitoring.triggers import answer_firing, awaited_firing, due_firing, fire_if_tripped
from include.evergreen.operations.diagnose import why
from include.evergreen.operations.maintenance import Limits, apply_retention, verify_sample
from include.evergreen.operations.missed import missed_work
from include.evergreen.operations.status import status
from include.evergreen.operations.trace import find_logged
from include.evergreen.promotion.promote import promote_blessed, register_candidate
from include.evergreen.promotion.rollouts import advance_rollout
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import approval_status
from include.evergreen.registry.champion_periods import champion_period_at
from include.evergreen.registry.overview import version_history
from include.evergreen.registry.rollouts import begin_rollout
from include.evergreen.scoring.readiness import monitoring, scoring
from include.evergreen.scoring.score import score
from include.evergreen.state.alerts import open_alerts, raise_alert, resolve_alert
from include.evergreen.state.database import engine, reading, writing
from include.evergreen.state.database.tables import metadata
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tests.servers import PostgreSQL
from tests.unit.copies import copied_candidate, migrated_database, move_to
from tests.unit.flights import close_database
from tests.unit.lifecycle import AS_OF, MODEL, day, include_with, settle_cycled
from tests.unit.operations.maintenance.homes import correct, days_pass, ingest, keep_for

ROLLOUT = {
    "strategy": "shadow", "first": day(21), "actor": "a test", "reason": "a test of queries",
    "plan": {
        "shares": [0.0], "partitions": 7, "resample": "days", "resamples": 1000,
        "criterion": {"kind": "champion", "metric": "auc", "margin": 0.1},
    },
}  # fmt: skip
DO_NOT_GROW = {"erasures", "knowledge_corrections", "pauses", "dataset_totals", "leases", "kept_files", "alembic_version"}
GROWING = set(metadata.tables) - DO_NOT_GROW
OF_FEW_ROWS = {
    index.name for table in metadata.tables.values() for index in table.indexes if index.dialect_options["sqlite"]["where"] is not None
}
SHORTCUTS = ("enable_seqscan", "enable_mergejoin", "enable_hashjoin")
OWNER_ALONE = re.compile(r"^SEARCH (\w+) USING (?:COVERING )?INDEX (\w+) \((?:model|dataset)=\?\)$")


@pytest.fixture(params=["sqlite", "postgresql"])
def cycled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cycle has run; our own state is in one of the two databases."""
    settle_cycled()
    if request.param == "postgresql":
        move_to(request.getfixturevalue("postgresql"), monkeypatch, "cycled")
    yield
    close_database()


@pytest.mark.usefixtures("permuted_once")
def test_no_verb_of_the_night_reads_a_table_that_grows_from_end_to_end(
    cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_for(include_with(tmp_path, monkeypatch), "weather", "{superseded_days: 1, raw_days: 1}")
    correct("weather", day(19), "temp", 39.5)
    correct("weather", day(6), "temp", 39.5)
    days_pass(3)
    catalog = Catalog()
    model = catalog.model(MODEL)
    second = copied_candidate("second", as_of=AS_OF)
    with explained() as unbounded:
        for dataset in ("schedules", "weather", "outcomes"):
            ingest(dataset, day(21))
        correct("weather", day(20), "temp", 39.5)
        missed_work(catalog, since=DAILY.start(day(1)))
        scoring(MODEL, day(21), ("weather", day(20)), moment=DAILY.start(day(21)))
        score(catalog, model, day(21), "live")
        monitoring(MODEL, day(21), model.labels)
        monitor(catalog, model, day(21), "live")
        candidate, _ = train(catalog, model, take_snapshot(catalog, model, day(21)), "a test")
        version = (
            register_candidate(catalog, model, candidate.run_key) if _is_blessed(catalog, candidate) else champions.register(MODEL, second)
        )
        promote_blessed(catalog, model, version.version, actor="a test", reason="a test of queries")
        champions.promote(MODEL, version.version, actor="a test", reason="a test of queries", force=True)
        champions.rollback(MODEL, actor="a test", reason="a test of queries", request="a run")
        with writing() as connection:
            begin_rollout(connection, model=MODEL, version=2, champion_version=1, decision=1, **ROLLOUT)
        score(catalog, model, day(21), "live")
        advance_rollout(catalog, model)
        champions.abort_rollout(MODEL, actor="a test", reason="a test of queries")
        advance_rollout(catalog, model)
        fire_if_tripped(model)
        due_firing(MODEL)
        awaited_firing(MODEL)
        answer_firing(MODEL, "a run")
        retained = apply_retention(catalog, Limits(report_days=0, grace_hours=0))
        verify_sample(20, night="2013-02-01")
    assert retained.removals
    assert not unbounded, "\n\n".join(unbounded)


def test_no_page_and_no_answer_reads_a_table_that_grows_from_end_to_end(cycled: None) -> None:
    catalog = Catalog()
    raise_alert("bypass/1", model=MODEL, severity="critical", message="somebody moved the alias")
    with explained() as unbounded:
        status(catalog)
        why(catalog, catalog.model(MODEL), AS_OF)
        version_history(MODEL)
        version_history(MODEL, version=1)
        approval_status(MODEL, 1)
        champion_period_at(MODEL, clock.now())
        find_monitored(MODEL, AS_OF)
        find_logged(catalog, MODEL, ["flight=100"])
        open_alerts(MODEL)
        resolve_alert("bypass/1")
        latest_validation("weather", AS_OF)
        recent_validations("weather", AS_OF)
        next_validated("weather", day(1))
    assert not unbounded, "\n\n".join(unbounded)


@pytest.mark.sqlite_only  # the next one is PostgreSQL's
@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM observations WHERE value > 1",
        "SELECT * FROM decisions WHERE verdict = 'blessed'",
        "SELECT * FROM observations WHERE model = 'm' ORDER BY partition DESC",
        "SELECT count(*) FROM partition_versions",
        "SELECT * FROM partition_versions WHERE dataset = 'd' ORDER BY recorded_at LIMIT 1",
    ],
)
def test_a_query_that_does_is_found(home: object, query: str) -> None:
    with explained() as unbounded, reading() as connection:
        connection.execute(sa.text(query))
    assert len(unbounded) == 1


def test_a_query_that_does_is_found_on_postgresql_too(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", migrated_database(postgresql, "evergreen"))
    with explained() as unbounded, reading() as connection:
        connection.execute(sa.text("SELECT * FROM observations WHERE value > 1"))
        connection.execute(sa.text("SELECT * FROM observations WHERE model = 'm' AND partition = '2013-02-09'"))
    close_database()
    assert [words.split(":")[0] for words in unbounded] == ["Seq Scan on observations"]


@contextmanager
def explained() -> Iterator[list[str]]:
    """Within it, the plan of each statement of ours is looked at; yields those that read from end to end, each with its plan."""
    found: list[str] = []
    plans: dict[str, Callable[[Any, str, Any], list[str]]] = {"sqlite": _of_sqlite, "postgresql": _of_postgresql}

    def explain(connection: sa.Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if not statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE")) or "pg_advisory" in statement or "pg_catalog" in statement:
            return
        first = parameters[0] if many else parameters
        found.extend(f"{words}: {statement}" for words in plans[connection.dialect.name](connection.connection, statement, first))

    ours = engine._engine(engine.Settings.from_environment().database_url, engine.os.getpid())
    sa.event.listen(ours, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        sa.event.remove(ours, "before_cursor_execute", explain)


def _of_sqlite(connection: Any, statement: str, parameters: Any) -> list[str]:
    plan = [row[3] for row in connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()]
    sorts = any("USE TEMP B-TREE FOR ORDER BY" in step for step in plan)
    ends_early = "LIMIT" in statement and "ORDER BY" in statement and not sorts
    return [step for step in plan if _reads_all(step, ends_early=ends_early)]


def _reads_all(step: str, *, ends_early: bool) -> bool:
    if scan := re.match(r"SCAN (\w+)", step):
        by_few = (index := re.match(r"SCAN \w+ USING (?:COVERING )?INDEX (\w+)", step)) is not None and index[1] in OF_FEW_ROWS
        return scan[1] in GROWING and not ends_early and not by_few
    search = OWNER_ALONE.match(step)
    return search is not None and search[1] in GROWING and search[2] not in OF_FEW_ROWS and not ends_early


def _of_postgresql(connection: Any, statement: str, parameters: Any) -> list[str]:
    """Without what is quicker in tables that are as small as here."""
    with connection.cursor() as cursor:
        for shortcut in SHORTCUTS:
            cursor.execute(f"SET LOCAL {shortcut} = off")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        (document,) = cursor.fetchone()
        for shortcut in SHORTCUTS:
            cursor.execute(f"SET LOCAL {shortcut} = on")
    plan = json.loads(document) if isinstance(document, str) else document
    return list(_endless(plan[0]["Plan"], limited=False))


def _endless(node: dict[str, Any], *, limited: bool) -> Iterator[str]:
    kind, table = node["Node Type"], node.get("Relation Name", "")
    limited = (limited or kind == "Limit") and kind not in {"Sort", "Aggregate"}
    whole = kind == "Seq Scan" or (kind in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node and not limited)
    if whole and table in GROWING and node.get("Index Name") not in OF_FEW_ROWS:
        yield f"{kind} on {table}"
    for each in node.get("Plans", ()):
        yield from _endless(each, limited=limited)


def _is_blessed(catalog: Catalog, candidate: Any) -> bool:
    from include.evergreen.gates.decide import decide

    return decide(catalog, catalog.model(MODEL), candidate).verdict == "blessed"
