"""The current status: every model's versions, decision and firing, and every dataset's partitions."""

from __future__ import annotations

from typing import Any

from include.evergreen.config import Catalog
from include.evergreen.data.partitions.totals import all_totals
from include.evergreen.gates.decision import latest_decision
from include.evergreen.monitoring.performance import recent_performance
from include.evergreen.monitoring.triggers import newest_firing
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import waiting_versions
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.registry.rollouts import running_rollout
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.database import reading
from include.evergreen.state.pauses import active_pause


def status(catalog: Catalog) -> dict[str, Any]:
    """Gather what ``evergreen status`` shows. It goes by folder names and the database alone, so broken YAML hides nothing.

    :param catalog: what is declared now; it says which names there are
    :returns: a JSON document: ``models`` and ``datasets`` by name, all that are declared, and the ``pause`` that stands, or None
    """
    figures = _dataset_figures()
    return {
        "pause": _pause(),
        "models": {name: _model(name) for name in catalog.model_names()},
        "datasets": {name: figures.get(name, _NOTHING_INGESTED) for name in catalog.dataset_names()},
    }


_NOTHING_INGESTED = {"partitions": 0, "latest": None, "rows": 0, "quarantined": 0}


def _model(name: str) -> dict[str, Any]:
    return {
        "champion": _version(champions.champion(name)),
        "challenger": _version(champions.challenger(name)),
        "rollout": _rollout(name),
        "last_decision": _decision(name),
        "last_firing": _firing(name),
        "performance": _performance(name),
        "waiting_for_approval": [
            {"version": version.version, "semver": version.semver, "as_of": version.as_of, "because": version.because}
            for version in waiting_versions(name)
        ],
        "open_alerts": len(open_alerts(name)),
    }


def _pause() -> dict[str, Any] | None:
    pause = active_pause()
    if pause is None:
        return None
    return {"actor": pause.actor, "reason": pause.reason, "since": pause.recorded_at.isoformat(), "until": pause.until.isoformat(),
            "message": pause.message}  # fmt: skip


def _version(version: RegisteredVersion | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {
        "version": version.version,
        "semver": version.semver,
        "as_of": version.as_of,
        "metrics": version.metrics,
        **({"irreproducible_because": version.irreproducible_because} if version.irreproducible_because else {}),
    }


def _rollout(model: str) -> dict[str, Any] | None:
    """The roll-out that runs."""
    with reading() as connection:
        rollout = running_rollout(connection, model)
    if rollout is None:
        return None
    return {
        "version": rollout.version,
        "champion_version": rollout.champion_version,
        "strategy": rollout.strategy,
        "step": len(rollout.steps),
        "steps": len(rollout.plan["shares"]),
        "share": rollout.steps[-1]["share"],
        "since": rollout.steps[-1]["first"],
        "waits_for": rollout.note,
    }


def _decision(model: str) -> dict[str, Any] | None:
    decision = latest_decision(model)
    if decision is None:
        return None
    return {
        "verdict": decision.verdict,
        "as_of": decision.as_of,
        "champion_version": decision.champion_version,
        "message": decision.message,
        "recorded_at": decision.recorded_at.isoformat(),
    }


def _firing(model: str) -> dict[str, Any] | None:
    newest = newest_firing(model)
    if newest is None:
        return None
    return {
        "rule": newest.rule,
        "as_of": newest.as_of,
        "version": newest.version,
        "message": newest.message,
        "training": newest.training,
        "recorded_at": newest.recorded_at.isoformat(),
    }


def _performance(model: str) -> dict[str, Any] | None:
    """Of the partition that was observed last."""
    newest = next(iter(recent_performance(model, 1)), None)
    if newest is None:
        return None
    return {
        "partition": newest.partition,
        "version": newest.version,
        "metrics": {
            each.name: {"realised": each.realised, "estimated": each.estimated, "low": each.low, "high": each.high}
            for each in newest.metrics
        },
        "concept_drift": newest.concept_drift,
        "concept_drift_suspected": newest.is_concept_drift_suspected,
    }


def _dataset_figures() -> dict[str, dict[str, Any]]:
    """Counts over the current version of every partition, by dataset."""
    with reading() as connection:
        return all_totals(connection)
