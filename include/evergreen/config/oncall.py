"""The keys of `oncall.yaml`: who is told about which alerts, when, and through what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from include.evergreen.config.base import Name, Strict, problem_at, repeated_names
from include.evergreen.config.wording import did_you_mean, listed

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_STEP_MINUTES = 7 * 24 * 60
FIRST_YEAR, LAST_YEAR = 1970, 2999
_LOCAL_FORMAT = "%Y-%m-%dT%H:%M"


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (OSError, ValueError, KeyError):  # a folder of zones; an odd path; no such zone
        pass
    else:
        return zone
    from zoneinfo import available_timezones

    known = sorted(available_timezones())
    raise ValueError(f"{zone[:60]!r} is no time zone; {did_you_mean(zone, known)}give a name of the IANA's list, such as Europe/Berlin")


def _local_time(text: str) -> str:
    try:
        time = dt.datetime.strptime(text, _LOCAL_FORMAT)
    except ValueError:
        time = None
    if time is None or time.isoformat(timespec="minutes") != text:  # 2026-1-4T9:00 is read, and sorts after 2026-12
        raise ValueError(f"{text[:60]!r} is no local time; write it as '2026-12-24T09:00', without an offset: it is of the rotation's zone")
    _in_our_years(time.date())
    return text


def _in_our_years(day: dt.date) -> dt.date:
    """At both ends of the calendar, a time that is converted to another zone has no date."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"the year {day.year} is not between {FIRST_YEAR} and {LAST_YEAR}")
    return day


Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="A time of day, in quotes: '09:00'.")]
Zone = Annotated[str, AfterValidator(_known_zone), Field(description="A time zone by its IANA name, such as Europe/Berlin.")]
LocalTime = Annotated[str, AfterValidator(_local_time)]
PersonName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,59}$", description="The name of a user, as Airflow knows them.")]
Connection = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=250, description="The id of an Airflow connection: it holds address and secret.")
]
Address = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$", max_length=250, description="An e-mail address.")
]


class Email(Strict):
    """Mail through a server."""

    type: Literal["email"]
    name: Name
    connection: Connection = Field(description="Id of an Airflow connection of type smtp.")
    sender: Address = Field(description="The address that the mail is from.")
    to: tuple[Address, ...] = Field(default=(), description="Addresses for steps that name no person.")


class Slack(Strict):
    """An incoming webhook of Slack, which belongs to one channel there."""

    type: Literal["slack"]
    name: Name
    connection: Connection = Field(description="Id of an Airflow connection whose password is the webhook's URL.")


class PagerDuty(Strict):
    """A service of PagerDuty, through its Events API v2."""

    type: Literal["pagerduty"]
    name: Name
    connection: Connection = Field(
        description="Id of an Airflow connection whose password is the integration key; its host is another server's."
    )


class Webhook(Strict):
    """A server of your own, which gets signed JSON."""

    type: Literal["webhook"]
    name: Name
    connection: Connection = Field(description="Id of an Airflow connection of type http; its password is the key of the signature.")


Channel = Annotated[Email | Slack | PagerDuty | Webhook, Field(discriminator="type")]


class Person(Strict):
    """Somebody who may be on call."""

    name: PersonName
    email: Address | None = Field(default=None, description="Where e-mail channels reach them.")
    slack: str | None = Field(default=None, pattern=r"^[UW][A-Z0-9]{2,20}$", description="Their member ID at Slack, to mention them.")


class Override(Strict):
    """Somebody stands in for whoever would be on call."""

    person: PersonName
    start: LocalTime = Field(alias="from", description="A local time of the rotation's zone, such as '2026-12-24T09:00'.")
    until: LocalTime = Field(description="Likewise; at this time they are off again.")

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Override:
        if self.until <= self.start:
            raise problem_at("until", f"{self.until} is not after from, {self.start}")
        return self


