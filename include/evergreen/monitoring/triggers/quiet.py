"""How long a model's rules stay quiet after it fired: the cool-down, longer after rejections, and the most firings in a week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.evergreen.config.calendar import Calendar
from include.evergreen.config.monitoring import Retrain
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import WEEK

LOOKED_AT = 7  # firings: the most in a week, and more than it takes to reach the longest cool-down


@dataclass(frozen=True)
class Quiet:
    """The last as_of, itself included, for which no rule fires anew, and why, as a sentence without its full stop."""

    until: Partition
    because: str


def quiet_after(retrain: Retrain, fired: Sequence[Partition], calendar: Calendar, *, rejected: int = 0) -> Quiet | None:
    """Tell how long earlier firings keep the rules quiet, in partition time.

    :param retrain: as model.yaml declares it now
    :param fired: the as_of of each firing whose training did not fail, the newest first; `LOOKED_AT` of them are enough
    :param calendar: that of the model
    :param rejected: how many of the newest in a row trained a candidate that the gate rejected; each doubles the cool-down
    :returns: the longest of what applies; None when it never fired
    """
    if not fired:
        return None
    doubled = (retrain.cooldown * (1 << rejected), retrain.longest_cooldown)
    until = min(calendar.plus(fired[0], cooldown) for cooldown in doubled)
    because = f"the model cools down until {until}, since it fired as of {fired[0]}"
    if rejected:
        because += " and its candidate was rejected" if rejected == 1 else f" and its last {rejected} candidates were rejected"
    quiet = [Quiet(until, because)]
    most = retrain.max_per_week
    if most is not None and len(fired) >= most:
        until = calendar.grain.shift(calendar.plus(fired[most - 1], WEEK), -1)
        when = ", ".join(str(day) for day in reversed(fired[:most]))
        quiet.append(Quiet(until, f"max_per_week allows {most} until {until}, since it fired as of {when}"))
    return max(quiet, key=lambda one: one.until)
