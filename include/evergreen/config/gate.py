"""What `model.yaml` says under ``gate``: the criteria that a candidate must meet."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from include.evergreen.config.base import Strict


class AbsoluteCriterion(Strict):
    """A metric on the holdout must be at least, or at most, a figure."""

    kind: Literal["absolute"]
    metric: str
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _has_exactly_one_bound(self) -> AbsoluteCriterion:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give exactly one of at_least and at_most")
        return self


class ChampionCriterion(Strict):
    """A metric must be no worse than the champion's on the same holdout rows, within a margin."""

    kind: Literal["champion"]
    metric: str
    margin: float = Field(default=0.0, ge=0, description="How much worse than the champion still passes, in the metric's own unit.")


Criterion = Annotated[AbsoluteCriterion | ChampionCriterion, Field(discriminator="kind")]


class Gate(Strict):
    criteria: tuple[Criterion, ...] = Field(min_length=1)
