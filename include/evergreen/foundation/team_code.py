"""Runs a team's own Python file (features.py, checks.py) from its text.

Not by the import system: its byte code tells files apart by whole seconds, and would serve yesterday's text.
"""

from __future__ import annotations

import itertools
import sys
from types import ModuleType

from include.evergreen.foundation.errors import ConfigError

# A team's own code may raise anything, and it is their file that must be named. A task that `sys.exit()` ended would count as done.
TEAM_ERRORS = (Exception, SystemExit)
_numbers = itertools.count()


def executed(text: str, place: str) -> ModuleType:
    """Execute a team's file as a module of its own, which nobody else has used, and which can be found under its name meanwhile.

    Dataclasses look their module up there. Annotations are text, as in this file: names in them need no import.

    :param text: the Python source
    :param place: the file's name in tracebacks and errors
    :returns: the module, with all names that the text defines
    :raises ConfigError: the text raises anything, or does not compile; names ``place``
    :raises MemoryError: there is not enough memory for it
    """
    module = ModuleType(f"evergreen_team_code_{next(_numbers)}")
    module.__file__ = place
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
