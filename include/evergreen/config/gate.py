"""The ``gate`` section of `model.yaml`: the criteria that a candidate must meet.

The serving check (the logged artifact loads and scores in a clean process) is not in this list: it always runs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from include.evergreen.config.base import Strict, problem_at

METRIC = "A metric of the task, such as auc, recall, cost, mae or wape (docs/guides/metrics.md), or one of metrics.own."
MIN_SLICE_ROWS = 100
SMALLEST_GROUP = 20  # rows of a group of people that is shown
MOST_CODES = 30  # distinct whole numbers that are slices by value: codes, hours, months
FOUR_FIFTHS = 0.8
ENOUGH_DAYS = 5  # in a holdout, for a bootstrap of days: with fewer, comparisons have little power; one day has no interval
WITHOUT_EFFECT = {"alert_after_rejections", "serving_timeout_seconds"}  # of the gate: they change no answer to its question


class AbsoluteCriterion(Strict):
    """A metric on the holdout must be at least, or at most, a figure."""

    kind: Literal["absolute"]
    metric: str = Field(description=METRIC)
    at_least: float | None = Field(default=None, description="Exactly one of the two.")
    at_most: float | None = Field(default=None, description="Exactly one of the two; of bias, the most that its size may be.")

    @model_validator(mode="after")
    def _has_exactly_one_bound(self) -> AbsoluteCriterion:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give exactly one of at_least and at_most")
        return self


class _Compared(Strict):
    """Comparisons on the same rows: judged by the one-sided bound of the paired difference."""

    metric: str = Field(description=METRIC)
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Confidence level of the one-sided bound, such as 0.95.")


class ChampionCriterion(_Compared):
    """Non-inferiority or superiority to the champion in one metric, on the same rows."""

    kind: Literal["champion"]
    must: Literal["not_worse", "better"] = Field(
        default="not_worse",
        description="not_worse: non-inferior, worse by no more than the margin; better: superior, by more than the margin.",
    )
    margin: float = Field(
        default=0.0, ge=0, description="In the metric's own unit: how much worse still passes, or how much better is asked."
    )

    @model_validator(mode="after")
    def _not_worse_needs_room(self) -> ChampionCriterion:
        if self.must == "not_worse" and self.margin == 0:
            text = "not_worse (non-inferiority) needs a margin above 0; with 0 it would be superiority. Give one, or must: better"
            raise problem_at("margin", text)
        return self


class BaselineCriterion(_Compared):
    """A metric must be better than that of a trivial baseline, which gives every row the same answer."""

    kind: Literal["baseline"]
    margin: float = Field(default=0.0, ge=0, description="In the metric's own unit: how much better it must be.")


class SlicesCriterion(Strict):
    """The rows are divided by a feature, or by a column of the rows' dataset, and the slices held to a bound each, or to each other."""

    kind: Literal["slices"]
    by: str = Field(description="A feature, or a column of the rows' dataset; a personal one with allow_personal alone.")
    judge: Literal["worst", "difference", "disparate_impact", "equal_opportunity"] = Field(
        description="worst: the metric of the worst slice; difference: of the metric between slices; disparate_impact: the ratio of the "
        "shares of rows called positive; equal_opportunity: the difference between the shares of positive rows that are called so."
    )
    metric: str | None = Field(default=None, description="worst and difference: the metric.")
    at_least: float | None = Field(default=None, description="worst: its bound; disparate_impact: the lowest ratio, 0.8 by default.")
    at_most: float | None = Field(default=None, description="worst: its bound; disparate_impact: the highest ratio, 1.25 by default.")
    max_difference: float | None = Field(
        default=None, gt=0, description="difference and equal_opportunity: the most that slices may differ."
    )
    decision_threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="disparate_impact and equal_opportunity: from which predicted chance on a row is called positive; none: from the "
        "version's own decision threshold on.",
    )
    bins: int | None = Field(
        default=None,
        ge=2,
        le=20,
        description="Into how many slices of equal size a numeric column is cut: 4 by default. Without it, whole numbers of at most "
        f"{MOST_CODES} distinct values are slices by value. Features declared as categorical always are.",
    )
    allow_personal: bool = Field(
        default=False, description="by is personal, such as a protected attribute, and the names of its large groups may be kept for ever."
    )
    smallest_group: int = Field(
        default=SMALLEST_GROUP, ge=5, description="allow_personal: groups of fewer rows are joined with others, and so never shown."
    )
    min_rows: int = Field(default=MIN_SLICE_ROWS, ge=2, description="A slice of fewer rows is shown, and not judged.")

    @model_validator(mode="after")
    def _has_what_it_judges_by(self) -> SlicesCriterion:
        if (self.judge in ("worst", "difference")) != (self.metric is not None):
            raise problem_at("metric", "is what worst and difference judge by, and nothing else does; give it with these alone")
        if (self.judge in ("difference", "equal_opportunity")) != (self.max_difference is not None):
            raise problem_at("max_difference", "is the bound of difference and equal_opportunity; give it with these alone")
        if self.smallest_group != SMALLEST_GROUP and not self.allow_personal:
            raise problem_at("smallest_group", "is for personal columns; give it with allow_personal: true alone")
        if self.decision_threshold is not None and self.metric is not None:
            text = f"is for disparate_impact and equal_opportunity; {self.metric} is measured by metrics.decision_threshold, remove it here"
            raise problem_at("decision_threshold", text)
        if self.judge == "worst" and (self.at_least is None) == (self.at_most is None):
            raise ValueError("judge: worst needs exactly one of at_least and at_most")
        if self.judge in ("difference", "equal_opportunity") and (self.at_least is not None or self.at_most is not None):
            raise ValueError(f"judge: {self.judge} takes max_difference, and neither at_least nor at_most")
        if self.judge == "disparate_impact" and not 0 < self.ratios[0] < 1 < self.ratios[1]:
            raise ValueError(f"judge: disparate_impact needs 0 < at_least < 1 < at_most, got {self.ratios[0]:g} and {self.ratios[1]:g}")
        return self

    @property
    def ratios(self) -> tuple[float, float]:
        """Of disparate impact: the lowest and the highest ratio that passes."""
        low = FOUR_FIFTHS if self.at_least is None else self.at_least
        return low, 1 / FOUR_FIFTHS if self.at_most is None else self.at_most


