"""E-mail, through the SMTP provider's hook: STARTTLS or TLS, login or OAuth, as its connection says."""

from __future__ import annotations

import smtplib
from html import escape
from typing import TYPE_CHECKING, Any

from evergreen_airflow.channels import posting
from evergreen_airflow.channels.access import base_url, connection, unique_key
from include.evergreen.config.oncall import Email
from include.evergreen.oncall.messages import Message, UndeliveredError

if TYPE_CHECKING:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

_REFUSED = 500  # codes from here on say that the same again would be refused again


def send(channel: Email, message: Message) -> None:
    """Send a mail. The same message always has the same Message-ID, by which mail servers and readers show one.

    :param channel: as it is declared
    :param message: what is told
    :raises UndeliveredError: when the server did not take it
    """
    to = [message.address] if message.address else list(channel.to)
    if not to:
        raise UndeliveredError(f"{message.recipient or channel.name} has no address; give one in oncall.yaml.", permanent=True)
    domain = channel.sender.rpartition("@")[2]
    headers = {"Message-ID": f"<{unique_key(message.key)}@{domain}>", "Auto-Submitted": "auto-generated"}
    if message.incidents:
        headers |= dict.fromkeys(("In-Reply-To", "References"), f"<{unique_key(message.incidents[0])}@{domain}>")
    try:
        with _hook(channel.connection) as hook:
            hook.send_email_smtp(
                to=to, subject=message.subject, html_content=html_of(message), from_email=channel.sender, custom_headers=headers
            )
    except UndeliveredError:
        raise
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        permanent = all(code >= _REFUSED for code in codes)
        raise UndeliveredError(f"the server refused the recipient ({codes}).", permanent=permanent) from None
    except smtplib.SMTPResponseException as error:
        text = f"the server answered {error.smtp_code} ({type(error).__name__})."
        raise UndeliveredError(text, permanent=error.smtp_code >= _REFUSED) from None
    except (OSError, smtplib.SMTPException) as error:  # SMTPException is an OSError; its text may quote what was sent
        raise UndeliveredError(f"the server could not be reached, or broke off ({type(error).__name__}).") from None


def html_of(message: Message) -> str:
    """Write a message as HTML that needs nothing from elsewhere.

    :param message: what is told
    :returns: one paragraph for each line, everything escaped
    """
    lines = []
    for line in message.lines(base_url()):
        label, _, url = line.rpartition(": ")
        if url.startswith(("http://", "https://")) and " " not in url:
            lines.append(f'<p>{escape(label)}: <a href="{escape(url)}">{escape(url)}</a></p>')
        else:
            lines.append(f"<p>{escape(line)}</p>")
    return f"<html><body>\n{chr(10).join(lines)}\n</body></html>\n"


def _hook(connection_id: str) -> SmtpHook:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    class Hook(SmtpHook):
        """Reads its connection as the API server does, waits seconds and not half a minute, and tries once: the outbox tries again."""

        @classmethod
        def get_connection(cls, conn_id: str) -> Any:
            return connection(conn_id)

        @property
        def timeout(self) -> int:
            return max(1, int(min(super().timeout, posting.TIMEOUT_SECONDS)))

        @property
        def smtp_retry_limit(self) -> int:
            return 0

    return Hook(smtp_conn_id=connection_id)
