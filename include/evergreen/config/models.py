"""The config classes of `dataset.yaml` and `model.yaml`. Frozen; unknown keys are refused.

Importing this module costs pydantic alone: it is read at every DAG parse.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, model_validator

from include.evergreen.config.approval import Approval
from include.evergreen.config.base import (
    AnySpan,
    DriftWindow,
    Name,
    OnFail,
    SomeSpan,
    SomeWait,
    Spanned,
    Strict,
    Wait,
    problem_at,
    repeated_names,
)
from include.evergreen.config.calendar import DAYS, Calendar
from include.evergreen.config.card import Card
from include.evergreen.config.classes import MOST_CLASSES
from include.evergreen.config.gate import Gate
from include.evergreen.config.labels import LabelSource
from include.evergreen.config.measuring import Metrics
from include.evergreen.config.rollout import Rollout
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.config.sources import Source, names_partition, partition_names
from include.evergreen.config.training import Train
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import NO_SPAN, Span, SpanUnit

ERROR_OR_WARN = "error: stop the partition; or warn."

# --- dataset.yaml ---------------------------------------------------------------------------------------------------


class AfterPartition(Strict):
    """A moment, told from the beginning of a partition, or from its end."""

    hours_after_partition: float | None = Field(
        default=None, description="Hours from the partition's beginning, its midnight where it is a day; negative means before."
    )
    hours_after_end: float | None = Field(
        default=None,
        description="Instead: hours from the partition's end, for partitions that are not all of one length, such as months, or days of a "
        "time zone with summer time.",
    )

    @model_validator(mode="after")
    def _is_told_once(self) -> AfterPartition:
        if (self.hours_after_partition is None) == (self.hours_after_end is None):
            raise ValueError("give exactly one of hours_after_partition and hours_after_end")
        return self

    def moment(self, grain: Grain, partition: Partition) -> dt.datetime:
        """Tell when the moment of a partition is.

        :param grain: that of the partition
        :param partition: its key
        :returns: the moment, aware and in UTC
        """
        if self.hours_after_end is not None:
            return grain.end(partition) + dt.timedelta(hours=self.hours_after_end)
        assert self.hours_after_partition is not None
        return grain.start(partition) + dt.timedelta(hours=self.hours_after_partition)

    def text(self, grain: Grain, whose: str = "its") -> str:
        """Say when the moment is, for a message.

        :param grain: that of the partitions
        :param whose: ``its``, or ``their``
        :returns: such as ``24 hours after its day begins``, or ``when its day begins``
        """
        hours, then = self.hours_after_partition, f"{whose} {grain.noun} begins"
        if hours is None:
            hours, then = self.hours_after_end, f"{whose} {grain.noun} ends"
        return f"{hours:g} hours after {then}" if hours else f"when {then}"


class Knowledge(AfterPartition):
    """When a partition's rows could first have been known: the rule, and what it holds for.

    The first version of a partition, and all that a backfill ingests, is known by the rule: so a backfill of history
    pretends to have known neither too late nor too early. A correction (changed content in a live run) is known when it
    arrives, unless ``corrections`` says otherwise. A run may set another time itself.
    """

    column: str | None = Field(
        default=None,
        description="A timestamp column that says of each row when it was known. Reads as of T leave out rows that were known later.",
    )
    first: Literal["rule", "arrival"] = Field(
        default="rule", description="When the first version of a partition is known in a live run: by the rule, or when it arrives."
    )
    corrections: Literal["rule", "arrival"] = Field(
        default="arrival",
        description="When changed content is known in a live run: when it arrives, or by the rule, as if the partition had always been so.",
    )

    @model_validator(mode="after")
    def _column_speaks_for_itself(self) -> Knowledge:
        if self.column is not None and {"first", "corrections"} & self.model_fields_set:
            raise problem_at(
                "column", "says when rows were known, so first and corrections have nothing to say; remove them, or the column"
            )
        return self


class Column(Strict):
    """One column of a dataset."""

    name: str = Field(min_length=1, max_length=120, description="As the source calls it, unless from says how that does.")
    from_: str | None = Field(
        default=None,
        alias="from",
        min_length=1,
        max_length=120,
        description="As the source calls it, where name is another: a column that is renamed there keeps its name here.",
    )
    type: Literal["integer", "number", "string", "timestamp", "boolean"] = Field(description="What its cells are; others are refused.")
    nullable: bool = Field(default=False, description="Whether a row may lack a value.")
    unit: str | None = Field(default=None, description="For people, such as minutes.")
    description: str = Field(description="What it means, for people.")
    personal: bool = Field(default=False, description="Personal data: its values are left out of examples, reports, alerts and logs.")
    timezone: str | None = Field(
        default=None,
        description="IANA zone of timestamps that are written without one, such as America/New_York. None: a timestamp must name its own.",
    )

    @property
    def source_name(self) -> str:
        """As the source calls it."""
        return self.from_ or self.name

    @property
    def label(self) -> str:
        """As messages about the source call it: by both names, where they differ."""
        return self.name if self.source_name == self.name else f"{self.name} (from {self.source_name})"

    @model_validator(mode="after")
    def _only_timestamps_have_zones(self) -> Column:
        if self.timezone is None:
            return self
        from zoneinfo import ZoneInfo

        if self.type != "timestamp":
            raise problem_at("timezone", f"is for timestamps, and {self.name} is a {self.type}; remove it")
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise problem_at("timezone", f"{self.timezone!r} is no IANA zone; write one such as UTC or America/New_York") from None
        return self


class Expectation(Strict):
    """One of Great Expectations' expectations, by its own name and arguments."""

    expect: str = Field(
        pattern=r"^(expect_[a-z0-9_]+|([A-Za-z_][A-Za-z0-9_]*\.)+Expect[A-Za-z0-9]+)$",
        description="The expectation's name, such as expect_column_values_to_be_between, or the import path of a class of your own.",
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="The expectation's own keyword arguments.")
    on_fail: OnFail = Field(default="error", description="error: stop the partition; quarantine: set the failing rows aside; or warn.")


