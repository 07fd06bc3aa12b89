"""The command `evergreen`: `make setup` and the image install it, and every text that tells its reader to run it tells the truth."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.cli.main import parser

BIN = Path(sys.executable).parent
KINDS = (".py", ".md", ".html", ".j2", ".template")
READ = ("*.md", "docs/**/*.md", *(f"{code}/**/*{kind}" for code in ("include", "plugins", "tools") for kind in KINDS))
TEXTS = sorted({path for pattern in READ for path in PROJECT_ROOT.glob(pattern)})
IN_PROSE = re.compile(r"(?:`|<code>)(?:\.venv/bin/)?evergreen ([a-z][^`<]*)(?:`|</code>)")
IN_BLOCKS = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?evergreen ([a-z].*)$", re.MULTILINE)
AS_A_MODULE = re.compile(r"python -m include\.evergreen(?!\.)")
ABOUT_PROCESSES = (  # they say what is started, or why there are two ways; all others say what to type
    "include/evergreen/__main__.py",
    "plugins/evergreen_airflow/operators/containers.py",
    "docs/decisions/the-command.md",
    "CHANGELOG.md",
)


def commands_in(path: Path) -> Iterator[str]:
    text = path.read_text()
    yield from IN_PROSE.findall(text)
    if path.suffix == ".md":
        yield from IN_BLOCKS.findall(text)


def outside() -> dict[str, str]:
    """The environment of a shell that knows nothing of this project, nor of the `make test` that runs us."""
    ours = ("PYTHONPATH", "EVERGREEN_", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def test_it_runs_from_any_folder_even_one_that_has_a_package_of_the_core_s_name(tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "__init__.py").touch()
    done = subprocess.run([BIN / "evergreen", "check"], cwd=tmp_path, env=outside(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("are sound.\n")


def test_setup_installs_what_has_changed_and_the_command_again_where_the_clone_was_moved(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    (clone / ".venv").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(PROJECT_ROOT / name, clone)
    (clone / ".venv" / ".installed").touch()
    (clone / ".venv" / ".ready").write_text(f"{clone}\n")
    prepare, landing_zone = setup_of(clone)
    assert prepare == [".venv/bin/evergreen", "prepare"]
    assert landing_zone[:3] == [".venv/bin/python", "-m", "tools.landing_zone"]

    moved = clone.rename(tmp_path / "moved")
    activate, install, *_ = setup_of(moved)
    assert activate == [".venv/bin/python", "-m", "venv", "--without-pip", ".venv"]
    assert (install[:3], install[-2:]) == ([".venv/bin/uv", "pip", "install"], ["--editable", "."])
    (moved / ".venv" / ".ready").write_text(f"{moved}\n")
    assert setup_of(moved)[0] == prepare


def test_what_the_image_copies_is_enough_to_install_it(tmp_path: Path) -> None:
    dockerfile = (PROJECT_ROOT / "Dockerfile").read_text()
    for *sources, target in (line.split() for line in re.findall(r"^COPY (?:--chown=\w+ )?(.*)", dockerfile, re.MULTILINE)):
        for source in map(PROJECT_ROOT.joinpath, sources):
            place = tmp_path / target / ("" if source.is_dir() else source.name)
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__")) if source.is_dir() else shutil.copy(source, place)
    [install] = [line for line in re.findall(r"^RUN (uv .*)", dockerfile, re.MULTILINE) if "--editable ." in line]
    program, *arguments = shlex.split(install.replace("--system", f"--python {shlex.quote(sys.executable)} --prefix installed"))
    subprocess.run([BIN / program, *arguments], cwd=tmp_path, env=outside(), capture_output=True, check=True)
    command = [tmp_path / "installed" / "bin" / "evergreen", "check"]
    environment = {**outside(), "PYTHONPATH": f"{tmp_path}:{tmp_path / 'plugins'}"}  # as the image has it
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("are sound.\n")


def test_every_text_calls_it_by_its_name() -> None:
    assert [str(path) for path in TEXTS if AS_A_MODULE.search(path.read_text()) and not str(path).endswith(ABOUT_PROCESSES)] == []


@pytest.mark.parametrize("text", [str(path.relative_to(PROJECT_ROOT)) for path in TEXTS if next(commands_in(path), None)])
def test_every_command_in_a_text_is_one_that_it_has(text: str) -> None:
    assert [f"{command}: {fault}" for command in commands_in(PROJECT_ROOT / text) if (fault := fault_of(command))] == []


def setup_of(clone: Path) -> list[list[str]]:
    """The commands that `make setup` would give there."""
    command = ["make", "-n", "--no-print-directory", "setup"]
    recipe = subprocess.run(command, cwd=clone, env=outside(), capture_output=True, text=True, check=True).stdout
    return [shlex.split(line) for line in recipe.splitlines()]


def fault_of(command: str) -> str | None:
    """What the command line would not know: a verb or an option. Values may be placeholders, so they are not read."""
    level = parser()
    for word in shlex.split(command, comments=True):
        verbs = next((action for action in level._actions if isinstance(action, argparse._SubParsersAction)), None)
        if verbs is not None and not word.startswith("-"):
            if word not in verbs.choices:
                return f"no verb {word}"
            level = verbs.choices[word]
        elif word.startswith("--") and word.partition("=")[0] not in level._option_string_actions:
            return f"no option {word}"
    return None
