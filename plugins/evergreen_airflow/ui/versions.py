"""The texts of the page of a model's versions."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from include.evergreen.registry.overview import VersionHistory
    from include.evergreen.state.alerts import Alert

Tone = Literal["good", "fair", "bad", "muted"]
METRICS_SHOWN = 3


@dataclass(frozen=True)
class VersionView:
    """One version, as a row of the page.

    :param history: the version, with its decision, approval and promotions
    """

    history: VersionHistory

    @property
    def badge(self) -> tuple[Tone, str] | None:
        """Tone and text of the badge of the champion or challenger; None for other versions."""
        if self.history.is_champion:
            return "good", "champion"
        return ("fair", "challenger") if self.history.is_challenger else None

    @property
    def metrics(self) -> list[tuple[str, str]]:
        """Names and values of the first metrics."""
        return [(name, f"{value:.4f}") for name, value in list(self.history.metrics.items())[:METRICS_SHOWN]]

    @property
    def registered(self) -> str:
        """When the version was registered."""
        return format_timestamp(self.history.registered_at)

    @property
    def decision(self) -> tuple[Tone, str]:
        """Tone and summary of the gate's decision."""
        row = self.history.decision
        if row is None:
            return "bad", "no blessed decision"
        against = f"against version {row.champion_version}" if row.champion_version else "without a champion"
        mode = "" if row.mode == "enabled" else f" (gate mode: {row.mode})"
        return "good", f"blessed {against}, {format_timestamp(row.recorded_at)}{mode}"

    @property
    def criteria(self) -> list[tuple[Tone, str, str]]:
        """Tone, verdict and explanation of each criterion."""
        tones: dict[str, Tone] = {"passed": "good", "failed": "bad"}
        criteria: list[dict[str, Any]] = self.history.decision.criteria if self.history.decision else []
        return [
            (tones.get(criterion["verdict"], "fair"), criterion["verdict"].replace("_", " "), criterion["message"])
            for criterion in criteria
        ]

    @property
    def approval(self) -> tuple[Tone, str]:
        """Tone and summary of the state of its approval."""
        standing = self.history.approval_status
        if standing.answer:
            return "good" if standing.answer.verdict == "approved" else "bad", standing.answer.message
        return ("fair", standing.message) if standing.because else ("muted", "not required")

    @property
    def is_waiting(self) -> bool:
        """Whether the version waits for approval."""
        return bool(self.history.approval_status.because) and self.history.approval_status.answer is None

    @property
    def promotions(self) -> list[str]:
        """One sentence for each promotion of the version, each rollback to it and each roll-out of it."""
        actions = {"promotion": "promoted", "rollback": "rolled back to"}
        rollouts = [
            f"{rollout.strategy} beside champion {rollout.champion_version} {rollout.word} since "
            f"{format_timestamp(rollout.ended_at or rollout.started_at)}: {rollout.because or rollout.note or 'it has just begun'}"
            for rollout in self.history.rollouts
        ]
        return rollouts + [
            f"{actions.get(row.kind, row.kind)} by {row.actor}, {format_timestamp(row.promoted_at)}: {row.reason}"
            for row in self.history.promotions
        ]


@dataclass(frozen=True)
class AlertView:
    """One open alert, as a panel.

    :param alert: the alert
    """

    alert: Alert

    @property
    def tone(self) -> Tone:
        """The colour of the panel."""
        return "bad" if self.alert.severity == "critical" else "fair"

    @property
    def since(self) -> str:
        """When the alert was raised, and how often."""
        repeats = f", raised {self.alert.times} times, last {format_timestamp(self.alert.last_at)}" if self.alert.times > 1 else ""
        return f"since {format_timestamp(self.alert.first_at)}{repeats}"


def format_timestamp(timestamp: dt.datetime) -> str:
    """Return a timestamp to the minute.

    :param timestamp: in UTC
    :returns: such as ``2013-02-09 04:15 UTC``
    """
    return f"{timestamp:%Y-%m-%d %H:%M} UTC"
