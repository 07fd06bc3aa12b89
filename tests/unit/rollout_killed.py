"""A roll-out that starts, one that grows and one that is decided, killed after each of their writes as `effects_killed` does it.

    EVERGREEN_HOME=<a home before a roll-out> python -m tests.unit.rollout_killed

After each death the same is done once more by a process that lives. Prints one JSON object: the deaths, and what differed.
"""

from __future__ import annotations

import json
from typing import Any

from tests.unit.effects_killed import Step
from tests.unit.killing import in_a_child
from tests.unit.lifecycle import day
from tests.unit.rolling import advance, declared, score, start

MODEL = declared(1.0, strategy="canary", partitions=1, shares=(0.2, 0.5), resample="rows")


def begin() -> None:
    assert start(MODEL).is_rolling_out


def grow() -> None:
    assert advance(MODEL)


def end() -> None:
    advance(MODEL)


def main() -> None:
    told: dict[str, Any] = {"deaths": 0, "wrong": {}, "outside": [], "effects": []}
    for work, number in ((begin, 22), (grow, 23), (end, 24)):
        assert in_a_child(lambda: score(MODEL, number)) == 0, f"{day(number)} could not be scored"  # noqa: B023  # done at once
        step = Step(work)
        for point in range(len(step.told.places) + 1):
            told["deaths"] += 1
            if found := step.die(point):
                told["wrong"][f"{work.__name__} {point}"] = found
        told["outside"] += step.told.outside
        told["effects"] += step.told.effects
        told["state"] = step.told.state
        step.finish()
    print(json.dumps(told, default=str))


if __name__ == "__main__":
    main()
