"""How long an alert that was acknowledged may stay open before it fires again."""

from __future__ import annotations

import datetime as dt

from include.evergreen.oncall.declaration import in_use
from include.evergreen.oncall.steps import policy_of
from include.evergreen.oncall.subjects import subjects_of
from include.evergreen.state.alerts.acts import REMINDER
from include.evergreen.state.database import reading


def remind_after(alert_id: int) -> dt.timedelta:
    """Find after how long an alert that is acknowledged now is to fire again, by its policy.

    :param alert_id: its number
    :returns: the time; the usual one where no route is declared, or there is no such alert
    """
    config = in_use()
    if not config.routes:
        return REMINDER
    with reading() as connection:
        subject = subjects_of(connection, [alert_id]).get(alert_id)
    policy = policy_of(config, subject) if subject else None
    return dt.timedelta(hours=policy.remind_after_hours) if policy else REMINDER
