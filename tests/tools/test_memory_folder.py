import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import memory_folder
from tools.memory_folder import PREFIX


@pytest.fixture(autouse=True)
def shared_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_folder, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(memory_folder, "NEEDED_BYTES", 1)
    return tmp_path


def test_processes_put_their_temporary_files_into_memory_and_none_is_left(shared_memory):
    with memory_folder.memory_folder() as environment:
        code = "import tempfile; print(tempfile.mkdtemp())"
        made = Path(subprocess.check_output([sys.executable, "-c", code], env={**os.environ, **environment}, text=True).strip())
        assert made.is_dir()
        assert shared_memory in made.parents
    assert list(shared_memory.iterdir()) == []


def test_where_there_is_too_little_memory_all_stays_as_it_is(shared_memory, monkeypatch):
    monkeypatch.setattr(memory_folder, "NEEDED_BYTES", 1 << 60)
    with memory_folder.memory_folder() as environment:
        assert environment == {}
        assert list(shared_memory.iterdir()) == []


def test_where_there_is_no_such_folder_all_stays_as_it_is(shared_memory, monkeypatch):
    monkeypatch.setattr(memory_folder, "SHARED_MEMORY", shared_memory / "none")
    with memory_folder.memory_folder() as environment:
        assert environment == {}


def test_what_a_killed_run_left_is_removed_and_nothing_of_one_that_runs_or_of_others(shared_memory):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, running, others = (shared_memory / name for name in (f"{PREFIX}{ended.pid}-abc", f"{PREFIX}{os.getpid()}-abc", "others"))
    for folder in (left, running, others):
        (folder / "deep").mkdir(parents=True)
    with memory_folder.memory_folder():
        assert not left.exists()
    assert running.is_dir()
    assert others.is_dir()
