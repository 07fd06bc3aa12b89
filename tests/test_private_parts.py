"""docs/decisions/private-parts.md lists what we use of others that is not public, and nothing else."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "decisions" / "private-parts.md"
CODE = sorted(file for folder in ("include/evergreen", "plugins", "dags") for file in (PROJECT_ROOT / folder).rglob("*.py"))
LIBRARIES = ("airflow", "mlflow", "great_expectations", "evidently", "skops")
PUBLIC = {  # what their documentation calls so, and what whoever catches their errors must name
    "airflow.sdk", "airflow.sdk.exceptions", "airflow.plugins_manager", "airflow.triggers.base",
    "airflow.providers.standard.operators.hitl", "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.common.sql.hooks.sql",
    "mlflow", "mlflow.artifacts", "mlflow.entities", "mlflow.exceptions", "mlflow.models", "mlflow.sklearn",
    "great_expectations.exceptions", "great_expectations.expectations.expectation",
    "evidently", "evidently.metrics", "skops.io", "skops.io.exceptions",
}  # fmt: skip
DOCUMENTED = {"_asdict", "_fields", "_replace", "_exit", "_SubParsersAction"}  # namedtuple's, os's; argparse's is for annotations


@functools.cache
def trees() -> list[tuple[Path, ast.Module]]:
    return [(file, ast.parse(file.read_text())) for file in CODE]


@functools.cache
def own_names() -> set[str]:
    """Whatever our code defines: functions, classes, variables, and attributes of ``self``."""
    names: set[str] = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    names.add(name)
                case ast.Name(id=name, ctx=ast.Store()) | ast.AnnAssign(target=ast.Name(id=name)):
                    names.add(name)
                case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                    names.add(name)
    return names


def private_names() -> Iterator[tuple[str, str]]:
    """Underscored names that are not ours, as attributes, by `getattr` and its like, and in imports; each with its place."""
    for file, tree in trees():
        for node in ast.walk(tree):
            match node:
                case (
                    ast.Attribute(attr=name)
                    | ast.Call(func=ast.Name(id="getattr" | "setattr" | "hasattr"), args=[_, ast.Constant(value=name), *_])
                ):
                    names = [name]
                case ast.ImportFrom(module=str(module)):
                    names = [*module.split("."), *(alias.name for alias in node.names)]
                case _:
                    continue
            for name in names:
                if re.fullmatch(r"_[A-Za-z]\w*", name) and name not in own_names() | DOCUMENTED:
                    yield name, f"{file.relative_to(PROJECT_ROOT)}:{node.lineno}"


def imports() -> Iterator[tuple[str, str]]:
    """Modules of the libraries that are imported; each with its place."""
    for file, tree in trees():
        for node in ast.walk(tree):
            match node:
                case ast.ImportFrom(module=str(module)):
                    modules = [module]
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case _:
                    continue
            for module in modules:
                if module.split(".")[0] in LIBRARIES:
                    yield module, f"{file.relative_to(PROJECT_ROOT)}:{node.lineno}"


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def listed() -> set[str]:
    """Every word in code type of the first column, and its parts: ``a.b._c`` lists ``_c`` too."""
    words = {word for part, *_ in rows() for word in re.findall(r"`([^`]+)`", part)}
    return words | {part for word in words for part in re.findall(r"\w+", word)}


def test_every_underscored_name_of_others_is_listed() -> None:
    assert {name: place for name, place in private_names() if name not in listed()} == {}


def test_every_module_of_a_library_that_is_not_public_is_listed() -> None:
    assert {module: place for module, place in imports() if module not in PUBLIC | listed()} == {}


def test_what_a_module_puts_into_another_is_listed() -> None:
    """An assignment to an attribute of something imported changes it for everybody in the process."""
    changed = {}
    for file, tree in trees():
        imported = {
            alias.asname or alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            or (isinstance(node, ast.ImportFrom) and not str(node.module).startswith(("include", "evergreen")))
            for alias in node.names
        }
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id=owner), attr=name, ctx=ast.Store()) if owner in imported:
                    changed[f"{owner}.{name}"] = str(file.relative_to(PROJECT_ROOT))
    assert {name: file for name, file in changed.items() if name.split(".")[1] not in listed()} == {
        "sys.unraisablehook": "include/evergreen/cli/main.py",  # documented, and the command's own process
        "sys.excepthook": "include/evergreen/cli/main.py",  # likewise
    }


def test_everything_listed_is_still_used() -> None:
    used = "\n".join(file.read_text() for file in CODE)
    for part, *_ in rows():
        for word in re.findall(r"`([^`]+)`", part):
            for name in (word, *re.findall(r'"(\w+)"', word)) if "[" not in word else re.findall(r'"(\w+)"', word):
                assert name in used or name.rsplit(".", 1)[-1] in used, f"{name} is listed and no longer used"


@pytest.mark.parametrize("row", rows(), ids=lambda row: re.sub(r"\W+", "-", row[0])[:50])
def test_a_line_of_the_page_names_a_test_that_is_there(row: list[str]) -> None:
    assert len(row) == 5
    names = re.findall(r"`(tests/[^`]+)`", row[4])
    assert names
    for name in names:
        file, _, test = name.partition("::")
        text = (PROJECT_ROOT / file).read_text()
        assert not test or f"def {test}(" in text
