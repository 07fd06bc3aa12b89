"""The base class of all config classes: frozen, unknown keys refused; and what several of them take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.span import SPAN_PATTERN, Span, SpanUnit

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
LONGEST_WINDOW: Final = Span(3660, "day")  # ten years: a slip must not leave the calendar
LONGEST_WAIT: Final = Span(366, "day")  # for a label: a training goes back over as many partitions for each of its own
LONGEST_DRIFT_WINDOW: Final = Span(31, "day")
MOST_PARTITIONS: Final = 100_000
RECORDED: Final = {"recorded": True}
"""The context in which config classes read and write the documents that records keep: with the keys of before there were spans, so that
the digest of none of them changes."""


def _as_span(value: object) -> Span:
    if isinstance(value, Span):
        return value
    try:
        return Span.parse(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def no_longer_than(most: Span) -> AfterValidator:
    """Bound a key's span.

    :param most: the longest that it may be
    :returns: what the key's type is annotated with
    """

    def check(span: Span) -> Span:
        if (span.minutes or 0) > (most.minutes or 0) or span.amount > MOST_PARTITIONS:
            raise ValueError(f"{span} is too long; allowed: up to {most}, or {MOST_PARTITIONS} partitions")
        return span

    return AfterValidator(check)


def _is_some(span: Span) -> Span:
    if not span:
        raise ValueError(f"{span} is nothing; allowed: from 1 {span.unit} on")
    return span


_TEXT = PlainSerializer(str, return_type=str)  # at the end of each: it is asked for defaults, too
AnySpan = Annotated[
    Span,
    PlainValidator(_as_span),
    no_longer_than(LONGEST_WINDOW),
    WithJsonSchema({"type": "string", "format": "span", "pattern": SPAN_PATTERN}),
    _TEXT,
]
SomeSpan = Annotated[AnySpan, AfterValidator(_is_some), _TEXT]
Wait = Annotated[AnySpan, no_longer_than(LONGEST_WAIT), _TEXT]
SomeWait = Annotated[SomeSpan, no_longer_than(LONGEST_WAIT), _TEXT]
DriftWindow = Annotated[SomeSpan, no_longer_than(LONGEST_DRIFT_WINDOW), _TEXT]


class Strict(BaseModel):
    """Base of every config class: frozen; unknown keys, infinities and NaN are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True)


class Spanned(Strict):
    """Base of config classes with spans: an earlier release had them under other keys, as numbers of one unit.

    ``OLDER_KEYS``: such a key -> its key of now, and its unit. It is refused in a file, and read and written in a record (`RECORDED`).
    """

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {}

    @classmethod
    def as_now(cls, key: str, number: float) -> tuple[str, Span]:
        """Say an older key's number as it is said now.

        :param key: one of ``OLDER_KEYS``
        :param number: what it was, in the key's unit
        :returns: the key of now, and the span
        """
        name, unit = cls.OLDER_KEYS[key]
        if number == int(number):
            return name, Span(int(number), unit)
        return name, Span(round(number * 1440), "minute")  # a half-life, in days

    @model_validator(mode="before")
    @classmethod
    def _read_as_recorded(cls, data: Any, info: ValidationInfo) -> Any:
        if info.context != RECORDED or not isinstance(data, dict):
            return data
        read = {name: value for name, value in data.items() if name not in cls.OLDER_KEYS}
        for key in cls.OLDER_KEYS.keys() & data.keys():
            name, span = cls.as_now(key, data[key])
            before = read.get(name)  # a lag was in days, in hours, or in both
            read[name] = span if before is None else Span(((before.minutes or 0) + (span.minutes or 0)) // 60, "hour")
        return read

    @model_serializer(mode="wrap")
    def _write_as_recorded(self, write: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        if info.context != RECORDED:
            return written
        for key, (name, unit) in self.OLDER_KEYS.items():
            if name in written and written[name] is not None and (span := Span.parse(written[name])).unit == unit:
                del written[name]
                written[key] = self._recorded_number(key, span)
        return written

    def _recorded_number(self, key: str, span: Span) -> float:
        return span.amount


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