class Volume(Spanned):
    """The number of rows against the median of the partitions before."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {
        "window_partitions": ("window", "partition"),
        "min_partitions": ("min_history", "partition"),
    }

    window: SomeWait = Field(default=Span(28, "partition"), description="How far back the partitions begin that it is compared with.")
    min_history: SomeSpan = Field(
        default=Span(7, "partition"), description="With fewer of them than the schedule makes in this time, it is not evaluated."
    )
    at_least: float = Field(default=0.5, ge=0, description="Share of the median below which the check fails.")
    at_most: float = Field(default=2.0, gt=0, description="Multiple of the median above which the check fails.")
    on_fail: Literal["error", "warn"] = Field(default="warn", description=ERROR_OR_WARN)

    @model_validator(mode="after")
    def _can_be_met(self) -> Volume:
        if self.at_least > self.at_most:
            raise problem_at("at_least", f"{self.at_least:g} is above at_most, {self.at_most:g}; no partition would ever pass")
        return self


class Freshness(AfterPartition):
    """A deadline: a partition that has not arrived by then is late."""

    on_fail: Literal["error", "warn"] = Field(default="warn", description=ERROR_OR_WARN)


class Reference(Spanned):
    """Every row's columns must be found together in another dataset; rows with a missing value are not asked."""

    OLDER_KEYS: ClassVar[Mapping[str, tuple[str, SpanUnit]]] = {"lag_days": ("lag", "day"), "days": ("window", "day")}

    columns: tuple[str, ...] = Field(min_length=1, description="The columns here.")
    dataset: Name
    to: tuple[str, ...] = Field(default=(), description="The columns there, in the same order; none means the same names.")
    lag: Wait = Field(default=NO_SPAN, description="How far back from the partition the newest partition is that is looked into.")
    window: SomeSpan = Field(
        default=Span(1, "day"), description="How much of that dataset is looked into, up to that partition, itself included."
    )
    on_fail: OnFail = Field(default="quarantine", description="error: stop the partition; quarantine: set the failing rows aside; or warn.")

    @model_validator(mode="after")
    def _matches_columns(self) -> Reference:
        if self.to and len(self.to) != len(self.columns):
            raise problem_at("to", f"has {len(self.to)} columns and columns has {len(self.columns)}; give as many")
        return self


