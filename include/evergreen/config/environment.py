"""Environment variables: `${NAME}` in a path or URL is replaced when the path is used, never when the YAML is read.

A DAG parse must not depend on a worker's environment. Only fields of type `ExpandedPath` are ever given to `expand`;
everywhere else `${X}` stays as it is written.
"""

from __future__ import annotations

import os
import re

from include.evergreen.config.wording import did_you_mean
from include.evergreen.foundation.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def expand(value: str, *, where: str) -> str:
    """``value`` with each ``${NAME}`` replaced by that environment variable, once: what it brings in is not expanded.

    :param value: a path or URL, as the YAML file has it
    :param where: what to blame in an error, such as ``include/datasets/weather/dataset.yaml: source.path``
    :returns: the path or URL to open
    :raises ConfigError: a variable is not set or empty, or a reference is malformed
    """
    problems = [_problem(name) for name in dict.fromkeys(_REFERENCE.findall(value)) if not _is_usable(name)]
    if "${" in _REFERENCE.sub("", value):
        problems.append("a '${' is never closed; write ${NAME}")
    if problems:
        raise ConfigError("\n".join(f"{where}: {value!r}: {problem}" for problem in problems))
    return _REFERENCE.sub(lambda reference: os.environ[reference[1]], value)


def _is_usable(name: str) -> bool:
    # An empty variable counts as unset: it would turn ${LANDING}/weather into /weather, at the root of the disk.
    return bool(_NAME.fullmatch(name) and os.environ.get(name))


def _problem(name: str) -> str:
    if not _NAME.fullmatch(name):
        return f"${{{name}}} does not name an environment variable; allowed: letters, digits and underscores"
    state = "is empty" if name in os.environ else "is not set"
    hint = did_you_mean(name, (variable for variable, setting in os.environ.items() if variable != name and setting))
    return f"environment variable {name} {state}; {hint}set it for this process (and for Airflow's workers)"
