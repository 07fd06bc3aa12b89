"""The core's plan is what its page says: few floors, no circle, no import that runs back up, and a picture that is up to date."""

import pytest

from tools.architecture import PICTURE, ROOT, floors, halls, main, picture

MOST_FLOORS = 10
PAGE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.fixture(scope="module")
def core():
    return halls()


def test_the_core_has_few_floors_and_no_circle(core):
    assert max(floors({name: hall.imports for name, hall in core.items()}).values()) <= MOST_FLOORS


def test_a_circle_is_named():
    with pytest.raises(ValueError, match=r"circle of imports: (a -> b -> a|b -> a -> b)"):
        floors({"a": {"b"}, "b": {"a"}})


def test_the_picture_is_up_to_date():
    assert main(["--check"]) == 0


def test_a_picture_that_is_out_of_date_is_noticed_and_drawn_again(tmp_path, capsys):
    stale = tmp_path / "picture.svg"
    stale.write_text("of yesterday")
    assert main(["--check"], stale) == 1
    assert "picture.svg is out of date; run python -m tools.architecture" in capsys.readouterr().err
    assert main([], stale) == 0
    assert stale.read_text() == PICTURE.read_text()


def test_the_picture_names_every_hall_with_what_may_live_there_and_what_does(core):
    drawn = " ".join(picture(core).split())
    for hall in core.values():
        assert f">{hall.name}</text>" in drawn
        assert all(room in drawn for room in hall.rooms)


def test_the_page_says_of_every_hall_what_may_live_there(core):
    listed = [line for line in PAGE.splitlines() if line.startswith("| **")]
    assert sorted(listed) == sorted(f"| **{hall.name}** | {hall.sentence} |" for hall in core.values())
