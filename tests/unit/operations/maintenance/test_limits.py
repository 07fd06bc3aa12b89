import pytest

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.operations.maintenance import Limits


def test_the_environment_sets_each_limit_and_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Limits.from_environment() == Limits(grace_hours=24, unregistered_days=30, report_days=90, history_days=730, sample=50)
    monkeypatch.setenv("EVERGREEN_ORPHAN_GRACE_HOURS", "6.5")
    monkeypatch.setenv("EVERGREEN_UNREGISTERED_DAYS", "7")
    monkeypatch.setenv("EVERGREEN_REPORT_DAYS", "365")
    monkeypatch.setenv("EVERGREEN_HISTORY_DAYS", "366")
    monkeypatch.setenv("EVERGREEN_VERIFY_SAMPLE", "")
    assert Limits.from_environment() == Limits(grace_hours=6.5, unregistered_days=7, report_days=365, history_days=366, sample=50)


def test_what_is_given_goes_before_the_environment_and_zero_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_ORPHAN_GRACE_HOURS", "6")
    monkeypatch.setenv("EVERGREEN_VERIFY_SAMPLE", "6")
    limits = Limits.from_environment(grace_hours=0, sample=0)
    assert (limits.grace_hours, limits.sample) == (0, 0)


@pytest.mark.parametrize("text", ["a day", "-1", "nan", "inf", "1e9"])
def test_a_limit_that_is_no_sensible_number_is_refused_with_what_is_allowed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("EVERGREEN_REPORT_DAYS", text)
    with pytest.raises(ConfigError, match=f"EVERGREEN_REPORT_DAYS is '{text}'. Give a number of days from 0 to 36500; the default is 90."):
        Limits.from_environment()
