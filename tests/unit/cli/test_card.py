from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.promotion.cards.write import card_path
from include.evergreen.state import storage
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL


@pytest.mark.usefixtures("cycled")
def test_a_lost_card_is_written_again_and_a_copy_of_it_can_be_sent_to_somebody(ask: Ask, tmp_path: Path) -> None:
    path = card_path(MODEL, 1) or ""
    card = storage.read_bytes(path)
    storage.remove(path)
    answer = ask("card", MODEL, "1", "--output", str(tmp_path / "card.html"))
    assert answer.code == 0
    assert path in answer.out
    assert (tmp_path / "card.html").read_bytes() == storage.read_bytes(path) == card
    answer = ask("card", MODEL, "1", "--output", str(tmp_path / "no" / "such" / "folder.html"))
    assert answer.code == 2
    assert "cannot be written" in answer.err


@pytest.mark.usefixtures("cycled")
def test_a_version_that_is_not_registered_has_no_card(ask: Ask) -> None:
    answer = ask("card", MODEL, "9")
    assert answer.code == 2
    assert "has no version 9; registered: 1." in answer.err
