from __future__ import annotations

import os
import pty
import sys
import time
from pathlib import Path

import pytest

from include.evergreen.cli import progress
from include.evergreen.cli.progress import PlainLines


def test_a_short_step_is_a_line_when_it_begins_and_one_when_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    show = PlainLines()
    for done in (0, 1):
        show("train", done, 1)
    assert capsys.readouterr().err.splitlines() == ["train ...", "train: done (0.0 s)"]


def test_a_long_step_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
    show = PlainLines()
    for done in range(5):
        if done == 2:
            time.sleep(0.06)
        show("ingest", done, 4)
    lines = [line.split(" (")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["ingest: 4 to do ...", "ingest: 2 of 4", "ingest: 4 of 4"]


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
