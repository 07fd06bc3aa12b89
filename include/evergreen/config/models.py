"""The config classes of `model.yaml`. Frozen; unknown keys are refused.

Importing this module costs pydantic alone: it is read at every DAG parse.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

from pydantic import Field, PrivateAttr, model_validator

from include.evergreen.config.approval import Approval
from include.evergreen.config.base import Name, SomeSpan, Spanned, Strict, Wait, problem_at, repeated_names
from include.evergreen.config.calendar import DAYS, Calendar
from include.evergreen.config.card import Card
from include.evergreen.config.classes import MOST_CLASSES
from include.evergreen.config.gate import Gate
from include.evergreen.config.labels import LabelSource
from include.evergreen.config.measuring import Metrics
from include.evergreen.config.moments import WHEN_IT_BEGINS, ScoringMoment
from include.evergreen.config.monitoring import Monitor, Retrain
from include.evergreen.config.rollout import Rollout
from include.evergreen.config.training import Train
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import NO_SPAN, Span, SpanUnit


class Input(Spanned):
    """A dataset that the model reads, and how late: with a lag of 1 day, day D reads partitions up to D-1."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {
        "lag_days": ("lag", "day"),
        "lag_hours": ("lag", "hour"),
        "window_days": ("window", "day"),
        "max_age_days": ("max_age", "day"),
    }

    dataset: Name
    lag: Wait = Field(
        default=NO_SPAN,
        description="How much earlier than the partition in which the scored one begins the newest is that is read, and waited for.",
    )
    window: SomeSpan = Field(
        default=Span(31, "day"),
        description="How much of it features may look back over; a correction older than this re-scores nothing.",
    )
    max_age: SomeSpan | None = Field(
        default=None,
        description="Instead of a lag and a window: the newest partition is read that has begun and is known at the scoring moment, and is "
        "at most so much before it, and no newer one is waited for. A whole_table is read so.",
    )

    @model_validator(mode="after")
    def _is_read_in_one_way(self) -> Input:
        if self.reads_newest and (given := [key for key in ("lag", "window") if key in self.model_fields_set]):
            raise problem_at(
                given[0], "is for partitions that are waited for; with max_age the newest known one is read: remove one of the two"
            )
        return self

    @property
    def reads_newest(self) -> bool:
        """Whether the newest known partition is read, rather than one that the scored partition decides."""
        return self.max_age is not None


