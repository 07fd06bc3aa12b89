"""Who acts on the command line: the operating system's word, not the environment's, and not proven."""

from __future__ import annotations

import json
import os
import pwd

import pytest

from include.evergreen.cli.user import actor, user_name
from include.evergreen.state.alerts import raise_alert
from include.evergreen.state.database.tables import ledger
from tests.unit.cli.conftest import Ask
from tests.unit.flights import rows_of

OWN = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def forged(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "anybody")


@pytest.mark.usefixtures("forged")
def test_the_environment_does_not_say_who_acts() -> None:
    assert actor() == f"{OWN} (uid {os.getuid()}, unverified)"
    assert user_name() == OWN


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container."""
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_007)
    assert (actor(), user_name()) == ("uid 2000000007, unverified", "uid 2000000007")


def test_a_long_name_fits_the_ledger_and_keeps_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("n" * 200, "x", 7, 7, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry)
    monkeypatch.setattr(os, "getuid", lambda: 7)
    assert (len(actor()), actor()[-21:]) == (120, "n (uid 7, unverified)")


@pytest.mark.usefixtures("home", "forged")
def test_an_alert_is_signed_by_who_resolves_it(ask: Ask) -> None:
    raise_alert("bypass/1", model="air_time", severity="critical", message="somebody moved the alias")
    assert ask("alerts", "resolve", "bypass/1", "--reason", "seen to").code == 0
    entry = next(row for row in rows_of(ledger) if row.kind == "acknowledgement")
    assert json.loads(str(entry.body))["actor"] == f"{OWN} (uid {os.getuid()}, unverified)"
