"""A version is measured by what it was trained with, from its training to its card, whatever is declared or written since."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from include.evergreen.config import Catalog
from include.evergreen.config.check import check_catalog
from include.evergreen.features.columns import TARGET, features_of
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import monitor
from include.evergreen.monitoring.observations import Observation, list_observations
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.operations.reproduce import reproduce
from include.evergreen.promotion.cards import ensure_card
from include.evergreen.registry import champions
from include.evergreen.state import mlflow_store, storage
from include.evergreen.state.stage_status import find_stage
from include.evergreen.training.fit_job import split_by_time
from include.evergreen.training.pipeline import predict
from include.evergreen.training.snapshot import find_snapshot
from tests.unit.flights import republish
from tests.unit.lifecycle import AS_OF, MODEL, day, include_with, settle_ingested

METRICS = """metrics:
  learned_threshold: {best: cost}
  costs: {false_positive: 1, false_negative: 3}
  own: [{name: profit, function: profit.per_flight, better: higher, description: What a flight leaves.}]
gate:
"""
CRITERIA = """
    - {kind: absolute, metric: profit, at_least: -100}
    - {kind: absolute, metric: recall, at_least: 0.1}
    - {kind: baseline, metric: cost, margin: 0, confidence: 0.51}
    - {kind: champion, metric: profit, margin: 50}
    - {kind: slices, by: origin, judge: worst, metric: profit, at_least: -100}
"""
RULES = "\n    - {metric: performance.profit, below: -1000, k: 1, n: 1}\n    - {metric: performance.cost, above: 8, k: 1, n: 1}\n"
PROFIT = "from prices import FARE\n\ndef per_flight(labels, predicted):\n    return float((FARE * labels * predicted).mean())\n"


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a model with costs, a threshold that is learned, and a metric of its own."""
    folder = include_with(tmp_path, monkeypatch) / "models" / MODEL
    text = (folder / "model.yaml").read_text().replace("gate:\n", METRICS)
    text = text.replace("  criteria:\n", f"  criteria:{CRITERIA}", 1).replace("  rules:\n", f"  rules:{RULES}", 1)
    (folder / "model.yaml").write_text(text)
    (folder / "profit.py").write_text(PROFIT)
    (folder / "prices.py").write_text("FARE = 100.0\n")
    settle_ingested()
    return folder


def test_it_decides_and_is_judged_monitored_and_shown_as_it_was_trained_to_be(declared: Path) -> None:
    catalog = Catalog()
    assert check_catalog(catalog) == []
    model = catalog.model(MODEL)
    result = run_cycle(catalog, model, AS_OF, reason="the first", actor="a person")
    candidate = result.candidate
    threshold = candidate.facts["decision_threshold"]
    assert 0 < threshold < 0.5, "a miss costs three false alarms"
    assert list(candidate.metrics)[:3] == ["profit", "recall", "cost"], "what the gate asks for is shown first"
    assert result.decision.verdict == "blessed", result.decision.message

    _, holdout = split_by_time(model, find_snapshot(candidate.snapshot_digest).frame())
    pipeline = mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest, model.train.trusted_types)
    predicted, labels = predict(pipeline, model, features_of(holdout, model.feature_names)), holdout[TARGET].to_numpy()
    cost = np.mean(np.where(predicted >= threshold, 1 - labels, 3 * labels))
    assert candidate.metrics["cost"] == pytest.approx(cost)
    assert candidate.metrics["profit"] == pytest.approx((100 * labels * predicted).mean())
    judged = {(each["kind"], each["metric"]): each for each in result.decision.criteria}
    assert judged["absolute", "profit"]["value"] == pytest.approx(candidate.metrics["profit"])
    assert judged["absolute", "profit"]["interval"] and judged["slices", "profit"]["interval"]
    assert judged["absolute", "recall"]["value"] == pytest.approx(candidate.metrics["recall"])

    (declared / "prices.py").write_text("FARE = 0.0\n")  # what the team writes next year
    champion = champions.champion(MODEL)
    assert champion is not None
    observed = {figure.metric: figure for figure in list_observations(MODEL, first=day(19), last=AS_OF)}
    before = observed["performance.profit"]
    storage_path = ensure_card(Catalog(), model, champion)
    card = storage.read_bytes(storage_path).decode()
    assert "What a flight leaves." in card
    assert "there, cost was best on rows before the holdout" in card
    wider = model.model_copy(update={"monitor": model.monitor.model_copy(update={"performance_window": Span(2, "day")})})
    assert monitor(Catalog(), wider, before.partition, "live").is_done
    after = next(figure for figure in list_observations(MODEL, "performance.profit", first=before.partition, last=before.partition))
    assert before.value > 1
    assert after.value > 1, "the fare of then"
    assert reproduce(Catalog(), MODEL, champion.version).is_identical


def test_a_metric_that_fails_on_a_day_is_named_and_keeps_nothing_else_from_being_monitored(declared: Path) -> None:
    (declared / "profit.py").write_text(
        PROFIT.replace("    return", "    if len(labels) == 1:\n        raise ValueError('a single flight')\n    return")
    )
    catalog = Catalog()
    model = catalog.model(MODEL)
    run_cycle(catalog, model, AS_OF, reason="the first", actor="a person")
    labelled = AS_OF
    assert {"performance.profit", "performance.cost"} <= observed_on(labelled).keys()
    before = observed_on(labelled)
    republish("outcomes", labelled, lambda rows: rows.iloc[:1])
    outcome = monitor(Catalog(), model, labelled, "live")
    assert outcome.is_done
    assert "the metric 'profit' is not measured: flight_delay: the metric 'profit' (profit.per_flight) fails on 1 rows: " in outcome.message
    record = find_stage(MODEL, "monitor", labelled)
    assert record is not None
    assert "ValueError: a single flight" in record.detail["not_measured"]["profit"]
    after = observed_on(labelled)
    assert "performance.profit" not in after
    assert {name for name in before if name.startswith(("drift", "quality", "estimated"))} <= after.keys()
    assert after["performance.cost"].rows == 1


def observed_on(partition: Partition) -> dict[str, Observation]:
    return {figure.metric: figure for figure in list_observations(MODEL, first=partition, last=partition)}


def test_what_a_version_was_trained_without_is_not_evaluated_and_says_what_to_do(declared: Path) -> None:
    catalog = Catalog()
    model = catalog.model(MODEL)
    plain = model.model_copy(update={"metrics": type(model.metrics)()})
    result = run_cycle(catalog, plain, AS_OF, reason="the first", actor="a person")
    asked = next(each for each in result.decision.criteria if each["metric"] == "profit")
    assert (asked["verdict"], result.decision.verdict) == ("not_evaluated", "not_evaluated")
    assert (
        "the version has no metric 'profit', as it was trained before model.yaml declared what it needs. Train again." in asked["message"]
    )
