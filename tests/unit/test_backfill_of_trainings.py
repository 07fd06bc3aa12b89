"""Past training dates through the whole way to champion, while a newer champion serves: honest answers, and nothing moves."""

from __future__ import annotations

import json

import pytest

from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.span import Span
from include.evergreen.gates.decide import decide
from include.evergreen.operations.local_run import partitions_needed
from include.evergreen.promotion.promote import promote_blessed, register_candidate
from include.evergreen.registry import champions
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.database.tables import candidates, decisions, model_versions, promotions
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tests.unit.flights import lenient, rows_of
from tests.unit.lifecycle import AS_OF, MODEL, settle_cycled

PAST_DATES = 5
FIRST = DAILY.shift(AS_OF, -PAST_DATES)


@pytest.mark.usefixtures("permuted_once")
@pytest.mark.timeout(600)
def test_past_trainings_give_versions_or_rejections_and_the_newer_champion_serves_on() -> None:
    settle_cycled()
    catalog = Catalog()
    declared = lenient(catalog.model(MODEL))
    short = declared.train.model_copy(update={"window": Span(4, "day"), "min_history": Span(3, "day"), "holdout": Span(2, "day")})
    model = declared.model_copy(update={"train": short})
    for dataset, partition in partitions_needed(catalog, model, AS_OF, Span(short.window.amount + PAST_DATES, "day")):
        ingestion.ingest(dataset, partition, "backfill")
    before = champions.champion(MODEL)
    dates = list(DAILY.between(FIRST, DAILY.shift(AS_OF, -1)))
    refused = []
    for as_of in reversed(dates):  # the order in which a backfill runs must not matter
        candidate, _ = train(catalog, model, take_snapshot(catalog, model, as_of), "a backfill")
        decision = decide(catalog, model, candidate)
        assert decision.verdict in ("blessed", "rejected")
        if decision.verdict == "blessed":
            version = register_candidate(catalog, model, candidate.run_key)
            outcome = promote_blessed(catalog, model, version.version, actor="a backfill", reason="as of the past")
            assert not outcome.promoted
            refused.append(outcome.message)
    assert champions.champion(MODEL) == before
    assert before is not None and mlflow_store.alias(MODEL, "champion") == before.version
    assert champions.challenger(MODEL) is None
    assert [row.as_of for row in rows_of(candidates)] != [] and sorted(row.as_of for row in rows_of(candidates)) == [*dates, AS_OF]
    assert len(refused) == len(rows_of(model_versions)) - 1 > 0
    assert all("does not replace champion 1 as of 2013-01-20, which was trained on newer data" in words for words in refused)
    assert [row.champion_version for row in rows_of(decisions)] == [0, *[1] * PAST_DATES]
    assert len(rows_of(promotions)) == 1
    assert open_alerts(MODEL) == []
    kinds = [str(row.kind) for row in rows_of(entries)]
    assert (kinds.count("decision"), kinds.count("registration"), kinds.count("promotion")) == (1 + PAST_DATES, 1 + len(refused), 1)
    assert {json.loads(str(row.body))["as_of"] for row in rows_of(entries) if row.kind == "decision"} == {
        str(each) for each in [*dates, AS_OF]
    }
    assert ledger.verify() == []
