"""The config classes of `dataset.yaml`. Frozen; unknown keys are refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from include.evergreen.config.base import Name, OnFail, SomeSpan, SomeWait, Spanned, Strict, Wait, problem_at, repeated_names
from include.evergreen.config.moments import AfterPartition
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.config.sources import Source, names_partition, partition_names
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import NO_SPAN, Span, SpanUnit

ERROR_OR_WARN = "error: stop the partition; or warn."


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
