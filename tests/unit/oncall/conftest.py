"""An `include` folder with the shipped datasets and models, and an `oncall.yaml` of the test's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.foundation import clock
from include.evergreen.oncall import Message, escalate
from include.evergreen.oncall.messages import AnyChannel

ONCALL = """\
channels:
  - {name: pager, type: pagerduty, connection: pagerduty_ml}
  - {name: chat, type: slack, connection: slack_ml}
  - {name: mail, type: email, connection: smtp, sender: evergreen@example.org, to: [team@example.org]}
people:
  - {name: ana, email: ana@example.org, slack: U0ANA}
  - {name: ben, email: ben@example.org}
  - {name: lea, email: lea@example.org}
rotations:
  - {name: ml, people: [ana, ben], start: 2020-01-06, zone: Europe/Berlin}
policies:
  - name: urgent
    steps:
      - {after_minutes: 0, rotation: ml, through: [pager, mail]}
      - {after_minutes: 0, through: [chat]}
      - {after_minutes: 15, person: lea, through: [mail], repeat: 2, every_minutes: 10}
    remind_after_hours: 1
  - name: calm
    steps:
      - {after_minutes: 30, through: [chat]}
routes:
  - {severity: critical, policy: urgent}
  - {policy: calm}
quiet_hours: {from: "22:00", until: "07:00", zone: Europe/Berlin}
"""
Write = Callable[[str], Path]
Sent = list[tuple[str, Message]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the file; returns its path."""
    root = tmp_path / "include"
    root.mkdir()
    for folder in ("datasets", "models"):
        (root / folder).symlink_to(PROJECT_ROOT / "include" / folder)
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(root))

    def put(text: str) -> Path:
        path = root / "oncall.yaml"
        path.write_text(text)
        return path

    return put


class Round:
    """Rounds of escalation, at times from now on; ``sent`` has what was delivered, and ``broken`` what channels raise."""

    def __init__(self) -> None:
        self.sent: Sent = []
        self.broken: dict[str, Exception] = {}

    def __call__(self, minutes: float = 0) -> list[tuple[str, str, str]]:
        """One round; returns channel, recipient and action of what it delivered."""
        before = len(self.sent)
        escalate(self._send, clock.now() + dt.timedelta(minutes=minutes))
        return sorted((channel, message.recipient, message.action) for channel, message in self.sent[before:])

    def _send(self, channel: AnyChannel, message: Message) -> None:
        if channel.name in self.broken:
            raise self.broken[channel.name]
        self.sent.append((channel.name, message))


@pytest.fixture
def round_(write: Write, home: Path) -> Round:
    write(ONCALL)
    return Round()
