"""The base class of all config classes: frozen, unknown keys refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,59}$",
        description="Lower-case letters, digits and underscores; starts with a letter.",
    ),
]
ExpandedPath = Annotated[
    str,
    Field(
        description="A path or URL. `${NAME}` is replaced by the environment variable NAME.",
        json_schema_extra={"expands": True},
    ),
]
OnFail = Literal["error", "quarantine", "warn"]


class Strict(BaseModel):
    """Base of every config class: frozen; unknown keys, infinities and NaN are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True)


def problem_at(key: str, text: str) -> PydanticCustomError:
    """Lay a problem that a check of several keys found at one of them, so that the loader can name its line.

    :param key: below the checked class, with dots between the parts of a longer one: ``early_stop.days``
    :param text: what is wrong and what to do, to be read after the key; no full stop
    :returns: the error, for the validator to raise
    """
    return PydanticCustomError("at_key", "{text}", {"text": text, "key": key})


def repeated_names(names: list[str]) -> str:
    """List the names that are given more than once.

    :param names: in any order
    :returns: each of them once, sorted, with commas between them; empty when all differ
    """
    return ", ".join(sorted({name for name in names if names.count(name) > 1}))
