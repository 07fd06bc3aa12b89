"""The ``metrics`` section of `model.yaml`: what the metrics need that no one can know but the team."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, model_validator

from include.evergreen.config.base import Name, Strict, problem_at, repeated_names

ASKED_OF: Final = {"classification": ("decision_threshold", "learned_threshold", "costs"), "regression": ("quantile",)}
"""Task -> the keys that have a meaning for it alone."""


class LearnedThreshold(Strict):
    """The decision threshold at which a metric is best, learned at each training from the rows to fit on alone.

    They are predicted in time-ordered folds, each by a model that was fitted on the days before it; the holdout has no part in it.
    """

    best: Literal["accuracy", "balanced_accuracy", "cost", "f1", "mcc"] = Field(description="The metric that it makes best.")
    folds: int = Field(default=3, ge=2, le=20, description="Blocks of days that are predicted, each by a model of the days before.")


class Costs(Strict):
    """What a wrong decision costs, in any one unit; a right one costs nothing."""

    false_positive: float = Field(ge=0, description="The cost of calling a negative row positive.")
    false_negative: float = Field(ge=0, description="The cost of calling a positive row negative.")

    @model_validator(mode="after")
    def _says_what_costs(self) -> Costs:
        if not max(self.false_positive, self.false_negative):
            raise ValueError("give a cost above 0 to false_positive, to false_negative, or to both")
        return self


class OwnMetric(Strict):
    """A metric of the team's own: a function of the labels and the predictions that returns a float.

    Both are arrays of floats; of several classes labels are texts, and predictions a frame of how likely each class is.
    """

    name: Name = Field(description="What gate, rules, cards and pages call it.")
    function: str = Field(
        description="Import path, such as profit.per_row: of a module beside model.yaml, whose text each version keeps, or of an installed "
        "package."
    )
    better: Literal["higher", "lower", "zero"] = Field(description="Which values are better; zero: the nearer to 0.")
    description: str = Field(description="What it says, in a sentence, for the card.")


class Metrics(Strict):
    """From which chance on a row is called positive, what errors cost, and metrics of the team's own. Part of the recipe."""

    decision_threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Classification: from which predicted chance on a row is called positive."
    )
    learned_threshold: LearnedThreshold | None = Field(default=None, description="Instead of decision_threshold: each training learns it.")
    costs: Costs | None = Field(default=None, description="Classification: what the metric cost adds up.")
    quantile: float | None = Field(
        default=None, gt=0, lt=1, description="Regression: the quantile that is predicted, by which the metric pinball judges."
    )
    own: tuple[OwnMetric, ...] = Field(default=(), description="Metrics of the team's own.")

    @model_validator(mode="after")
    def _fits_together(self) -> Metrics:
        if self.learned_threshold is not None and "decision_threshold" in self.model_fields_set:
            raise problem_at("learned_threshold", "learns what decision_threshold declares; give one of the two")
        if self.learned_threshold is not None and self.learned_threshold.best == "cost" and self.costs is None:
            raise problem_at("learned_threshold.best", "cost needs metrics.costs: {false_positive: ..., false_negative: ...}; add them")
        if repeated := repeated_names([metric.name for metric in self.own]):
            raise problem_at("own", f"declared twice: {repeated}; keep one of each")
        return self

    def unfit_for(self, task: str) -> dict[str, str]:
        """List what is declared and has no meaning for a task.

        :param task: ``classification``, ``multiclass`` or ``regression``
        :returns: the keys, in the order of the section, each with the task that it is for; none when all is well
        """
        asks = {key: other for other, keys in ASKED_OF.items() for key in keys if other != task}
        return {key: other for key, other in asks.items() if key in self.model_fields_set and getattr(self, key) is not None}
