"""A team's own Python file (features.py, checks.py), run by its text.

Not by the import system: its byte code tells files apart by whole seconds, and would serve yesterday's text.
"""

from __future__ import annotations

from types import ModuleType

from include.evergreen.foundation.errors import ConfigError


def executed(text: str, place: str) -> ModuleType:
    """A module that nobody else has used. Raises `ConfigError`, which names ``place``, for whatever the text raises."""
    module = ModuleType("evergreen_team_code")
    module.__file__ = place
    try:
        exec(compile(text, place, "exec"), module.__dict__)  # noqa: S102
    except Exception as error:  # a team's own code may raise anything; it is their file that must be named
        raise ConfigError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    return module
