"""The ``train`` section of `model.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from include.evergreen.config.base import SomeSpan, Spanned, Strict, problem_at
from include.evergreen.config.docker import Docker
from include.evergreen.config.schedule import Schedule
from include.evergreen.foundation.span import Span, SpanUnit

CAN_STOP_EARLY: Final[dict[str, str]] = {
    "HistGradientBoostingClassifier": "sklearn",
    "HistGradientBoostingRegressor": "sklearn",
    "LGBMClassifier": "lightgbm",
    "LGBMRegressor": "lightgbm",
    "XGBClassifier": "xgboost",
    "XGBRegressor": "xgboost",
}
"""Class name of an estimator that learns in rounds and can be told to stop -> the library whose way of telling it has."""


class Search(Strict):
    """The values among which tuning chooses one parameter: exactly one of the keys."""

    choice: tuple[Any, ...] | None = Field(default=None, min_length=1, description="Any of these values, each as likely.")
    uniform: tuple[float, float] | None = Field(default=None, description="Numbers from the first to the second, each as likely.")
    log_uniform: tuple[float, float] | None = Field(default=None, description="The same of their logarithms: for what varies in size.")
    integers: tuple[int, int] | None = Field(default=None, description="Whole numbers from the first to the second, both included.")

    @model_validator(mode="after")
    def _is_one_range(self) -> Search:
        given = {name: bounds for name, bounds in self if bounds is not None}
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(Search.model_fields)}; got {', '.join(given) or 'none'}")
        ((name, bounds),) = given.items()
        if name != "choice" and not bounds[0] < bounds[1]:
            raise problem_at(name, f"must rise from the first to the second, got {bounds[0]:g} and {bounds[1]:g}")
        if name == "log_uniform" and bounds[0] <= 0:
            raise problem_at(name, f"must be above 0, for its logarithm is taken; got {bounds[0]:g}")
        return self


class Choice(Strict):
    """One estimator, with what is settled of its parameters and what tuning may choose."""

    estimator: str = Field(description="Import path of a scikit-learn compatible estimator.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="The estimator's keyword arguments; {estimator: PATH, parameters: {...}} is one within it."
    )
    search: dict[str, Search] = Field(default_factory=dict, description="Keyword arguments that tuning chooses, and among which values.")

    @model_validator(mode="after")
    def _settles_or_searches(self) -> Choice:
        if both := sorted(self.parameters.keys() & self.search.keys()):
            raise problem_at("search", f"{', '.join(both)} is in parameters too; keep it in one of them")
        return self


class Tune(Strict):
    """How the parameters under ``search``, and the estimator when several are listed, are chosen: on time-ordered folds."""

    method: Literal["random", "halving"] = Field(
        default="random", description="Try all on all days, or all on few days and each time the best third on three times as many."
    )
    candidates: int | None = Field(default=None, ge=2, le=10_000, description="How many settings are tried, over all estimators.")
    seconds: float | None = Field(default=None, gt=0, description="After so many seconds no further trial begins; the first always runs.")
    folds: int = Field(default=3, ge=2, le=20, description="Blocks of days on which each setting is judged, fitted on the days before.")
    metric: str | None = Field(default=None, description="What the best is best in. None: auc of a classification, mae of a regression.")

    @model_validator(mode="after")
    def _has_an_end(self) -> Tune:
        if self.candidates is None and self.seconds is None:
            raise ValueError("give a budget: candidates, seconds, or both")
        if self.method == "halving" and self.candidates is None:
            raise problem_at("candidates", "is needed by halving, which must know with how many it begins")
        return self


class Weights(Spanned):
    """How much each row counts in fitting: the product of what is given, scaled to a mean of 1. Figures are never weighted."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {"half_life_days": ("half_life", "day")}

    classes: Literal["balanced"] | None = Field(default=None, description="Both classes count the same in total.")
    half_life: SomeSpan | None = Field(default=None, description="A row counts half of one that is so much newer.")
    feature: str | None = Field(default=None, description="A numeric feature that holds each row's weight.")

    @model_validator(mode="after")
    def _weighs(self) -> Weights:
        if not self.model_fields_set or all(value is None for _, value in self):
            raise ValueError(f"give at least one of {', '.join(Weights.model_fields)}, or remove weights")
        return self

    def _recorded_number(self, key: str, span: Span) -> float:
        return float(span.amount)


