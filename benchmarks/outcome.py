"""What came of a night on our side, in the shape of the plain script's outputs."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.plain_script import PlainScript
from benchmarks.report import differences
from include.evergreen.config import Catalog
from include.evergreen.data.partitions import current_partition
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.gates.criteria import CriterionResult
from include.evergreen.gates.decision import Decision, all_decisions
from include.evergreen.gates.evaluate import JUDGES
from include.evergreen.gates.evidence import gather
from include.evergreen.monitoring import list_observations
from include.evergreen.registry.champions import champion_for
from include.evergreen.registry.versions import version_number
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.training.candidate import Candidate, find_candidate

MODEL = "flight_delay"
DATASETS = ("schedules", "weather", "outcomes")
# Our features round a mean once, the script's at each addition; a fit makes 1e-11 of the last bit.
# Drift: the references are two draws of 5,000 rows, and single extreme values move Evidently's distance and not ours.
TOLERANCE = {"predictions": 1e-9, "performance": 1e-9, "candidate": 1e-9, "criteria": 1e-9, "drift": 0.15}
SLICE = ("slice", "rows", "value", "interval", "champion", "judged")


def ingested_in(night: Partition) -> list[tuple[str, Partition]]:
    """The datasets and days that become known in a night."""
    yesterday = DAILY.shift(night, -1)
    return [("schedules", night), ("weather", yesterday), ("outcomes", yesterday)]


def decided(night: Partition) -> Decision | None:
    """The gate's decision on the candidate as of ``night``."""
    return next((each for each in all_decisions(MODEL) if each.as_of == night), None)


def compare_night(night: Partition, plain: PlainScript) -> list[str]:
    """In words, where this process's home differs from what the plain script made of the same night."""
    theirs = plain.outputs(night)
    return differences(outputs(night, seed=theirs["seed"]), theirs, tolerance=TOLERANCE, where=str(night))


def outputs(night: Partition, *, seed: int) -> dict[str, Any]:
    """``seed`` is that of the script's resamples, by which the gate's figures are looked at again."""
    ingested = {dataset: current_partition(dataset, day) for dataset, day in ingested_in(night)}
    predictions, decision, serving = find_predictions(MODEL, night), decided(night), champion_for(MODEL, night)
    assert predictions and decision and serving
    candidate = find_candidate(decision.run_key)
    return {
        "datasets": {name: {"rows": each.rows, "quarantined": each.quarantined} for name, each in ingested.items() if each},
        "scored_rows": predictions.rows,
        "predictions": predictions.frame()["prediction"].tolist(),
        "drift": {**_drift(night), "prediction": _observed("prediction_drift.", night)["score"]},
        "performance": _observed("performance.", DAILY.shift(night, -1)),
        "candidate": candidate.metrics,
        "seed": seed,
        "criteria": _criteria(decision, candidate, seed),
        "verdict": decision.verdict,
        "champion": serving.version,
    }


def _observed(prefix: str, day: Partition) -> dict[str, float]:
    found = list_observations(MODEL, first=day, last=day)
    return {each.metric.removeprefix(prefix): each.value for each in found if each.metric.startswith(prefix)}


def _drift(night: Partition) -> dict[str, float]:
    """The effect on each feature; the others are verdicts."""
    return {name: value for name, value in _observed("drift.", night).items() if name not in ("share", "multivariate")}


def _criteria(decision: Decision, candidate: Candidate, seed: int) -> list[dict[str, Any]]:
    """Judged again on the script's resamples: the decision's own are drawn by the candidate's key, which the script does not know.

    The verdicts are those on record; so is the serving check, which draws nothing.
    """
    catalog = Catalog()
    champion = version_number(MODEL, decision.champion_version) if decision.champion_version else None
    evidence = gather(catalog, catalog.model(MODEL), candidate, champion)
    rivals = [evidence.champion, *(comparator.rival for comparator in evidence.comparators.values())]
    for scored in (evidence.candidate, *(rival.everywhere for rival in rivals if rival)):
        scored.seed = seed
    again = [JUDGES[each.kind](each, evidence) for each in catalog.model(MODEL).gate.criteria]
    recorded = [each["verdict"] for each in decision.criteria]
    serving = CriterionResult(**decision.criteria[-1])
    return [_plainly(result, verdict) for result, verdict in zip([*again, serving], recorded, strict=True)]


def _plainly(result: CriterionResult, verdict: str) -> dict[str, Any]:
    found = {each: getattr(result, each) for each in ("kind", "metric", "value", "threshold", "interval")}
    return json.loads(json.dumps({**found, "verdict": verdict, "details": _details(result)}))  # type: ignore[no-any-return]


def _details(result: CriterionResult) -> dict[str, Any]:
    match result.kind:
        case "slices":
            slices = [{name: each[name] for name in SLICE} for each in result.details["slices"]]
            return {"slices": slices, "worse_than_champion": result.details["worse_than_champion"]}
        case "calibration":
            return {"bins": result.details["bins"]}
        case "behaviour":
            return {"checks": [each["value"] for each in result.details["checks"]]}
    return {}
