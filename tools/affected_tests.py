"""Select the test files that a change is most likely to break: those that import it, nearest first, within a time budget."""

from __future__ import annotations

import ast
import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MIRRORED = {
    "include/evergreen": "tests/unit",
    "plugins/evergreen_airflow": "tests/plugins",
    "tools": "tests/tools",
    "benchmarks": "tests/benchmarks",
}
CODE = (*MIRRORED, "tests")
ALWAYS = ("tests/test_project.py",)
DATA = {  # dependencies that no import shows
    "include/datasets/": ("tests/models/", "tests/unit/config/"),
    "include/models/": ("tests/models/", "tests/unit/config/"),
    "dags/": ("tests/plugins/test_dags.py",),
    "plugins/evergreen_plugin.py": ("tests/plugins/test_plugin_loading.py",),
    "plugins/evergreen_airflow/ui/templates/": ("tests/plugins/ui/",),
    "docs/": ("tests/test_guides.py", "tests/test_command.py"),
    "README.md": ("tests/test_guides.py", "tests/test_command.py", "tests/unit/test_readme.py"),
    "CONTRIBUTING.md": ("tests/test_guides.py", "tests/test_command.py"),
    "CHANGELOG.md": ("tests/test_guides.py", "tests/test_command.py"),
    "pyproject.toml": ("tests/test_command.py",),
    "Makefile": ("tests/test_command.py",),
    "Dockerfile": ("tests/test_command.py",),
}
SECONDS = ROOT / "tests" / "seconds.json"
UNMEASURED_SECONDS = 2.0


@dataclass(frozen=True)
class Affected:
    """The selected test files: ``chosen`` fit into the budget, nearest first; ``left`` are affected too, but did not fit.

    Paths are relative to the root. ``seconds`` is the expected processor time of the chosen files.
    """

    chosen: tuple[str, ...]
    left: tuple[str, ...]
    seconds: float


def affected(changed: Iterable[str], budget_seconds: float, root: Path = ROOT) -> Affected:
    """Return the test files for the changed paths that fit into ``budget_seconds`` of processor time."""
    measured: dict[str, float] = json.loads(SECONDS.read_text(encoding="utf-8"))
    chosen: list[str] = []
    left: list[str] = []
    total = 0.0
    for file in _nearest_first(set(changed), root, measured):
        needed = measured.get(file.removeprefix("tests/"), UNMEASURED_SECONDS)
        if total + needed > budget_seconds and chosen:
            left.append(file)
            continue
        chosen.append(file)
        total += needed
    return Affected(tuple(chosen), tuple(left), total)


def _nearest_first(changed: set[str], root: Path, measured: dict[str, float]) -> list[str]:
    importers = _importers(root)
    distance = dict.fromkeys(changed, 0)
    waiting = deque(changed)
    while waiting:
        file = waiting.popleft()
        for importer in importers.get(file, ()):
            if importer not in distance:
                distance[importer] = distance[file] + 1
                waiting.append(importer)
    tests = {file: steps for file, steps in distance.items() if _is_test(file) and (root / file).exists()}
    tests.update(dict.fromkeys(_mirrors(changed, root), 0))
    for path in changed:
        for start, shown_by in DATA.items():
            if path.startswith(start):
                tests.update(dict.fromkeys(_below(root, shown_by), 0))
    tests.update(dict.fromkeys([file for file in ALWAYS if (root / file).exists()], 0))
    return sorted(tests, key=lambda file: (tests[file], measured.get(file.removeprefix("tests/"), UNMEASURED_SECONDS), file))


def _mirrors(changed: Iterable[str], root: Path) -> Iterator[str]:
    """Yield the tests of each changed module, or those of its folder if it has none of its own."""
    for path in map(Path, changed):
        for code, tests in MIRRORED.items():
            if path.is_relative_to(code):
                mirror = Path(tests) / path.relative_to(code).with_name(f"test_{path.name}")
                beside = [str(file.relative_to(root)) for file in (root / mirror.parent).glob("test_*.py")]
                yield from [str(mirror)] if str(mirror) in beside else beside if mirror.parent != Path(tests) else []


def _below(root: Path, starts: Iterable[str]) -> Iterator[str]:
    for start in starts:
        path = root / start
        yield from (str(file.relative_to(root)) for file in (path.rglob("test_*.py") if path.is_dir() else [path]) if file.exists())


def _is_test(file: str) -> bool:
    return file.startswith("tests/") and Path(file).name.startswith("test_")


@cache
def _importers(root: Path) -> dict[str, set[str]]:
    """Map each of our files to the files that import it, at module level or inside a function."""
    files = {_module(file, root): str(file.relative_to(root)) for folder in CODE for file in (root / folder).rglob("*.py")}
    importers: dict[str, set[str]] = {}
    for file in files.values():
        for name in _imported(root / file):
            if name in files:
                importers.setdefault(files[name], set()).add(file)
    for conftest in [
        file for file in files.values() if file.endswith("conftest.py")
    ]:  # pytest imports it for the tests in and below its folder
        for file in files.values():
            if _is_test(file) and Path(file).is_relative_to(Path(conftest).parent):
                importers.setdefault(conftest, set()).add(file)
    return importers


def _module(file: Path, root: Path) -> str:
    parts = file.relative_to(root / "plugins" if file.is_relative_to(root / "plugins") else root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
