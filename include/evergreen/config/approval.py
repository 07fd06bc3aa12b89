"""The ``approval`` section of `model.yaml`: whether a person must approve a blessed version before it serves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from include.evergreen.config.base import Strict, problem_at

Occasion = Literal["first_model", "slice_worse", "major_version", "not_compared"]


class Approval(Strict):
    """Who approves a blessed version before it becomes champion."""

    mode: Literal["auto", "human", "human_when"] = Field(
        default="auto",
        description="auto: no approval is needed; human: a person approves each version; human_when: only on some occasions.",
    )
    when: tuple[Occasion, ...] = Field(
        default=(),
        description="human_when: the first model, a slice that got worse than the champion's, a major version, "
        "no comparison with the champion, though a criterion asks for one.",
    )
    hours: float = Field(default=72, gt=0, le=24 * 90, description="Hours after which an unanswered approval request counts as rejected.")

    @model_validator(mode="after")
    def _occasions_have_their_mode(self) -> Approval:
        if (self.mode == "human_when") != bool(self.when):
            raise problem_at("when", "names the occasions of mode human_when, and of no other; give both, or neither")
        return self
