"""The ``rollout`` section of `model.yaml`: how a version that has earned it takes the champion's place."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from include.evergreen.config.base import Strict, problem_at

Strategy = Literal["all_at_once", "shadow", "canary", "ab"]
Share = Annotated[float, Field(gt=0, lt=1)]
CANARY_SHARES = (0.05, 0.25, 0.5)
AB_SHARE = 0.5


class Rollout(Strict):
    """How a blessed version takes the champion's place. The first champion takes its place at once, whatever the strategy."""

    strategy: Strategy = Field(
        default="all_at_once",
        description="all_at_once: it serves from the next scoring on; shadow: it scores beside the champion, and is compared on the same "
        "rows before it serves; canary: it serves a share of the keys, which grows; ab: it serves a fixed share of the keys, and is "
        "tested at the end.",
    )
    partitions: int = Field(
        default=7,
        ge=1,
        le=366,
        description="After so many partitions, once their labels are mature, it is decided; of a canary, each step.",
    )
    shares: tuple[Share, ...] = Field(
        default=(), max_length=20, description="canary: the share of the keys that it serves, step by step. By default .05, .25 and .5."
    )
    share: Share | None = Field(default=None, description="ab: the share of the keys that it serves. By default .5.")

    @model_validator(mode="after")
    def _says_what_its_strategy_asks(self) -> Rollout:
        for key, strategy in (("shares", "canary"), ("share", "ab")):
            if key in self.model_fields_set and self.strategy != strategy:
                raise problem_at(key, f"is for strategy {strategy}, and this is {self.strategy}; remove it")
        if "partitions" in self.model_fields_set and self.strategy == "all_at_once":
            raise problem_at("partitions", "is for the other strategies, and this is all_at_once; remove it, or give a strategy")
        if list(self.shares) != sorted(set(self.shares)):
            raise problem_at("shares", f"must grow from step to step, got {', '.join(f'{share:g}' for share in self.shares)}")
        return self

    @property
    def steps(self) -> tuple[float, ...]:
        """The share of the keys that the challenger serves in each step: 0 in shadow; none where there is no roll-out."""
        return {
            "all_at_once": (),
            "shadow": (0.0,),
            "canary": self.shares or CANARY_SHARES,
            "ab": (self.share or AB_SHARE,),
        }[self.strategy]
