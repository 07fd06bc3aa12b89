"""What delivers messages about alerts: e-mail, Slack, PagerDuty, a signed webhook. Each reads its address and secret from a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.evergreen.oncall.messages import AnyChannel, Message


def send(channel: AnyChannel, message: Message) -> None:
    """Deliver a message through a channel, within seconds; for `include.evergreen.oncall.escalate`.

    Passes on `UndeliveredError` when it was not delivered.

    :param channel: as `oncall.yaml` declares it
    :param message: what is told
    """
    from evergreen_airflow.channels import email, pagerduty, slack, webhook

    if channel.type == "email":
        email.send(channel, message)
    elif channel.type == "slack":
        slack.send(channel, message)
    elif channel.type == "pagerduty":
        pagerduty.send(channel, message)
    else:
        webhook.send(channel, message)
