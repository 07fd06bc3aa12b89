"""What the page of a model's versions says, in words."""

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
    """One version, as a row of the page."""

    found: VersionHistory

    @property
    def mark(self) -> tuple[Tone, str] | None:
        """What the version is now, where it is something."""
        if self.found.is_champion:
            return "good", "champion"
        return ("fair", "challenger") if self.found.is_challenger else None

    @property
    def metrics(self) -> list[tuple[str, str]]:
        return [(name, f"{value:.4f}") for name, value in list(self.found.metrics.items())[:METRICS_SHOWN]]

    @property
    def registered(self) -> str:
        return moment(self.found.registered_at)

    @property
    def decision(self) -> tuple[Tone, str]:
        row = self.found.decision
        if row is None:
            return "bad", "no blessed decision"
        against = f"against version {row.champion_version}" if row.champion_version else "without a champion"
        return "good", f"blessed {against}, {moment(row.recorded_at)}{'' if row.mode == 'enabled' else f' (the gate was in {row.mode})'}"

    @property
    def criteria(self) -> list[tuple[Tone, str, str]]:
        """Tone, verdict and words of each criterion."""
        tones: dict[str, Tone] = {"passed": "good", "failed": "bad"}
        criteria: list[dict[str, Any]] = self.found.decision.criteria if self.found.decision else []
        return [(tones.get(each["verdict"], "fair"), each["verdict"].replace("_", " "), each["words"]) for each in criteria]

    @property
    def approval(self) -> tuple[Tone, str]:
        standing = self.found.standing
        if standing.answer:
            return "good" if standing.answer.verdict == "approved" else "bad", standing.answer.words
        return ("fair", standing.words) if standing.because else ("muted", "not asked for")

    @property
    def is_waiting(self) -> bool:
        return bool(self.found.standing.because) and self.found.standing.answer is None

    @property
    def promotions(self) -> list[str]:
        deeds = {"promotion": "promoted", "rollback": "rolled back to"}
        return [f"{deeds.get(row.kind, row.kind)} by {row.actor}, {moment(row.promoted_at)}: {row.reason}" for row in self.found.promotions]


@dataclass(frozen=True)
class AlertView:
    """One open alert, as a panel."""

    alert: Alert

    @property
    def tone(self) -> Tone:
        return "bad" if self.alert.severity == "critical" else "fair"

    @property
    def since(self) -> str:
        seen = f", seen {self.alert.times} times, last {moment(self.alert.last_at)}" if self.alert.times > 1 else ""
        return f"since {moment(self.alert.first_at)}{seen}"


def moment(when: dt.datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
