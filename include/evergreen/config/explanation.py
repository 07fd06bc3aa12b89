"""Turns pydantic's errors into messages in terms of the YAML file.

The model classes tell which keys and values are allowed, and which parts of pydantic's locations are its own tags.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from include.evergreen.config.base import Spanned
from include.evergreen.config.document import Document, Key, Problem
from include.evergreen.config.wording import did_you_mean, listed, shown

_MUST_BE = {
    "string_type": "must be text (in quotes, if it looks like something else)",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "date_type": "must be a date such as 2013-01-31",
    "date_parsing": "must be a date such as 2013-01-31",
    "date_from_datetime_parsing": "must be a date such as 2013-01-31",
    "date_from_datetime_inexact": "must be a date such as 2013-01-31",
}


def explain(error: ValidationError, model: type[BaseModel], document: Document) -> list[Problem]:
    """Say what pydantic refused in the words of the file's author.

    :param error: what the validation of ``document.data`` raised
    :param model: the class that the data was to become
    :param document: the file as it was read, for the lines
    :returns: one problem for each of pydantic's errors but those that only repeat others, at the key and line of the file
    """
    return [_explain(detail, model, document) for detail in error.errors(include_url=False) if not _is_echo(detail)]


def dotted(key: Key) -> str:
    """Write a key as messages do.

    :param key: where a value lies, from the top of the file
    :returns: such as ``gate.criteria[0].metric``; empty for the top of the file
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def _is_echo(error: ErrorDetails) -> bool:
    """pydantic calls a list of nothing but bad items too short, on top of the items' own errors."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _explain(error: ErrorDetails, model: type[BaseModel], document: Document) -> Problem:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    key, annotation = _place(model, error["loc"])
    if kind in ("missing", "extra_forbidden"):
        _, parent = _place(model, error["loc"][:-1])
        text = _missing(parent, key[-1]) if kind == "missing" else _older_key(parent, key[-1], value) or _unknown_key(parent, key[-1])
        return Problem(key, document.line(key), text)
    if kind == "at_key":
        key = (*key, *context["key"].split("."))
        return Problem(key, document.line(key), context["text"])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _tag_problem(key, annotation, value, document)
    if kind == "invalid_key" or error["loc"][-1:] == ("[key]",):
        return Problem(key[:-1], document.line(key), f"key {shown(value)} must be text; put it in quotes")
    return Problem(key, document.line(key), _bad_value(kind, value, annotation, error))


def _bad_value(kind: str, value: Any, annotation: Any, error: ErrorDetails) -> str:
    if kind == "literal_error":
        return _not_one_of(value, get_args(annotation))
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    if kind in ("model_type", "model_attributes_type"):
        return f"must be a mapping of keys to values, got {shown(value)}; allowed: {listed(_list_keys(annotation))}"
    if kind == "too_short":
        return f"must have at least {error['ctx']['min_length']} item(s), got {error['ctx']['actual_length']}"
    text = error["msg"].replace("Input should", "must").replace("String should", "must")
    return f"{_MUST_BE.get(kind, text)}, got {shown(value)}"


def _missing(parent: Any, name: Any) -> str:
    description = _fields(parent)[name].description
    meaning = f" ({description.rstrip('.')})" if description else ""
    return f"missing required key {name!r}{meaning}; add it"


def _older_key(parent: Any, name: Any, value: Any) -> str:
    """What a key of an earlier release is now; empty for any other."""
    if not (isinstance(parent, type) and issubclass(parent, Spanned)) or name not in parent.OLDER_KEYS:
        return ""
    now, unit = parent.OLDER_KEYS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return f"is now {now}, a length such as 60 days; write `{now}: 60 {unit}s`, with your number"
    return f"is now {now}: write `{now}: {parent.as_now(name, value)[1]}`"


def _unknown_key(parent: Any, name: Any) -> str:
    allowed = _list_keys(parent)
    return f"unknown key {name!r}; {did_you_mean(name, allowed)}allowed: {', '.join(allowed)}"


def _not_one_of(value: Any, allowed: tuple[Any, ...]) -> str:
    hint = did_you_mean(value, allowed) if isinstance(value, str) else ""
    return f"{shown(value)} is not allowed; {hint}allowed: {', '.join(map(str, allowed))}"


def _tag_problem(key: Key, annotation: Any, value: Any, document: Document) -> Problem:
    """The key that says which of several forms a mapping has is wrong or not there."""
    name, members = _union(annotation)
    key = (*key, name)
    if name not in value:
        text = f"missing required key {name!r}; allowed values: {', '.join(members)}"
    else:
        text = _not_one_of(value[name], tuple(members))
    return Problem(key, document.line(key), text)


def _place(model: type[BaseModel], location: Key) -> tuple[Key, Any]:
    """The key as the file has it (without pydantic's tags of unions), and what may stand there."""
    key: list[Any] = []
    at: Any = model
    for part in location:
        _, members = _union(at)
        if members:
            at = members[part]
        elif part != "[key]":
            key.append(part)
            at = _step(at, part)
    return tuple(key), at


def _step(at: Any, part: Any) -> Any:
    if isinstance(at, type) and issubclass(at, BaseModel):
        field = _fields(at).get(part)
        if field is None:
            return None
        return Annotated[field.annotation, field] if field.discriminator else _without_none(field.annotation)
    return _without_none(get_args(at)[0]) if get_origin(at) is tuple else None


def _union(annotation: Any) -> tuple[str, dict[str, type[BaseModel]]]:
    """The key that tells a union's classes apart, and each class by that key's value; empty for anything else."""
    if get_origin(annotation) is not Annotated:
        return "", {}
    union, *metadata = get_args(annotation)
    for info in metadata:
        if isinstance(info, FieldInfo) and isinstance(info.discriminator, str):
            name = info.discriminator
            return name, {tag: member for member in get_args(union) for tag in get_args(member.model_fields[name].annotation)}
    return "", {}


def _without_none(annotation: Any) -> Any:
    """``X`` of ``X | None``; Literals and everything else unchanged."""
    if get_origin(annotation) in (Annotated, Literal, tuple, dict, None):
        return annotation
    return next((member for member in get_args(annotation) if member is not type(None)), annotation)


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a mapping as the file has them; one that Python has a word for bears another name in the class."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _list_keys(annotation: Any) -> list[str]:
    name, members = _union(annotation)
    if members:
        return [name]
    return list(_fields(annotation)) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
