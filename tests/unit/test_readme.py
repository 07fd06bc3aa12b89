"""The README's opening, followed to the letter: from daily CSV files to a champion and its card."""

from __future__ import annotations

import contextlib
import html
import io
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.cli import main
from include.evergreen.config import Catalog
from include.evergreen.registry.champions import champion
from include.evergreen.testkit import CHECKS, examine
from tests.documents import commands, files, section
from tests.unit.flights import at_home

OPENING = section((PROJECT_ROOT / "README.md").read_text(), "Your own model")
GUIDE = (PROJECT_ROOT / "docs/guides/your-own-model.md").read_text()
MODEL = "delivery_minutes"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a project that was set up, with the CSV files that the guide's steps 1 and 2 generate."""
    monkeypatch.chdir(tmp_path)
    Path("include").mkdir()
    with at_home(tmp_path / "var"):
        monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "include"))
        evergreen("prepare")  # what `make setup` does: see test_project
        for step in (section(GUIDE, "1."), section(GUIDE, "2.")):
            [(script, text)] = files(step)
            assert commands(step) == [["python", script]]
            save(script, text)
            runpy.run_path(script)
        yield tmp_path


def test_it_leads_from_csv_files_to_a_champion_and_its_card(project: Path) -> None:
    setup, activate, *rest = commands(OPENING)
    assert (setup, activate) == (["make", "setup"], ["source", ".venv/bin/activate"])
    assert {program for program, *_ in rest} == {"evergreen"}
    verbs = [arguments for _, *arguments in rest]
    assert [verb for verb, *_ in verbs] == ["new-dataset", "new-dataset", "check", "run", "card"]

    for arguments in verbs[:2]:
        evergreen(*arguments)
    for place, text in files(OPENING):
        save(place, text)
    checked, ran, carded = (evergreen(*arguments) for arguments in verbs[2:])

    as_of = str(verbs[3][verbs[3].index("--as-of") + 1])
    assert checked == "2 datasets and 1 model are sound.\n"
    assert ran.startswith(f"{MODEL} as of {as_of}: version 1 (1.0.0) as of {as_of} is champion.\n")
    serving = champion(MODEL)
    assert serving is not None
    assert (serving.version, serving.as_of) == (1, as_of)
    assert "copied to card.html" in carded
    page = html.unescape((project / "card.html").read_text())
    for promised in (Catalog().model(MODEL).description, "mae", "minutes_7d", f"evergreen reproduce {MODEL} 1"):
        assert promised in page
    assert [finding for check in CHECKS for finding in examine(Catalog(), MODEL, check)] == []


def save(place: str, text: str) -> None:
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).write_text(text)


def evergreen(*arguments: str) -> str:
    """What the command prints. It runs in this process, which has the libraries already."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(arguments) == 0, f"evergreen {' '.join(arguments)}: {printed.getvalue()}"
    return printed.getvalue()
