"""What is told: the same facts for every channel, from which each makes its own form. Nothing here is a secret or a row's value."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, Protocol

from include.evergreen.config.oncall import Email, PagerDuty, Slack, Webhook
from include.evergreen.foundation.errors import EvergreenError
from include.evergreen.state.alerts import Severity

Action = Literal["trigger", "acknowledge", "resolve"]
AnyChannel = Email | Slack | PagerDuty | Webhook
INBOX = "/evergreen/alerts"
_SHOWN_ALERTS = 20


@dataclass(frozen=True)
class Told:
    """One alert of a message.

    ``name`` is that of its model or dataset, ``meaning`` what follows for the model and its users, ``incident`` the key of its incident
    where the channel keeps such.
    """

    id: int
    key: str
    kind: str
    name: str
    severity: str
    state: str
    title: str
    message: str
    meaning: str
    times: int
    first_at: dt.datetime
    assignee: str
    incident: str = ""

    @property
    def path(self) -> str:
        """Where it is shown, below the base URL of Airflow."""
        return f"{INBOX}/{self.id}"

    @property
    def runbook(self) -> str:
        """Where its runbook is shown, below the base URL of Airflow."""
        return f"/evergreen/runbooks/{self.kind}"


@dataclass(frozen=True)
class Message:
    """One sending.

    ``key`` is the same however often it is tried: a server that keeps it takes the message once. ``incidents`` are the keys of the
    incidents, or of the messages of the action ``trigger``, that this one follows up. ``recipient`` is a person, or empty, and
    ``address`` theirs in this channel.
    """

    key: str
    action: Action
    recipient: str
    address: str
    alerts: tuple[Told, ...]
    on_call: tuple[str, ...]
    incidents: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """The highest of its alerts."""
        return "critical" if any(alert.severity == "critical" for alert in self.alerts) else "warning"

    @property
    def subject(self) -> str:
        """One line that says it all, without line breaks or control characters."""
        if len(self.alerts) == 1:
            [alert] = self.alerts
            state = {"trigger": alert.severity.upper(), "acknowledge": "ACKNOWLEDGED", "resolve": "RESOLVED"}[self.action]
            text = f"[{state}] {alert.title}{f' ({alert.name})' if alert.name else ''}: {alert.message}"
        elif self.action == "trigger":
            critical = sum(alert.severity == "critical" for alert in self.alerts)
            text = f"[{self.severity.upper()}] {len(self.alerts)} alerts, {critical} of them critical"
        else:
            text = f"[{self.action.upper()}D] {len(self.alerts)} alerts"
        line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
        return line if len(line) <= 200 else f"{line[:197]}..."

    @property
    def path(self) -> str:
        """Where to look, below the base URL of Airflow: the alert, or the inbox."""
        return self.alerts[0].path if len(self.alerts) == 1 else INBOX

    def lines(self, base_url: str) -> list[str]:
        """Write the message for people, in plain text.

        :param base_url: of Airflow, without a slash at its end
        :returns: its lines, of which none is escaped for anything
        """
        if len(self.alerts) > 1:
            shown = [f"{alert.severity}: {alert.title}{_of(alert)}: {alert.message}" for alert in self.alerts[:_SHOWN_ALERTS]]
            more = len(self.alerts) - len(shown)
            return [*shown, *([f"and {more} more."] if more > 0 else []), f"All of them: {base_url}{INBOX}"]
        [alert] = self.alerts
        seen = f"{alert.times} times since" if alert.times > 1 else "At"
        lines = [alert.message, alert.meaning, f"{seen} {alert.first_at:%Y-%m-%d %H:%M} UTC; severity: {alert.severity}."]
        if self.action == "trigger" and self.on_call:
            lines.append(f"On call: {', '.join(self.on_call)}.")
        elif self.action == "acknowledge":
            lines.append(f"{alert.assignee or 'Somebody'} has it.")
        return [*lines, f"Take it: {base_url}{alert.path}", f"Runbook: {base_url}{alert.runbook}"]


class UndeliveredError(EvergreenError):
    """A channel did not deliver.

    :param text: why, without secrets
    :param permanent: whether the same again would end the same: somebody must mend a setting
    :param retry_after: seconds after which the server wants to be asked again
    """

    def __init__(self, text: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.permanent, self.retry_after = permanent, retry_after


class Send(Protocol):
    """What delivers: one message through one channel, within seconds."""

    def __call__(self, channel: AnyChannel, message: Message, /) -> None:
        """Deliver, or raise `UndeliveredError`.

        :param channel: as it is declared
        :param message: what is told
        """


def _of(alert: Told) -> str:
    return f" ({alert.name})" if alert.name else ""
