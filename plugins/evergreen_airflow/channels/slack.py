"""Slack, through an incoming webhook: one POST, for which its provider would bring Slack's SDK and give nothing more."""

from __future__ import annotations

from evergreen_airflow.channels.access import base_url, connection
from evergreen_airflow.channels.posting import post
from include.evergreen.config.oncall import Slack
from include.evergreen.oncall.messages import Message, UndeliveredError

LONGEST = 3000


def send(channel: Slack, message: Message) -> None:
    """Post a message. Slack has no key by which it would take one once: after a crash it may show one twice.

    :param channel: as it is declared
    :param message: what is told
    :raises UndeliveredError: when it was not delivered
    """
    found = connection(channel.connection)
    secret = (found.password or "").strip()
    url = secret if "://" in secret else f"{(found.host or 'https://hooks.slack.com/services').rstrip('/')}/{secret}"
    if not secret:
        raise UndeliveredError(f"connection {channel.connection!r} has no password; give it the webhook's URL.", permanent=True)
    post(url, {"text": text_of(message), "unfurl_links": False, "unfurl_media": False}, secrets=(secret, secret.rpartition("/")[2]))


def text_of(message: Message) -> str:
    """Write a message in Slack's form, in which only we mention people and make links.

    :param message: what is told
    :returns: its text, with ``&``, ``<`` and ``>`` escaped
    """
    whom = f"<@{message.address}> " if message.address else f"{escaped(message.recipient)}: " if message.recipient else ""
    lines = [f"{whom}*{escaped(message.subject)}*", *(escaped(line) for line in message.lines(base_url())[:-1])]
    last = escaped(message.lines(base_url())[-1])
    text = "\n".join(lines)
    return f"{text[: LONGEST - len(last) - 1]}\n{last}"


def escaped(text: str) -> str:
    """Escape what Slack would read as a mention, a link or an entity.

    :param text: any
    :returns: the text, to be shown as it is
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
