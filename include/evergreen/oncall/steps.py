"""Which policy an alert has, and which of its steps are due: pure functions of alert, declaration and time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.evergreen.config.oncall import Email
from include.evergreen.oncall.hours import next_allowed
from include.evergreen.oncall.rotations import turn_at

if TYPE_CHECKING:
    from include.evergreen.config.oncall import OncallConfig, Policy, Route, Step


@dataclass(frozen=True)
class Subject:
    """What routes ask about an alert. ``owners`` and ``tags`` are those of its models and datasets."""

    key: str
    kind: str
    severity: str
    models: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    @property
    def dead_channel(self) -> str:
        """The channel that does not deliver, where the alert is about that; it is not told through it."""
        return self.key.removeprefix("notification/") if self.kind == "notification" else ""


@dataclass(frozen=True)
class Due:
    """One telling of one step. ``fallbacks`` are the channels that are used, in turn, when ``channel`` does not deliver."""

    policy: str
    step: int
    repeat: int
    channel: str
    fallbacks: tuple[str, ...]
    recipient: str
    due_at: dt.datetime


def policy_of(config: OncallConfig, subject: Subject) -> Policy | None:
    """Find the policy of an alert: that of the first route that fits.

    :param config: what is declared
    :param subject: the alert
    :returns: its policy; None where no route is declared
    """
    name = next((route.policy for route in config.routes if _fits(route, subject)), None)
    return next((policy for policy in config.policies if policy.name == name), None)


def plan_steps(config: OncallConfig, policy: Policy, subject: Subject, began: dt.datetime) -> Iterator[Due]:
    """Plan all that is told of an alert if nobody takes it.

    :param config: what is declared
    :param policy: that of the alert
    :param subject: the alert
    :param began: when it began to fire, aware
    :yields: each step and its repeats, with the person who is on call at that time
    """
    for number, step in enumerate(policy.steps):
        through = _reaching(config, policy, step, subject)
        if not through:
            continue
        quiet = None if subject.severity == "critical" else config.quiet_hours
        repeats = 0 if subject.dead_channel else step.repeat
        for repeat in range(repeats + 1):
            minutes = step.after_minutes + repeat * step.every_minutes
            at = next_allowed(began + dt.timedelta(minutes=minutes), step.hours, quiet)
            yield Due(policy.name, number, repeat, through[0], through[1:], _recipient(config, step, at), at)


def due_steps(config: OncallConfig, subject: Subject, began: dt.datetime, now: dt.datetime) -> tuple[list[Due], dt.datetime | None]:
    """Find what is due of an alert that fires, whether or not it was told already.

    Of repeats that were missed while nobody looked, the newest alone is told.

    :param config: what is declared
    :param subject: the alert
    :param began: when it began to fire, aware
    :param now: the time, aware
    :returns: what is due, and when there is more to look for; None: never
    """
    policy = policy_of(config, subject)
    if policy is None:
        return [], None
    due: dict[int, Due] = {}
    later: list[dt.datetime] = []
    quiet = None if subject.severity == "critical" else config.quiet_hours
    for each in plan_steps(config, policy, subject, began):
        step = policy.steps[each.step]
        allowed = next_allowed(now, step.hours, quiet)
        if each.due_at > now:
            later.append(each.due_at)
        elif allowed > now:  # it was due while nobody looked
            later.append(allowed)
        else:
            due[each.step] = Due(
                each.policy, each.step, each.repeat, each.channel, each.fallbacks, _recipient(config, step, now), each.due_at
            )
    return list(due.values()), min(later, default=None)


def can_reach(config: OncallConfig, channel: str, person: str) -> bool:
    """Tell whether a channel has an address of a person; or, without one, any.

    :param config: what is declared
    :param channel: name of the channel
    :param person: their name; empty: nobody in particular
    :returns: whether something can be sent to them through it
    """
    declared = next((each for each in config.channels if each.name == channel), None)
    if not isinstance(declared, Email):
        return declared is not None
    return bool(declared.to) or any(each.name == person and each.email for each in config.people)


def _reaching(config: OncallConfig, policy: Policy, step: Step, subject: Subject) -> tuple[str, ...]:
    """The step's channels in their order, and then the others of its policy."""
    names = [*step.through, *(name for other in policy.steps for name in other.through)]
    told = next((rotation.everybody for rotation in config.rotations if rotation.name == step.rotation), {step.person or ""})
    reach = [name for name in names if name != subject.dead_channel and all(can_reach(config, name, person) for person in told)]
    return tuple(dict.fromkeys(reach))


def _recipient(config: OncallConfig, step: Step, at: dt.datetime) -> str:
    if step.rotation is None:
        return step.person or ""
    return next(turn_at(rotation, at).person for rotation in config.rotations if rotation.name == step.rotation)


def _fits(route: Route, subject: Subject) -> bool:
    asked = (
        ((route.severity,) if route.severity else (), frozenset({subject.severity})),
        (route.kinds, frozenset({subject.kind})),
        (route.models, subject.models),
        (route.datasets, subject.datasets),
        (route.owners, subject.owners),
        (route.tags, subject.tags),
    )
    return all(not wanted or not there.isdisjoint(wanted) for wanted, there in asked)
