"""Alerts on repeated rejections: one rejected candidate is an expected outcome, several in a row need attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.registry import champions
from include.evergreen.state.alerts import open_alerts, raise_alert, resolve_alert
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import decisions

if TYPE_CHECKING:
    from include.evergreen.gates.decision import Decision

LOOKED_BACK = 1000  # decisions: a row of rejections that is longer has been seen by somebody


def alert_of_rejections(model: ModelConfig, decision: Decision) -> None:
    """Raise one alert when the newest ``gate.alert_after_rejections`` candidates were all rejected; resolve it with a blessing.

    Candidates trained on older data than the champion (backfills) do not count. Done again for the same decision, it changes nothing.

    :param model: the model as it is declared now, whose gate says how many rejections are too many
    :param decision: the newest one, which is recorded
    """
    key = f"rejections/{model.name}"
    champion = champions.champion(model.name)
    if champion and decision.as_of < champion.as_of:
        return
    if decision.verdict == "blessed":
        resolve_alert(key)
        return
    rejected = _rejected_in_a_row(model.name, decision.id, champion)
    if len(rejected) < model.gate.alert_after_rejections:
        return
    evidence = {"run_keys": [run_key for run_key, _ in rejected], "as_of": [as_of for _, as_of in rejected]}
    if any(alert.key == key and alert.evidence == evidence for alert in open_alerts(model.name)):
        return
    message = (
        f"The last {len(rejected)} candidates of {model.name} were rejected, the newest as of {decision.as_of}"
        f"{f'; version {champion.version} as of {champion.as_of} is still serving' if champion else '; no version is serving'}. "
        f"`evergreen decisions {model.name}` says why; see its runbook."
    )
    raise_alert(key, model=model.name, severity="warning", message=message, evidence=evidence)


def _rejected_in_a_row(model: str, newest: int, champion: champions.RegisteredVersion | None) -> list[tuple[str, str]]:
    """Run key and as_of of each candidate that was rejected since the last blessing, the newest first."""
    query = (
        decisions.select().where(decisions.c.model == model, decisions.c.id <= newest).order_by(decisions.c.id.desc()).limit(LOOKED_BACK)
    )
    if champion:
        query = query.where(decisions.c.as_of >= champion.as_of)
    rejected: dict[str, str] = {}
    with reading() as connection:
        for row in connection.execute(query):
            if row.verdict == "blessed":
                break
            if row.verdict == "rejected":
                rejected.setdefault(row.run_key, str(row.as_of))
    return list(rejected.items())
