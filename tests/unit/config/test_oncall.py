"""A wrong `oncall.yaml` is told with file, line, the bad value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config.loader import load_oncall
from include.evergreen.foundation.errors import ConfigError
from tests.unit.oncall.conftest import ONCALL

WRONG = [
    ("type: slack", "type: slak", "oncall.yaml:3: channels[1].type: 'slak' is not allowed; did you mean 'slack'? allowed: email, slack"),
    ("people: [ana, ben]", "people: [ana, bem]", "rotations[0].people[1]: unknown person 'bem'; did you mean 'ben'? known: ana, ben, lea"),
    ("zone: Europe/Berlin}\npol", "zone: Europe/Bärlin}\npol", "rotations[0].zone: 'Europe/Bärlin' is no time zone; did you mean"),
    ("rotation: ml,", "rotation: mk,", "oncall.yaml:14: policies[0].steps[0].rotation: unknown rotation 'mk'; known: ml"),
    ("[pager, mail]", "[pagr, mail]", "policies[0].steps[0].through[0]: unknown channel 'pagr'; did you mean 'pager'?"),
    ("policy: urgent}", "policy: urgnt}", "routes[0].policy: unknown policy 'urgnt'; did you mean 'urgent'? known: calm, urgent"),
    ('from: "22:00"', "from: 22:00", "quiet_hours.from: 22:00 without quotes can be read in two ways"),
    ('from: "22:00"', 'from: "25:00"', "quiet_hours.from: must match pattern"),
    ("{after_minutes: 0, through", "{after_minutes: -1, through", "policies[0].steps[1].after_minutes: must be greater than or equal to 0"),
    ("- {policy: calm}", "- {policy: calm, severity: warning}", "oncall.yaml:21: routes: the last one has conditions"),
    ("{severity: critical, policy: urgent}", "{policy: urgent}", "routes[0]: has no condition, so no route after it is ever used"),
    ("name: lea, email: lea@example.org", "name: lea", "through[0]: mail is e-mail, and lea has no email under people; add it"),
    ("after_minutes: 15, person: lea", "after_minutes: 15, person: lea, rotation: ml", "person: lea and rotation ml exclude each other"),
    ("  - {name: ben, email: ben@example.org}\n", "  - {name: ana}\n", "people: ana stands there more than once"),
    ("lea@example.org", "'lea@example.org\\nBcc: x@example.org'", "people[2].email: must match pattern"),
    ("start: 2020-01-06", "start: 0001-01-01", "rotations[0].start: the year 1 is not between 1970 and 2999"),
    *(
        ("zone: Europe/Berlin}\npol", f"zone: Europe/Berlin, overrides: [{{person: lea, from: '{start}', until: '{until}'}}]}}\npol", told)
        for start, until, told in (
            ("2026-12-24T09:00", "9999-12-31T23:59", "overrides[0].until: the year 9999 is not between 1970 and 2999"),
            ("2026-2-24T9:00", "2026-12-31T23:59", "overrides[0].from: '2026-2-24T9:00' is no local time; write it as"),
        )
    ),
    ("- {after_minutes: 15", "- {after_minuts: 15", "unknown key 'after_minuts'; did you mean 'after_minutes'?"),
]


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "oncall.yaml").write_text(ONCALL)
    config = load_oncall(tmp_path / "oncall.yaml")
    assert [channel.type for channel in config.channels] == ["pagerduty", "slack", "email"]
    assert config.routes[-1].takes_all


def test_what_ships_tells_nobody_outside() -> None:
    config = load_oncall(PROJECT_ROOT / "include" / "oncall.yaml")
    assert (config.channels, config.routes) == ((), ())


@pytest.mark.parametrize(("old", "new", "told"), WRONG, ids=[told[:60] for _, _, told in WRONG])
def test_a_wrong_one_is_told_at_its_line_with_what_is_allowed(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert ONCALL.count(old) == 1
    (tmp_path / "oncall.yaml").write_text(ONCALL.replace(old, new))
    with pytest.raises(ConfigError) as error:
        load_oncall(tmp_path / "oncall.yaml")
    assert told in str(error.value)


def test_the_guide_s_example_is_sound(tmp_path: Path) -> None:
    guide = (PROJECT_ROOT / "docs" / "guides" / "on-call-routes.md").read_text()
    (tmp_path / "oncall.yaml").write_text(guide.partition("```yaml\n")[2].partition("```")[0])
    config = load_oncall(tmp_path / "oncall.yaml")
    assert {channel.type for channel in config.channels} == {"email", "slack", "pagerduty", "webhook"}
