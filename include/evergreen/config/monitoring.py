"""The config classes of `monitor` and `retrain` in `model.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from include.evergreen.config.base import AnySpan, DriftWindow, SomeSpan, SomeWait, Spanned, problem_at
from include.evergreen.foundation.span import Span, SpanUnit


class Monitor(Spanned):
    """How drift and performance are measured on each partition that was scored."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {
        "window_days": ("window", "day"),
        "performance_days": ("performance_window", "day"),
    }

    window: DriftWindow = Field(
        default=Span(1, "day"),
        description="How much of the predictions, up to the monitored partition, has its drift measured together.",
    )
    performance_window: SomeWait = Field(
        default=Span(1, "day"),
        description="How much of the predictions, up to the monitored partition, has its performance measured together, once its labels "
        "have arrived: few rows a day make noisy figures.",
    )
    numeric_threshold: float = Field(
        default=0.1,
        gt=0,
        description="Wasserstein distance, in standard deviations of the reference, from which the drift of a number matters.",
    )
    categorical_threshold: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Jensen-Shannon distance from which the drift of a category, or of the share of missing values, matters.",
    )
    multivariate_threshold: float | None = Field(
        default=0.55,
        ge=0.5,
        lt=1,
        description="How well a classifier must tell the window from the reference, by all columns together, for it to matter: the area "
        "under the ROC curve (AUC), of which 0.5 is not at all. null: nobody asks.",
    )
    reference_rows: int = Field(
        default=50_000,
        ge=100,
        description="Rows of the training snapshot kept as the drift reference. As many of its holdout, at most 5000, are kept for "
        "estimates.",
    )
    slices: tuple[str, ...] = Field(
        default=(),
        max_length=5,
        description="Categorical features by whose values performance is observed, too: the ten commonest values of each in the training "
        "data, and the metrics that gate and rules name.",
    )
    estimate: bool = Field(
        default=True, description="Estimate the performance of each scored day before its labels come, beside the realised one."
    )


class Rule(Spanned):
    """Fires when k of the last n observations of a metric breach, the newest among them."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {"within_days": ("within", "day")}

    metric: str = Field(description="An observation's name, such as drift.share or performance.auc.")
    above: float | Literal["learned"] | None = Field(
        default=None, description="An observation above it breaches. learned: above what the version's first observations show as usual."
    )
    below: float | Literal["learned"] | None = Field(
        default=None, description="An observation below it breaches; learned likewise. Exactly one of the two."
    )
    relative_to: Literal["promotion"] | None = Field(
        default=None,
        description="promotion: above or below is a share of what the metric was on the version's holdout, by which it was promoted; "
        "0.95 is 95% of it.",
    )
    learn_from: int = Field(
        default=20, ge=8, le=366, description="learned: from how many of the version's observations, from its first on, at most."
    )
    k: int = Field(default=1, ge=1, description="How many of them must breach.")
    n: int = Field(default=1, ge=1, description="How many of the newest observations are evaluated.")
    within: SomeSpan | None = Field(
        default=None, description="They are of the time that is so long and ends with the newest of them; by default of any age."
    )
    min_rows: int = Field(default=1, ge=1, description="An observation over fewer rows does not count.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Rule:
        if (self.above is None) == (self.below is None):
            raise ValueError("give exactly one of above and below")
        if self.relative_to and self.is_learned:
            raise problem_at("relative_to", "is for a share, and learned learns the bound; give one of the two")
        if "learn_from" in self.model_fields_set and not self.is_learned:
            raise problem_at("learn_from", "is for above: learned or below: learned; remove it")
        if self.k > self.n:
            raise ValueError(f"k ({self.k}) of n ({self.n}) can never be met: k must be at most n")
        return self

    @property
    def is_learned(self) -> bool:
        """Whether its bound is learned from what was observed of the version first."""
        return "learned" in (self.above, self.below)

    @property
    def declared_bound(self) -> float | None:
        """The figure beyond which an observation breaches, or, relative to promotion, the share; None: it is learned."""
        bound = self.above if self.above is not None else self.below
        return None if bound == "learned" else bound

    @property
    def name(self) -> str:
        """How people and records call this rule: ``performance.auc<0.6 (2 of 3 within 14 days)``."""
        bound = "learned" if self.declared_bound is None else f"{self.declared_bound:g}"
        bound = f"{'<' if self.above is None else '>'}{bound}{' x at promotion' if self.relative_to else ''}"
        within = f" within {self.within}" if self.within else ""
        return f"{self.metric}{bound} ({self.k} of {self.n}{within})"


class Retrain(Spanned):
    """When the model retrains automatically."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {
        "cooldown_days": ("cooldown", "day"),
        "max_cooldown_days": ("max_cooldown", "day"),
    }

    rules: tuple[Rule, ...] = Field(default=(), description="The rules; the first that trips fires.")
    cooldown: AnySpan = Field(default=Span(7, "day"), description="How long, in partition time, no other fires after a firing.")
    max_cooldown: AnySpan | None = Field(
        default=None,
        description="The cool-down doubles with each firing in a row whose candidate was rejected, up to this. By default eight times "
        "cooldown.",
    )
    max_per_week: int | None = Field(
        default=None, ge=1, description="Firings in any seven days, in partition time; by default as many as the cool-down allows."
    )
    min_new_labels: int | None = Field(
        default=None,
        ge=1,
        description="No rule fires before so many rows of labels have come since the last training, as another would learn nothing.",
    )

    @property
    def longest_cooldown(self) -> Span:
        """The cool-down after many rejections."""
        return self.max_cooldown if self.max_cooldown is not None else self.cooldown * 8