class CalibrationCriterion(Strict):
    """What is predicted must come true on average: over bins of equal size, the mean distance of both (expected calibration error)."""

    kind: Literal["calibration"]
    at_most: float = Field(
        gt=0, description="In the unit of the prediction: a share for a classification, the target's unit for a regression."
    )
    bins: int = Field(default=10, ge=2, le=100, description="Into how many bins of equal size the predictions are cut.")


class SpeedCriterion(Strict):
    """Predicting must be quick enough on this machine."""

    kind: Literal["speed"]
    at_most: float = Field(gt=0, description="Milliseconds for 1,000 rows, by the median of the repeats.")
    repeats: int = Field(default=5, ge=1, le=100, description="How often it is measured.")


class SizeCriterion(Strict):
    """The stored artifact must be small enough."""

    kind: Literal["size"]
    at_most: float = Field(gt=0, description="Megabytes (millions of bytes) of all its files.")


class StabilityCriterion(Strict):
    """Fitted again with other seeds, a metric on the holdout must stay about the same."""

    kind: Literal["stability"]
    metric: str = Field(description=METRIC)
    max_spread: float = Field(gt=0, description="The most that the highest and the lowest of the fits may differ.")
    seeds: int = Field(default=3, ge=2, le=20, description="How many fits are compared, the candidate's own among them.")


class BehaviourCriterion(Strict):
    """Every check of the model's own `checks.py` must pass."""

    kind: Literal["behaviour"]


Criterion = Annotated[
    AbsoluteCriterion
    | ChampionCriterion
    | BaselineCriterion
    | SlicesCriterion
    | CalibrationCriterion
    | SpeedCriterion
    | SizeCriterion
    | StabilityCriterion
    | BehaviourCriterion,
    Field(discriminator="kind"),
]


class Gate(Strict):
    """What a candidate must earn."""

    mode: Literal["enabled", "dry_run", "disabled"] = Field(
        default="enabled",
        description="dry_run: evaluate and record all, and bless whatever the result; disabled: approve without evaluation.",
    )
    criteria: tuple[Criterion, ...] = Field(min_length=1, description="All must be met.")
    resample: Literal["days", "rows"] = Field(
        default="days", description="What intervals resample: whole days, whose rows are alike, or rows as if they were independent."
    )
    resamples: int = Field(default=1000, ge=200, le=100_000, description="Of the bootstrap.")
    alert_after_rejections: int = Field(default=3, ge=1, description="So many rejected candidates in a row make an alert.")
    serving_timeout_seconds: float = Field(default=120, gt=0, description="Seconds that a clean process gets to load the model and score.")

    @model_validator(mode="after")
    def _divides_people_in_one_way(self) -> Gate:
        """Two ways of dividing the same people would show a small group as the difference of two large ones."""
        ways: dict[str, tuple[int | None, int]] = {}
        for index, criterion in enumerate(self.criteria):
            if isinstance(criterion, SlicesCriterion) and criterion.allow_personal:
                way = (criterion.bins, criterion.smallest_group)
                if ways.setdefault(criterion.by, way) != way:
                    text = (
                        f"{criterion.by!r} is personal and divided otherwise by another criterion; give both equal bins and smallest_group"
                    )
                    raise problem_at(f"criteria.{index}.by", text)
        return self

    @property
    def against_champion(self) -> ChampionCriterion | None:
        """The first criterion that compares with the champion: a roll-out compares by it, too. None where there is none."""
        return next((criterion for criterion in self.criteria if isinstance(criterion, ChampionCriterion)), None)

    @property
    def judged_by_days(self) -> list[str]:
        """What is judged by intervals that resample whole days: the kinds of these criteria, each once."""
        if self.resample != "days":
            return []
        return sorted({criterion.kind for criterion in self.criteria if isinstance(criterion, ChampionCriterion | BaselineCriterion)})
