from __future__ import annotations

import os
import pty
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.evergreen.cli import progress
from include.evergreen.cli.progress import PlainLines


def test_a_short_step_is_a_line_when_it_begins_and_one_when_it_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=iter([7.0, 7.0]).__next__))
    show = PlainLines()
    for done in (0, 1):
        show("train", done, 1)
    assert capsys.readouterr().err.splitlines() == ["train ...", "train: done (0.0 s)"]


def test_a_long_step_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 4.9, 5.0, 9.9, 10.0, 10.1])  # seconds
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=moments.__next__))
    show = PlainLines()
    for done in range(6):
        show("ingest", done, 5)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["ingest: 5 to do ...", "ingest: 2 of 5 (5.0 s)", "ingest: 4 of 5 (10.0 s)", "ingest: 5 of 5 (10.1 s)"]


def test_a_step_with_nothing_to_do_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    PlainLines()("ingest", 0, 0)
    assert capsys.readouterr().err == "ingest: nothing to do (0.0 s)\n"


def test_a_terminal_gets_a_live_display(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        code = "from include.evergreen.cli.progress import progress\nwith progress() as show:\n show('ingest', 0, 2); show('ingest', 2, 2)"
        os.execv(sys.executable, [sys.executable, "-c", code])
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:  # the terminal's other side is closed
        pass
    assert os.waitpid(pid, 0)[1] == 0
    assert b"ingest" in shown and b"2/2" in shown
