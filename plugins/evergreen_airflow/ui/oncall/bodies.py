"""What is sent to the API: JSON alone, since a form of another site can send no JSON, and of a bounded size; and how it refuses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

from include.evergreen.foundation.reasons import LENGTHS, LONGEST_ACTOR
from include.evergreen.state.alerts.acts import LONGEST_COMMENT

LARGEST = 64 * 1024  # bytes
Sent = TypeVar("Sent", bound=BaseModel)


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a character NUL, which no database stores as text")
    return text


def _in_utc(time: dt.datetime) -> dt.datetime:
    try:
        return time.astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError("a time beyond the years 1 to 9999 in UTC") from error


Text = Annotated[str, AfterValidator(_without_nul)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Act(BaseModel):
    """An act on what somebody saw."""

    model_config = ConfigDict(extra="forbid")

    revision: int = Field(ge=1, le=2**31 - 1, description="The alert's revision that you saw. If it has changed since: 409.")


class Snooze(Act):
    """Put an alert aside."""

    until: Moment = Field(description="When it fires again, with a time zone, within seven days.")


class Assign(Act):
    """Give an alert to somebody."""

    to: Text = Field(min_length=1, max_length=LONGEST_ACTOR, description="The name of a user of Airflow.")


class Resolve(Act):
    """Resolve an alert."""

    reason: Text = Field(min_length=LENGTHS[0], max_length=LENGTHS[1], description="What was done, for the ledger.")


class Comment(BaseModel):
    """Add to an alert's timeline."""

    model_config = ConfigDict(extra="forbid")

    text: Text = Field(min_length=1, max_length=LONGEST_COMMENT)


class RunAgain(Act):
    """Clear the failed task instances of an alert, so that they run again."""

    dry_run: bool = Field(default=False, description="Only list what would be cleared.")


class Refused(BaseModel):
    """An answer that says why nothing was done."""

    detail: str


class WrongPart(BaseModel):
    """A parameter, or a part of a body, that is wrong."""

    where: str
    message: str


class Wrong(BaseModel):
    """An answer that says what is wrong with what was sent."""

    detail: str | list[WrongPart]


def sent(kind: type[Sent]) -> Callable[[Request], Coroutine[Any, Any, Sent]]:
    """Make the dependency that reads a body.

    FastAPI itself reads a body before it asks who sends it. This is asked after the login.

    :param kind: what is expected
    :returns: a dependency that returns it, or answers 413, 415 or 422
    """

    async def read(request: Request) -> Sent:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise HTTPException(415, f"Send JSON, with Content-Type: application/json; this is {content_type[:80] or 'of no type'}.")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST:
                raise HTTPException(413, f"The body is larger than {LARGEST:,} bytes.")
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False, include_input=False, include_context=False)) from error

    return read


def documented(kind: type[BaseModel]) -> dict[str, Any]:
    """Describe a body for the OpenAPI document, since FastAPI does not see what `sent` reads.

    :param kind: what is expected
    :returns: the ``openapi_extra`` of a route
    """
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": kind.model_json_schema()}}}}