class Target(Spanned):
    """What the model predicts: a column of the dataset in which the labels arrive."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {"within_days": ("within", "day")}

    dataset: Name
    column: str = Field(
        description="An integer or a number; for classes also a boolean or a text. A row without a value is neither learnt from nor judged."
    )
    positive_above: float | None = Field(default=None, description="Classification: a row is positive when the column is above this.")
    positive: bool | int | str | None = Field(
        default=None, description="Classification: a row is positive when the column is just this, such as true or 'yes'."
    )
    classes: tuple[bool | int | str, ...] | None = Field(
        default=None,
        min_length=2,
        max_length=MOST_CLASSES,
        description="Multiclass: the values that are classes. Rows of others teach nothing, and are measured as predicted wrongly. None: "
        "each training learns them from its rows.",
    )
    min_class_rows: int = Field(
        default=5,
        ge=1,
        description="Multiclass: a class with fewer rows to fit on is not learnt, as if it were not there.",
    )
    within: Wait = Field(
        default=NO_SPAN,
        description="How long after a row's own partition its label may still come, in any partition of that time. By default it stands "
        "in the partition of the same time.",
    )
    absent: Literal["negative", "unlabelled"] = Field(
        default="unlabelled",
        description="What a row is that no label has come for when all its labels are mature: negative, for a classification, or neither "
        "learnt from nor judged.",
    )

    @model_validator(mode="after")
    def _has_one_way_of_being_positive(self) -> Target:
        if self.positive is not None and self.positive_above is not None:
            raise problem_at("positive", "says which value is positive, and positive_above from where on; give one of the two")
        if repeated := repeated_names(list(map(str, self.classes or ()))):
            raise problem_at("classes", f"given twice: {repeated}; keep one of each")
        return self

    @property
    def class_texts(self) -> tuple[str, ...]:
        """The declared classes as text, as they are learnt, predicted and kept; empty when each training learns them."""
        return tuple(map(str, self.classes or ()))

    @property
    def asks_for_two_classes(self) -> bool:
        """Whether it says what is positive, as a classification does."""
        return self.positive is not None or self.positive_above is not None

    @property
    def positive_text(self) -> str:
        """What is positive, as model.yaml says it: ``positive_above (15.0)``, or ``positive ('yes')``."""
        return f"positive ({self.positive!r})" if self.positive is not None else f"positive_above ({self.positive_above})"


class Feature(Strict):
    """One column that features.py computes."""

    name: str = Field(description="The column that features.py gives.")
    kind: Literal["numeric", "categorical"] = Field(description="How it is prepared for the estimator, and how its drift is measured.")
    description: str = Field(description="What it means, for people.")
    personal: bool = Field(
        default=False, description="It carries personal data: drift is not measured on it, and no report shows its values."
    )


class FeatureGroup(Strict):
    """Many features in a few lines: those of a dataset's columns, or numbered ones; loading the model writes them out."""

    columns_of: Name | None = Field(
        default=None,
        description="A dataset of the inputs: one feature for each of its columns, of the column's name, kind and description.",
    )
    matching: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="columns_of: which of its columns, by patterns as of file names, such as sensor_*."
    )
    without: tuple[str, ...] = Field(default=(), description="columns_of: which of these not, by patterns; keys and the target never are.")
    numbered: str | None = Field(
        default=None,
        pattern=r"^[^{}]*\{\d+\.\.\d+\}[^{}]*$",
        description="Instead: one feature for each number, such as load_lag_{1..168}h; {001..200} keeps the zeros.",
    )
    kind: Literal["numeric", "categorical"] | None = Field(
        default=None, description="numbered: of each. columns_of: instead of what the column's type says: numbers are numeric, others not."
    )
    description: str | None = Field(
        default=None, description="numbered: of each, with {} for its number. columns_of: instead of each column's own."
    )
    personal: bool | None = Field(default=None, description="numbered: of each. columns_of: instead of what the column is declared as.")

    @model_validator(mode="after")
    def _says_which(self) -> FeatureGroup:
        if (self.columns_of is None) == (self.numbered is None):
            raise ValueError("give exactly one of columns_of, a dataset, and numbered, a name with a range such as lag_{1..24}")
        if self.numbered is not None:
            for key in ("matching", "without"):
                if key in self.model_fields_set:
                    raise problem_at(key, "is for columns_of; remove it, or give columns_of instead of numbered")
            for key in ("kind", "description"):
                if getattr(self, key) is None:
                    raise problem_at(key, "is missing; numbered features have no column to take it from")
        return self


