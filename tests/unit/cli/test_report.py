from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.monitoring import find_report, monitor, read_report
from include.evergreen.scoring.score import score
from include.evergreen.state import storage
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL, day


@pytest.mark.usefixtures("cycled")
def test_a_report_is_drawn_its_place_is_told_and_a_copy_opens_in_a_browser(ask: Ask, tmp_path: Path) -> None:
    catalog = Catalog()
    score(catalog, catalog.model(MODEL), day(20), "live")
    monitor(catalog, catalog.model(MODEL), day(20), "live")
    answer = ask("report", MODEL, "2013-01-20", "--output", str(tmp_path / "report.html"))
    assert answer.code == 0
    path = find_report(MODEL, day(20))
    assert path is not None
    assert answer.out.startswith(f"{MODEL} 2013-01-20: {path} in the storage")
    assert (tmp_path / "report.html").read_bytes() == read_report(path)
    before = storage.find(path)
    assert ask("report", MODEL, "2013-01-20").out == f"{MODEL} 2013-01-20: {path} in the storage\n"
    assert storage.find(path) == before
    answer = ask("report", MODEL, "2013-01-20", "--output", str(tmp_path / "no" / "such" / "folder.html"))
    assert answer.code == 2
    assert "cannot be written" in answer.err


@pytest.mark.usefixtures("cycled")
def test_a_day_that_was_not_monitored_has_no_report(ask: Ask) -> None:
    answer = ask("report", MODEL, "2013-03-01")
    assert answer.code == 3
    assert f"{MODEL} was not monitored for 2013-03-01" in answer.err