class Rotation(Strict):
    """People who are on call in turn."""

    name: Name
    people: tuple[PersonName, ...] = Field(min_length=1, description="In the order of their turns.")
    start: Annotated[dt.date, AfterValidator(_in_our_years)] = Field(description="The day on which the first of them is on call first.")
    length_days: int = Field(default=7, ge=1, le=366, description="How many days a turn lasts.")
    handover: Clock = Field(default="09:00", description="The local time at which a turn ends, in summer as in winter.")
    zone: Zone
    overrides: tuple[Override, ...] = Field(default=(), description="Who stands in when; the times must not overlap.")

    @property
    def everybody(self) -> set[str]:
        """All who may be on call in it."""
        return {*self.people, *(override.person for override in self.overrides)}

    @model_validator(mode="after")
    def _overrides_do_not_overlap(self) -> Rotation:
        ordered = sorted(self.overrides, key=lambda override: override.start)
        for first, second in pairwise(ordered):
            if second.start < first.until:
                raise problem_at(
                    "overrides", f"{second.person} from {second.start} on overlaps {first.person} until {first.until}; one can stand in"
                )
        return self


class Hours(Strict):
    """Some hours of some days."""

    start: Clock = Field(alias="from", description="When they begin, as local time in quotes: '22:00'.")
    until: Clock = Field(description="When they end; before `from`: on the next day.")
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        default=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), min_length=1, description="The days on which they begin."
    )
    zone: Zone

    @model_validator(mode="after")
    def _is_a_span(self) -> Hours:
        if self.until == self.start:
            raise problem_at("until", f"{self.until} is the same as from; leave the hours out for the whole day")
        return self


class Step(Strict):
    """Somebody is told, if the alert is still neither acknowledged, snoozed nor resolved."""

    after_minutes: int = Field(ge=0, le=LONGEST_STEP_MINUTES, description="Minutes since the alert began to fire.")
    rotation: Name | None = Field(default=None, description="Tell whoever is on call in it then.")
    person: PersonName | None = Field(default=None, description="Tell this person; neither rotation nor person: the whole channel.")
    through: tuple[Name, ...] = Field(min_length=1, description="Channels: the first, and the next one when that does not deliver.")
    repeat: int = Field(default=0, ge=0, le=50, description="How often they are told again.")
    every_minutes: int = Field(default=15, ge=1, le=LONGEST_STEP_MINUTES, description="Minutes between repeats.")
    hours: Hours | None = Field(default=None, description="Only then: what falls outside waits until they begin.")

    @model_validator(mode="after")
    def _names_one(self) -> Step:
        if self.rotation is not None and self.person is not None:
            raise problem_at("person", f"{self.person} and rotation {self.rotation} exclude each other; write two steps")
        return self