class EarlyStop(Spanned):
    """An estimator that learns in rounds ends when the newest of the rows to fit on get no better; they teach it nothing."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {"days": ("holdout", "day")}

    holdout: SomeSpan = Field(default=Span(3, "day"), description="The newest part of the rows to fit on, which says when to stop.")
    rounds: int = Field(default=20, ge=1, description="Rounds without getting better after which it stops.")


class Train(Spanned):
    """When, on what and with which estimator the model is trained."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {
        "window_days": ("window", "day"),
        "min_days": ("min_history", "day"),
        "holdout_days": ("holdout", "day"),
    }

    schedule: Schedule | None = Field(
        default=None, description="Trains on schedule; none: trains only when triggered by hand or by a rule."
    )
    window: SomeSpan = Field(default=Span(60, "day"), description="How far before as_of the rows begin that a training run reads.")
    min_history: SomeSpan = Field(
        default=Span(14, "day"),
        description="Fewer partitions with rows and labels than the schedule makes in this time stop the training.",
    )
    max_rows: int | None = Field(
        default=None, ge=1000, description="At most so many rows, a stable draw of the same share of each day and class; none: all."
    )
    holdout: SomeSpan = Field(default=Span(7, "day"), description="The newest part of the rows, kept from fitting and used by the gate.")
    estimator: str | None = Field(
        default=None, description="Import path of a scikit-learn compatible estimator; or list several: estimators."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="The estimator's keyword arguments; {estimator: PATH, parameters: {...}} is one within it."
    )
    search: dict[str, Search] = Field(default_factory=dict, description="Keyword arguments that tuning chooses, and among which values.")
    estimators: tuple[Choice, ...] = Field(default=(), description="Several estimators, among which tuning chooses under one budget.")
    tune: Tune | None = Field(default=None, description="How what is left open is chosen; needed when something is.")
    weights: Weights | None = Field(default=None, description="How much each row counts in fitting; none: all the same.")
    early_stop: EarlyStop | None = Field(default=None, description="When an estimator that learns in rounds stops; none: when it says.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Of all that is drawn at random: equal seeds, equal models.")
    trusted_types: tuple[str, ...] = Field(
        default=(),
        description="Types of other libraries, by import path, that this model's files may load: their code runs at loading.",
    )
    run_in: Literal["worker", "docker"] = Field(
        default="worker", description="Where the training step runs: in the worker, or in a container."
    )
    docker: Docker | None = Field(default=None, description="run_in: docker. The container's image and limits.")

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The estimators that are declared, by whichever of the two keys."""
        if self.estimator is None:
            return self.estimators
        return (Choice(estimator=self.estimator, parameters=self.parameters, search=self.search),)

    @property
    def estimator_summary(self) -> str:
        """``sklearn.linear_model.Ridge``, or ``the best of`` several."""
        names = [choice.estimator for choice in self.choices]
        return names[0] if len(names) == 1 else f"the best of {', '.join(names)}"

    @property
    def leaves_open(self) -> bool:
        """Whether there is anything for tuning to choose."""
        return len(self.choices) > 1 or any(choice.search for choice in self.choices)

    @model_validator(mode="after")
    def _describes_its_container(self) -> Train:
        if self.run_in == "docker" and self.docker is None:
            raise problem_at("docker", "is missing, and run_in is docker; add docker: {image: NAME} with the container's image")
        return self

    @model_validator(mode="after")
    def _names_what_to_fit(self) -> Train:
        if self.estimator is None and not self.estimators:
            raise problem_at(
                "estimator", "is missing; give the import path of an estimator, such as sklearn.linear_model.Ridge, or estimators"
            )
        if self.estimators and (self.estimator is not None or self.parameters or self.search):
            raise problem_at("estimators", "lists estimators with their parameters and search; remove those beside it, or the list")
        if self.leaves_open and self.tune is None:
            raise problem_at("tune", "is missing, and several estimators or a search leave a choice; add tune: {candidates: 20}")
        if self.tune is not None and not self.leaves_open:
            raise problem_at("tune", "has nothing to choose; add search, list several estimators, or remove it")
        return self

    @model_validator(mode="after")
    def _can_stop_early(self) -> Train:
        if self.early_stop is None:
            return self
        for choice in self.choices:
            if choice.estimator.rpartition(".")[2] not in CAN_STOP_EARLY:
                raise problem_at("early_stop", f"{choice.estimator} cannot stop early; those that can: {', '.join(CAN_STOP_EARLY)}")
        return self
