"""Each public function that raises says so: pydoclint passes over short docstrings, and these must not hide an error."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT

SOURCES = ("include/evergreen", "plugins")
RAISES = re.compile(r":raises?\s+([\w.]+)\s*:")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(source: str, place: str) -> list[str]:
    """A message for each class that a public function or method raises by itself, and its docstring does not name."""
    tree = ast.parse(source)
    made = {node.name: ast.unparse(node.returns) for node in tree.body if isinstance(node, ast.FunctionDef) and node.returns}
    messages = []
    for scope in (tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))):
        class_doc = ast.get_docstring(scope) or "" if isinstance(scope, ast.ClassDef) else ""
        for function in scope.body:
            if not isinstance(function, Function) or (function.name.startswith("_") and function.name != "__init__"):
                continue
            doc = (ast.get_docstring(function) or "") + (class_doc if function.name == "__init__" else "")
            named = {name.rpartition(".")[2] for name in RAISES.findall(doc)}
            for line, name in raised(function):
                error = made.get(name, name)  # `raise _too_deep(line)` raises what that function returns
                if error.lstrip("_")[:1].isupper() and error not in named:  # else a variable: the error was made or caught elsewhere
                    messages.append(
                        f"{place}:{line}: {function.name} raises {error}; say when: add `:raises {error}: ...` to its docstring"
                    )
    return messages


def raised(function: Function) -> Iterator[tuple[int, str]]:
    """Line and name of what is raised by the function itself, and not by functions within it or by a bare `raise`."""
    pending: list[ast.AST] = [*function.body]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            yield node.lineno, ast.unparse(error).rpartition(".")[2]
        pending += ast.iter_child_nodes(node)


@pytest.mark.parametrize("folder", SOURCES)
def test_each_public_function_names_what_it_raises(folder: str) -> None:
    paths: list[Path] = sorted((PROJECT_ROOT / folder).rglob("*.py"))
    assert paths
    messages = [message for path in paths for message in undocumented(path.read_text(), str(path.relative_to(PROJECT_ROOT)))]
    assert not messages, "\n".join(messages)


def test_an_error_that_no_field_names_is_found_with_its_file_and_line() -> None:
    source = '''
def load(path):
    """Load it.

    :raises ConfigError: it is wrong
    """
    if not path:
        raise ConfigError("no path")
    if not path.exists():
        raise errors.DataError("gone")
    raise _unreadable(path)


def _unreadable(path) -> TransientError:
    return TransientError(path)
'''
    assert sorted(undocumented(source, "a.py")) == [
        "a.py:10: load raises DataError; say when: add `:raises DataError: ...` to its docstring",
        "a.py:11: load raises TransientError; say when: add `:raises TransientError: ...` to its docstring",
    ]


def test_what_is_passed_on_private_or_of_a_function_within_needs_no_field() -> None:
    source = '''
class Store:
    """It.

    :raises ConfigError: there is no such folder
    """

    def __init__(self):
        raise ConfigError

    def read(self):
        """Read."""
        def later():
            raise DataError
        try:
            return later
        except OSError as error:
            raise error
        except ValueError:
            raise

    def _hidden(self):
        raise DataError
'''
    assert undocumented(source, "a.py") == []
