"""Runs a team's own Python file (features.py, checks.py) from its text.

Not by the import system: its byte code tells files apart by whole seconds, and would serve yesterday's text.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from include.evergreen.foundation.errors import ConfigError

# A team's own code may raise anything, and it is their file that must be named. A task that `sys.exit()` ended would count as done.
TEAM_ERRORS = (Exception, SystemExit)
Modules = tuple[tuple[str, str], ...]  # name and text of each module that lies beside a team's file, by name
_numbers = itertools.count()


def modules_beside(folder: Path, *texts: str) -> Modules:
    """Find the modules in a folder that code imports, and those that they import in turn; in functions, too.

    :param folder: where the code lies
    :param *texts: Python sources; one that does not compile imports nothing, and says so when it is executed
    :returns: name and text of each, by name: what the code needs besides what is installed
    """
    found: dict[str, str] = {}
    left = list(texts)
    while left:
        for name in _imported(left.pop()) - found.keys():
            path = folder / f"{name}.py"
            if path.is_file():
                found[name] = path.read_text(encoding="utf-8")
                left.append(found[name])
    return tuple(sorted(found.items()))


def executed(text: str, place: str, beside: Modules = ()) -> ModuleType:
    """Execute a team's file as a module of its own, which nobody else has used, and which can be found under its name meanwhile.

    Dataclasses look their module up there. Annotations are text, as in this file: names in them need no import. Raises `ConfigError`,
    which names ``place``, when the text raises anything, or does not compile, and MemoryError when there is not enough memory for it.

    :param text: the Python source
    :param place: the file's name in tracebacks and errors
    :param beside: the modules beside it, which it and they find by their names before any that is installed; each execution has its own
    :returns: the module, with all names that the text defines
    """
    return _executed(text, place, _importer(dict(beside), place))


def _executed(text: str, place: str, importer: Callable[..., Any], keep: Callable[[ModuleType], None] = lambda module: None) -> ModuleType:
    module = ModuleType(f"evergreen_team_code_{next(_numbers)}")
    module.__file__ = place
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": importer}
    keep(module)
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, place, "exec"), module.__dict__)  # noqa: S102
    except MemoryError:  # the machine's
        raise
    except TEAM_ERRORS as error:
        raise ConfigError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        del sys.modules[module.__name__]
    return module


def _importer(texts: dict[str, str], place: str) -> Callable[..., Any]:
    """An ``__import__`` that looks among some modules' texts first. Nothing of it is in `sys.modules`, where two models could meet."""
    loaded: dict[str, ModuleType] = {}

    def find(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if level or name not in texts:
            return builtins.__import__(name, globals, locals, fromlist, level)
        if name not in loaded:
            try:  # a circle finds what there is of it so far, as in Python
                _executed(texts[name], f"{name}.py beside {place}", find, lambda module: loaded.update({name: module}))
            except BaseException:
                loaded.pop(name, None)
                raise
        return loaded[name]

    return find


def _imported(text: str) -> set[str]:
    """The names without dots that a text imports anywhere."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return set()
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name for name in whole if "." not in name} | {
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level and "." not in node.module
    }