class Correlation(Strict):
    """Pearson's correlation of two columns, against the reference period's."""

    columns: tuple[str, str] = Field(description="Two columns of numbers or booleans.")
    first: dt.date = Field(description="First partition of the reference period.")
    last: dt.date = Field(description="Last partition of the reference period.")
    max_difference: float = Field(default=0.3, gt=0, le=2, description="How far the correlation may be from the reference period's.")
    on_fail: Literal["error", "warn"] = Field(default="warn", description=ERROR_OR_WARN)

    @model_validator(mode="after")
    def _is_a_period(self) -> Correlation:
        if self.last < self.first:
            raise problem_at("last", f"{self.last} is before first, {self.first}")
        return self


class Quarantine(Strict):
    """How many rows may be set aside."""

    max_share: float = Field(default=0.05, ge=0, le=1, description="Share of a partition's rows above which the whole partition stops.")


class Retention(Strict):
    """How long what nobody needs is kept. What a registered model's snapshot names is never removed."""

    superseded_days: int | None = Field(
        default=None, ge=1, description="Days after which the content of a superseded version is removed; none keeps all versions."
    )
    raw_days: int | None = Field(
        default=30, ge=1, description="Days after which raw rows, as they were fetched, are removed; none keeps them."
    )


class Validity(Strict):
    """From when to when the values of a row hold: those of a dimension that changes slowly (type 2)."""

    from_: str = Field(
        alias="from", description="A timestamp, which is one of the keys: from when on the values of the row hold, itself included."
    )
    to: str | None = Field(
        default=None,
        description="A timestamp: until when they hold, itself excluded; a row without one holds on. By default until the next row of its "
        "other keys begins.",
    )