class Policy(Strict):
    """Who is told when."""

    name: Name
    steps: tuple[Step, ...] = Field(description="In the order of their minutes; none: nobody is told.")
    remind_after_hours: float = Field(
        default=4,
        ge=0.25,
        le=168,
        description="Hours after which what was acknowledged and is still open fires again.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Policy:
        minutes = [step.after_minutes for step in self.steps]
        if minutes != sorted(minutes):
            raise problem_at("steps", f"come after {listed(minutes)} minutes; write them in the order in which they are due")
        return self


class Route(Strict):
    """Which alerts a policy is for: those that meet every condition that is given."""

    policy: Name = Field(description="The name of a policy.")
    severity: Literal["critical", "warning"] | None = Field(default=None, description="Only alerts of this severity.")
    kinds: tuple[str, ...] = Field(default=(), description="Only alerts of these kinds, such as task, freshness or drill.")
    models: tuple[Name, ...] = Field(default=(), description="Only alerts of these models.")
    datasets: tuple[Name, ...] = Field(default=(), description="Only alerts of these datasets.")
    owners: tuple[str, ...] = Field(default=(), description="Only alerts of models and datasets of these owners.")
    tags: tuple[str, ...] = Field(default=(), description="Only alerts of models and datasets that have one of these tags.")

    @property
    def takes_all(self) -> bool:
        """Whether it has no condition."""
        return self.severity is None and not (self.kinds or self.models or self.datasets or self.owners or self.tags)


class OncallConfig(Strict):
    """Who is told about alerts. Without a route nobody is: alerts stand in the inbox alone."""

    channels: tuple[Channel, ...] = Field(default=(), description="What messages are sent through; its type decides which keys there are.")
    people: tuple[Person, ...] = Field(default=(), description="Those who may be on call.")
    rotations: tuple[Rotation, ...] = Field(default=(), description="Who of them is on call when.")
    policies: tuple[Policy, ...] = Field(default=(), description="Who is told when.")
    routes: tuple[Route, ...] = Field(default=(), description="Which policy is for which alerts: the first that fits.")
    quiet_hours: Hours | None = Field(default=None, description="When nobody is told of warnings: they wait. Never of what is critical.")

    @model_validator(mode="after")
    def _the_last_route_takes_all(self) -> OncallConfig:
        for key in ("channels", "people", "rotations", "policies"):
            if repeated := repeated_names([each.name for each in getattr(self, key)]):
                raise problem_at(key, f"{repeated} stands there more than once; give each its own name")
        if self.routes and not self.routes[-1].takes_all:
            raise problem_at("routes", "the last one has conditions, so some alerts would have no route; end with one that has none")
        return self


def inner_problems(config: OncallConfig, kinds: Sequence[str] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Find what one part of a file says of another that is not so.

    :param config: as it was read
    :param kinds: the kinds of alerts; none are not checked
    :yields: the key, from the top of the file, and what is wrong there
    """
    people = [person.name for person in config.people]
    for index, rotation in enumerate(config.rotations):
        named = [(("people", turn), person) for turn, person in enumerate(rotation.people)]
        named += [(("overrides", number), override.person) for number, override in enumerate(rotation.overrides)]
        for key, person in named:
            if person not in people:
                yield ("rotations", index, *key), _unknown("person", person, people)
    for index, policy in enumerate(config.policies):
        for number, step in enumerate(policy.steps):
            for key, text in _step_problems(config, step):
                yield ("policies", index, "steps", number, *key), text
    policies = [policy.name for policy in config.policies]
    for index, route in enumerate(config.routes):
        if route.policy not in policies:
            yield ("routes", index, "policy"), _unknown("policy", route.policy, policies)
        if index < len(config.routes) - 1 and route.takes_all:
            yield ("routes", index), "has no condition, so no route after it is ever used; give it one, or move it to the end"
        for place, kind in enumerate(route.kinds):
            if kinds and kind not in kinds:
                yield ("routes", index, "kinds", place), _unknown("kind of alerts", kind, kinds)


def _step_problems(config: OncallConfig, step: Step) -> Iterator[tuple[tuple[Any, ...], str]]:
    people = {person.name: person for person in config.people}
    rotations = {rotation.name: rotation for rotation in config.rotations}
    channels = {channel.name: channel for channel in config.channels}
    told = {step.person} if step.person is not None and step.person in people else set()
    if step.person is not None and step.person not in people:
        yield ("person",), _unknown("person", step.person, people)
    if step.rotation is not None and step.rotation not in rotations:
        yield ("rotation",), _unknown("rotation", step.rotation, rotations)
    elif step.rotation is not None:
        told = rotations[step.rotation].everybody & set(people)
    for place, name in enumerate(step.through):
        if name not in channels:
            yield ("through", place), _unknown("channel", name, channels)
        elif isinstance(channel := channels[name], Email):
            without = sorted(person for person in told if people[person].email is None)
            if without:
                yield ("through", place), f"{name} is e-mail, and {listed(without)} has no email under people; add it"
            elif step.rotation is None and step.person is None and not channel.to:
                yield ("through", place), f"{name} has no addresses, and the step names nobody; give the channel `to`"


def _unknown(what: str, name: str, known: Any) -> str:
    return f"unknown {what} {name!r}; {did_you_mean(name, known)}known: {listed(sorted(known))}"