class ModelConfig(Spanned):
    """A declared model: what it predicts, from what, and what keeps it fresh."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {"max_champion_age_days": ("max_champion_age", "day")}

    name: Name
    description: str = Field(description="What it predicts, in a sentence.")
    owner: str = Field(description="Who answers for it: shown in Airflow and on its cards.")
    tags: tuple[str, ...] = Field(default=(), description="Airflow's tags of its DAGs, beside ours.")
    task: Literal["classification", "multiclass", "regression"] = Field(
        description="A chance of being positive, which of several classes, or a figure."
    )
    rows: Name = Field(description="The dataset whose rows are scored.")
    scored_at: ScoringMoment = Field(
        default=WHEN_IT_BEGINS,
        description="The moment at which a partition's rows are scored: features see what was known then. By default when it begins; with "
        "column, each row's own time.",
    )
    inputs: tuple[Input, ...] = Field(min_length=1, description="Every dataset that features.py reads, that of the rows included.")
    target: Target
    features: tuple[Feature, ...] = Field(
        default=(), description="Exactly what features.py gives, with those of features_from; at least one."
    )
    features_from: tuple[FeatureGroup, ...] = Field(default=(), description="Many more features, in a few lines.")
    train: Train
    metrics: Metrics = Metrics()
    gate: Gate
    approval: Approval = Approval()
    rollout: Rollout = Rollout()
    monitor: Monitor = Monitor()
    retrain: Retrain = Retrain()
    max_champion_age: SomeSpan | None = Field(
        default=None,
        description="How long after the champion's as_of it becomes an alert that it still serves. By default its age is no alert.",
    )
    card: Card = Card()
    explain: bool = Field(
        default=False, description="Also keep what each feature contributed to each prediction; scoring then takes several times as long."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> ModelConfig:
        declared = [model_input.dataset for model_input in self.inputs]
        if repeated := repeated_names(declared):
            raise problem_at("inputs", f"given twice: {repeated}; a dataset is read with one lag, keep one of each")
        if not self.features and not self.features_from:
            raise problem_at("features", "is empty; declare at least one, here or by features_from")
        if repeated := repeated_names(self.feature_names):
            raise problem_at("features", f"declared twice: {repeated}; keep one of each")
        if self.rows not in declared:
            raise problem_at("rows", f"{self.rows!r} is not among the inputs; allowed: {', '.join(declared)}")
        if self.input(self.rows).reads_newest:
            raise problem_at("rows", f"{self.rows} has max_age among the inputs, and rows are those of one partition; remove it there")
        if self.task == "classification" and not self.target.asks_for_two_classes:
            raise problem_at("target", "a classification needs positive, a value, or positive_above: rows above it are positive")
        if self.task != "classification" and self.target.asks_for_two_classes:
            name = "positive" if self.target.positive is not None else "positive_above"
            raise problem_at(f"target.{name}", f"is for classification, and this is a {self.task}; remove it")
        if self.task != "classification" and self.target.absent == "negative":
            raise problem_at("target.absent", f"negative is for classification, and this is a {self.task}; allowed: unlabelled")
        for key in ("classes", "min_class_rows"):
            if self.task != "multiclass" and key in self.target.model_fields_set:
                raise problem_at(f"target.{key}", f"is for multiclass, and this is a {self.task}; remove it")
        for key, other in self.metrics.unfit_for(self.task).items():
            raise problem_at(f"metrics.{key}", f"is for {other}, and this is a {self.task}; remove it")
        return self

    _calendar_of: Callable[[str], Calendar] | None = PrivateAttr(default=None)

    def with_calendars(self, calendar_of: Callable[[str], Calendar]) -> ModelConfig:
        """Tell the model which partitions the datasets have that it reads.

        :param calendar_of: the calendar of a dataset, by its name
        :returns: the same model, which knows them; one that was never told takes all for days
        """
        told = self.model_copy()
        told._calendar_of = calendar_of
        return told

    def calendar_of(self, dataset: str) -> Calendar:
        """Look up which partitions a dataset has.

        :param dataset: name of an input, or of the target's dataset
        :returns: how long they are, in whose time, and which of them its schedule makes
        """
        return self._calendar_of(dataset) if self._calendar_of else DAYS

    def grain_of(self, dataset: str) -> Grain:
        """Look up the grain of a dataset.

        :param dataset: name of an input, or of the target's dataset
        :returns: how long its partitions are, and in whose time
        """
        return self.calendar_of(dataset).grain

    @property
    def calendar(self) -> Calendar:
        """Which partitions its rows have: as_of and what the model makes are keyed by them."""
        return self.calendar_of(self.rows)

    @property
    def grain(self) -> Grain:
        """How long the partitions of its rows are, and in whose time."""
        return self.calendar.grain

    @property
    def counts_partitions(self) -> bool:
        """Whether what is learnt depends on which partitions schedules make, as a span says a number of them."""
        train, read = self.train, [span for each in self.inputs for span in (each.lag, each.window, each.max_age)]
        half_life = train.weights.half_life if train.weights else None
        early = train.early_stop.holdout if train.early_stop else None
        spans = [self.target.within, train.window, train.min_history, train.holdout, half_life, early, *read]
        return any(span is not None and span.unit == "partition" for span in spans)

    @property
    def asks_the_same(self) -> tuple[object, ...]:
        """What must be equal of two versions to compare them: which rows they predict for, and what; but not which classes they know."""
        which_classes = {"classes": None, "min_class_rows": Target.model_fields["min_class_rows"].default}
        return self.target.model_copy(update=which_classes), self.rows, self.task

    @property
    def labels(self) -> LabelSource:
        """Which partitions hold the labels of which rows."""
        return LabelSource(self.target.dataset, self.target.within, self.grain, self.calendar_of(self.target.dataset))

    def moment(self, partition: Partition) -> dt.datetime:
        """Tell the scoring moment of a partition: what was known then, and nothing later, its features may see.

        :param partition: a key of the model
        :returns: the moment, aware and in UTC
        """
        return self.scored_at.moment(self.grain, partition)

    @property
    def own_time(self) -> str | None:
        """The column that says of each row as of when it is scored; None: all rows of a partition are scored as of its moment."""
        return self.scored_at.column

    def newest(self, dataset: str, partition: Partition) -> Partition:
        """Name the newest partition of an input that is read to score a partition. Raises `ConfigError` as `input` does.

        :param dataset: name of an input of the model
        :param partition: the scored one
        :returns: its key: of the one in which the scored partition begins, less the input's lag; of an input whose newest known partition
            is read, the newest that may be it: the one in which the scoring moment is. Where rows have their own times, that of the last
        """
        if self.input(dataset).reads_newest:
            return self.grain_of(dataset).at(self.scored_at.moments(self.grain, partition)[1])
        return self.newest_of_rows(dataset, partition)[-1]

    def newest_of_rows(self, dataset: str, partition: Partition) -> list[Partition]:
        """Name the newest partitions of an input that are read for the rows of a partition, and waited for. Raises what `newest` raises.

        :param dataset: name of an input of the model
        :param partition: the scored one
        :returns: keys, oldest first: that of `newest`, and, where rows have their own times, those of earlier rows before it
        """
        read, calendar = self.input(dataset), self.calendar_of(dataset)
        if read.reads_newest:
            return [self.newest(dataset, partition)]
        return self.scored_at.newest_reads(self.grain, partition, calendar, read.lag)

    def oldest(self, dataset: str, partition: Partition) -> Partition:
        """Name the oldest partition of an input that features may look back to. Raises what `newest` raises.

        :param dataset: name of an input of the model
        :param partition: the scored one
        :returns: its key
        """
        calendar, read = self.calendar_of(dataset), self.input(dataset)
        if read.max_age is not None:
            return calendar.minus(calendar.grain.at(self.scored_at.moments(self.grain, partition)[0]), read.max_age)
        first = calendar.first_of(calendar.minus(calendar.grain.at(self.grain.start(partition)), read.lag), read.window)
        return first if self.own_time is None else calendar.grain.shift(first, -1)  # a window of a row's own reaches into one more

    def scored_by(self, dataset: str, published: Partition) -> list[Partition]:
        """List the partitions for which a partition of an input is the newest that is read: the reverse of `newest`.

        :param dataset: name of an input of the model, but of none whose newest known partition is read, which depends on what was published
        :param published: the input's partition
        :returns: keys of the model's partitions, oldest first: one where both have the same grain, many of a longer input, none or one of
            a shorter one
        """
        return self.scored_at.scored_by(self.grain, self.calendar_of(dataset), published, self.input(dataset).lag)

    @property
    def feature_names(self) -> list[str]:
        """The declared features, in the order in which the estimator gets them."""
        return [feature.name for feature in self.features]

    @property
    def has_personal_features(self) -> bool:
        """Whether what a library says of the rows may quote a person's."""
        return any(feature.personal for feature in self.features)

    def input(self, dataset: str) -> Input:
        """Find how the model reads a dataset.

        :param dataset: name of an input of the model
        :returns: the input as model.yaml declares it
        :raises ConfigError: when the model has no such input
        """
        for model_input in self.inputs:
            if model_input.dataset == dataset:
                return model_input
        declared = ", ".join(model_input.dataset for model_input in self.inputs)
        raise ConfigError(f"{self.name}: {dataset!r} is not among the inputs of model.yaml; allowed: {declared}. Add it there.")