class DatasetConfig(Strict):
    """A declared source of rows, ingested in partitions."""

    name: Name
    description: str = Field(description="What a row is, and when it is known, in a sentence.")
    owner: str = Field(description="Who answers for it: shown in Airflow.")
    tags: tuple[str, ...] = Field(default=(), description="Airflow's tags of its DAG, beside ours.")
    source: Source = Field(description="Where its rows come from; its type decides which keys there are.")
    schedule: PartitionSchedule
    whole_table: bool = Field(
        default=False,
        description="Each delivery is the whole table and replaces the one before it; a partition is one delivery. The source may name no "
        "partition, and then has the table of now alone. knowledge.first is arrival, unless it is given.",
    )
    validity: Validity | None = Field(
        default=None, description="Rows hold for a time of their own: read.lookup() finds the one that holds at a row's moment."
    )
    knowledge: Knowledge
    columns: tuple[Column, ...] = Field(min_length=1, description="What is kept of what the source gives.")
    keys: tuple[str, ...] = Field(default=(), description="Columns that identify a row within a partition. No two rows may share them.")
    undeclared_columns: Literal["error", "warn", "ignore"] = Field(
        default="warn", description="What to do when the source gives columns that are not declared. They are never kept."
    )
    expectations: tuple[Expectation, ...] = Field(default=(), description="What the rows must be.")
    volume: Volume | None = None
    freshness: Freshness | None = None
    references: tuple[Reference, ...] = Field(default=(), description="What must be found in other datasets.")
    correlations: tuple[Correlation, ...] = Field(default=(), description="What must go together as it did.")
    quarantine: Quarantine = Field(default=Quarantine(), description="How many rows may be set aside.")
    retention: Retention = Retention()

    @property
    def grain(self) -> Grain:
        """How long its partitions are, and in whose time."""
        return self.schedule.partition_grain

    def known_from(self, partition: Partition) -> dt.datetime:
        """Tell from when on a partition is known, by the rule.

        :param partition: its key
        :returns: the moment, aware and in UTC
        """
        return self.knowledge.moment(self.grain, partition)

    def newest_known(self, moment: dt.datetime, oldest: Partition) -> Partition | None:
        """Name the newest partition that has begun and is known at a moment, by schedule and rule.

        :param moment: aware
        :param oldest: no partition before it is looked at
        :returns: its key; None when there is none
        """
        schedule, partition = self.schedule, min(self.grain.at(moment), self.schedule.last)
        while partition >= max(oldest, schedule.first):
            if self.known_from(partition) <= moment and schedule.partitions(partition, partition):
                return partition
            partition = self.grain.shift(partition, -1)
        return None

    @property
    def column_names(self) -> list[str]:
        """The declared columns, in the order of the file, which is that of the stored rows."""
        return [column.name for column in self.columns]

    @property
    def source_names(self) -> list[str]:
        """The declared columns as the source calls them, in the same order."""
        return [column.source_name for column in self.columns]

    @property
    def personal_columns(self) -> frozenset[str]:
        """The columns whose values no report, alert or log may show."""
        return frozenset(column.name for column in self.columns if column.personal)

    @model_validator(mode="before")
    @classmethod
    def _tables_are_known_when_they_arrive(cls, data: Any) -> Any:
        knowledge = data.get("knowledge") if isinstance(data, dict) and data.get("whole_table") is True else None
        if not isinstance(knowledge, dict) or {"first", "column"} & knowledge.keys():
            return data
        return {**data, "knowledge": {**knowledge, "first": "arrival"}}

    @property
    def has_no_past(self) -> bool:
        """Whether its source has the table of now alone, whichever partition is asked for."""
        return self.whole_table and not names_partition(self.source)

    @model_validator(mode="after")
    def _asks_its_source_for_partitions(self) -> DatasetConfig:
        ways = ", ".join(partition_names(self.source))
        if not self.whole_table and not names_partition(self.source):
            raise problem_at(
                "source",
                f"names no partition, so that every partition would have the same rows; use {ways}, or, if each delivery is the whole "
                f"table, whole_table: true",
            )
        for key in ("first", "corrections") if self.has_no_past and self.knowledge.column is None else ():
            if getattr(self.knowledge, key) == "rule":
                raise problem_at(
                    f"knowledge.{key}",
                    f"rule would date the table of today to the past when an earlier partition is ingested, since the source names none; "
                    f"use {key}: arrival, or {ways} in the source",
                )
        return self

    @model_validator(mode="after")
    def _holds_for_a_time(self) -> DatasetConfig:
        if self.validity is None:
            return self
        kinds = {column.name: column for column in self.columns}
        begins, ends = self.validity.from_, self.validity.to
        for key, name in (("validity.from", begins), ("validity.to", ends)):
            if name is not None and (name not in kinds or kinds[name].type != "timestamp"):
                allowed = ", ".join(column.name for column in self.columns if column.type == "timestamp") or "none is declared"
                raise problem_at(key, f"{name!r} must be a timestamp among the columns; allowed: {allowed}")
        if begins not in self.keys:
            raise problem_at("keys", f"must hold {begins}, from which the values of a row hold (validity.from), beside what they are of")
        if ends == begins or ends in self.keys:
            raise problem_at("validity.to", f"{ends} is one of the keys; name the column that says until when the values of a row hold")
        return self

    @model_validator(mode="after")
    def _names_only_its_columns(self) -> DatasetConfig:
        names = self.column_names
        if repeated := repeated_names(names):
            raise problem_at("columns", f"declared twice: {repeated}; keep one of each")
        if repeated := repeated_names(self.source_names):
            raise problem_at("columns", f"taken twice from the source: {repeated}; each of its columns becomes one of ours")
        if unknown := [key for key in self.keys if key not in names]:
            raise problem_at("keys", f"not among the columns: {', '.join(unknown)}; allowed: {', '.join(names)}")
        if nullable := [column.name for column in self.columns if column.nullable and column.name in self.keys]:
            raise problem_at(
                "keys",
                f"{', '.join(nullable)} is nullable, and a row without its key can be found and joined by nothing; remove nullable "
                f"(rows without a value are then quarantined), or choose other keys",
            )
        named = {
            "references": [column for reference in self.references for column in reference.columns],
            "correlations": [column for correlation in self.correlations for column in correlation.columns],
        }
        for key, columns in named.items():
            if unknown := [column for column in columns if column not in names]:
                raise problem_at(key, f"not among the columns: {', '.join(unknown)}; allowed: {', '.join(names)}")
        texts = {column.name: column.type for column in self.columns if column.type in ("string", "timestamp")}
        for column in named["correlations"]:
            if column in texts:
                raise problem_at("correlations", f"{column} is a {texts[column]}; a correlation needs integers, numbers or booleans")
        moments = [column.name for column in self.columns if column.type == "timestamp" and not column.nullable]
        if self.knowledge.column is not None and self.knowledge.column not in moments:
            allowed = ", ".join(moments) or "none is declared"
            raise problem_at("knowledge", f"column {self.knowledge.column!r} must be a timestamp that is not nullable; allowed: {allowed}")
        return self


