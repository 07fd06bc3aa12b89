"""One night of one model in this process, without Airflow: each step is the core function that a task of the night calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from benchmarks.outcome import MODEL, ingested_in
from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.gates.decide import decide
from include.evergreen.monitoring import monitor
from include.evergreen.promotion.promote import promote_blessed, register_candidate
from include.evergreen.scoring.score import score
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train

T = TypeVar("T")


def run_night(night: Partition) -> dict[str, float]:
    """Seconds of each step, on the home of this process."""
    seconds: dict[str, float] = {}

    def timed(step: str, function: Callable[[], T]) -> T:
        began = time.perf_counter()
        found = function()
        seconds[step] = time.perf_counter() - began
        return found

    catalog = Catalog()
    model = catalog.model(MODEL)
    for dataset, day in ingested_in(night):
        timed(f"ingest_{dataset}", lambda dataset=dataset, day=day: ingestion.ingest(catalog.dataset(dataset), day, "live"))  # type: ignore[misc]
    timed("score", lambda: score(catalog, model, night, "live"))
    timed("monitor_drift", lambda: monitor(catalog, model, night, "live"))
    timed("monitor_performance", lambda: monitor(catalog, model, DAILY.shift(night, -1), "live"))
    snapshot = timed("snapshot", lambda: take_snapshot(catalog, model, night))
    candidate, _ = timed("train", lambda: train(catalog, model, snapshot, "a night"))
    decision = timed("gate", lambda: decide(catalog, model, candidate))
    if decision.verdict == "blessed":
        version = timed("register", lambda: register_candidate(catalog, model, candidate.run_key))
        actor, reason = "the benchmark", "blessed by the gate"
        timed("promote", lambda: promote_blessed(catalog, model, version.version, actor=actor, reason=reason))
    return seconds