# --- model.yaml -----------------------------------------------------------------------------------------------------


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


class ScoringMoment(AfterPartition):
    """When a partition is scored, and as of when each of its rows: of that moment, or of the row's own time."""

    column: str | None = Field(
        default=None,
        min_length=1,
        description="A timestamp column of the rows, which is each row's own time: its features see what was known then. The hours then "
        "say when the rows of a partition are there, which is after its end.",
    )

    def moments(self, rows: Grain, partition: Partition) -> tuple[dt.datetime, dt.datetime]:
        """Tell as of when the rows of a partition are scored.

        :param rows: the grain of the rows
        :param partition: a key of it
        :returns: the first and the last moment: the scoring moment for both, or, where rows have their own times, the partition's first
            microsecond and its last
        """
        if self.column is None:
            moment = self.moment(rows, partition)
            return moment, moment
        return rows.start(partition), rows.end(partition) - dt.timedelta.resolution

    def newest_reads(self, rows: Grain, partition: Partition, calendar: Calendar, lag: Span) -> list[Partition]:
        """List the partitions of an input that are the newest to be read for the rows of a partition.

        :param rows: the grain of the rows
        :param partition: a key of it, which is scored
        :param calendar: of the input
        :param lag: of the input
        :returns: keys of the input, oldest first: one, that in which the scored partition begins, less the lag; where rows have their own
            times, those in which any of them may be, less the lag, as far as the input's schedule makes them
        """
        grain = calendar.grain
        if self.column is None:
            return [calendar.minus(grain.at(rows.start(partition)), lag)]
        first, last = self.moments(rows, partition)
        newest = list(dict.fromkeys(calendar.minus(each, lag) for each in grain.between(grain.at(first), grain.at(last))))
        return [each for each in newest if calendar.cron is None or calendar.made(each, each)] or newest[-1:]

    def scored_by(self, rows: Grain, calendar: Calendar, published: Partition, lag: Span) -> list[Partition]:
        """List the partitions of rows for which a partition of an input is among `newest_reads`.

        :param rows: the grain of the rows
        :param calendar: of the input
        :param published: a key of the input
        :param lag: of the input
        :returns: keys of the rows' grain, oldest first
        """
        if self.column is None:
            return calendar.read_by(rows, published, lag)
        grain = calendar.grain
        first, last = calendar.plus(published, lag), calendar.plus(published, lag)
        if calendar.cron is not None and lag.unit == "partition" and lag:  # also those between two that are made
            first = grain.shift(calendar.plus(published, Span(lag.amount - 1, "partition")), 1)
        found = rows.between(rows.at(grain.start(first)), rows.at(grain.end(last) - dt.timedelta.resolution))
        return [each for each in found if published in self.newest_reads(rows, each, calendar, lag)]


WHEN_IT_BEGINS = ScoringMoment(hours_after_partition=0)


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
