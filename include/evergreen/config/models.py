"""What a `dataset.yaml` and a `model.yaml` may say. Frozen; unknown keys are refused.

Importing this module costs pydantic alone: it is read at every DAG parse.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,59}$",
        description="Lower-case letters, digits and underscores; starts with a letter.",
    ),
]
ExpandedPath = Annotated[
    str,
    Field(
        description="A path or URL. `${NAME}` is replaced by the environment variable NAME.",
        json_schema_extra={"expands": True},
    ),
]


LONGEST_WINDOW_DAYS = 3660  # ten years: a slip must not leave the calendar


class Strict(BaseModel):
    """Base of every config class: frozen; unknown keys, infinities and NaN are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _problem(key: str, text: str) -> PydanticCustomError:
    """A problem that a check of several keys lays at one of them, so that the loader can name its line."""
    return PydanticCustomError("at_key", "{text}", {"text": text, "key": key})


def _repeated(names: list[str]) -> str:
    return ", ".join(sorted({name for name in names if names.count(name) > 1}))


# --- shared ---------------------------------------------------------------------------------------------------------


CRON_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
_CRON_HELP = f"give minute, hour, day of month, month and day of week, such as '0 6 * * 1', or {', '.join(CRON_PRESETS)}"


class PartitionSchedule(Strict):
    """When runs start, and which day's partition each makes."""

    cron: str = Field(description="Cron expression, read in UTC, that starts a run.")
    run_offset: int = Field(default=0, description="Cron intervals from the run to its partition: -1 means yesterday's partition.")
    start: dt.date = Field(description="First partition.")
    end: dt.date | None = Field(default=None, description="Last partition; none means that it goes on.")

    @field_validator("cron")
    @classmethod
    def _cron_comes_round(cls, cron: str) -> str:
        # Imported here: 40 ms that only a file with a schedule need pay.
        from croniter import CroniterBadDateError, croniter

        if not cron.startswith("@") and (len(cron.split()) != 5 or re.search(r"(?i)(^|[\s,])r([\s,(/]|$)", cron)):
            raise ValueError(f"{cron!r} is not a cron expression of five fields; {_CRON_HELP}")
        if cron.startswith("@") and cron not in CRON_PRESETS:
            raise ValueError(f"unknown preset {cron!r}; {_CRON_HELP}")
        try:
            croniter(cron, dt.datetime(2000, 1, 1, tzinfo=dt.UTC)).get_next()
        except CroniterBadDateError:
            raise ValueError(f"{cron!r} names a date that never comes; {_CRON_HELP}") from None
        except (ValueError, KeyError) as error:
            raise ValueError(f"{cron!r} is not a cron expression ({error}); {_CRON_HELP}") from None
        return cron

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> PartitionSchedule:
        if self.end is not None and self.end < self.start:
            raise _problem("end", f"{self.end} is before start, {self.start}; no partition would ever be made")
        return self


# --- dataset.yaml ---------------------------------------------------------------------------------------------------


class FilesSource(Strict):
    """One CSV file a partition, in a local folder."""

    type: Literal["files"]
    path: ExpandedPath = Field(description="Where a partition's file lies; `{partition}` stands for its key. Expands `${NAME}`.")
    format: Literal["csv"] = "csv"
    missing_values: tuple[str, ...] = Field(default=("", "NA"), description="Cells that mean 'no value'.")


class Knowledge(Strict):
    """When a partition's rows could first have been known."""

    hours_after_partition: float = Field(
        description="Hours from the partition's midnight (UTC) until its rows are known; negative means before."
    )


class Column(Strict):
    name: str
    type: Literal["integer", "number", "string", "timestamp", "boolean"]
    nullable: bool = False
    unit: str | None = None
    description: str


OnFail = Literal["stop", "quarantine", "warn"]


class Expectation(Strict):
    """One of Great Expectations' expectations, by its own name and arguments."""

    expect: str = Field(
        pattern=r"^expect_[a-z0-9_]+$",
        description="The expectation's name, such as expect_column_values_to_be_between.",
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="The expectation's own keyword arguments.")
    on_fail: OnFail = Field(default="stop", description="stop the partition, quarantine the failing rows, or warn.")


class Quarantine(Strict):
    max_share: float = Field(default=0.05, ge=0, le=1, description="Share of a partition's rows above which the whole partition stops.")


class DatasetConfig(Strict):
    """A declared source of rows, ingested in partitions."""

    name: Name
    description: str
    owner: str
    tags: tuple[str, ...] = ()
    source: FilesSource
    schedule: PartitionSchedule
    knowledge: Knowledge
    columns: tuple[Column, ...] = Field(min_length=1)
    keys: tuple[str, ...] = Field(default=(), description="Columns that identify a row within a partition. No two rows may share them.")
    expectations: tuple[Expectation, ...] = ()
    quarantine: Quarantine = Quarantine()

    @model_validator(mode="after")
    def _keys_are_columns(self) -> DatasetConfig:
        names = [column.name for column in self.columns]
        if repeated := _repeated(names):
            raise _problem("columns", f"declared twice: {repeated}; keep one of each")
        if unknown := [key for key in self.keys if key not in names]:
            raise _problem("keys", f"not among the columns: {', '.join(unknown)}; allowed: {', '.join(names)}")
        return self


# --- model.yaml -----------------------------------------------------------------------------------------------------


class Input(Strict):
    """A dataset that the model reads, and how late: lag_days 1 means that day D reads partitions up to D-1."""

    dataset: Name
    lag_days: int = Field(default=0, ge=0, le=31)


class Target(Strict):
    """What the model predicts: a column of the dataset in which the truth arrives."""

    dataset: Name
    column: str
    positive_above: float | None = Field(default=None, description="Classification: a row is positive when the column is above this.")


class Feature(Strict):
    name: str
    kind: Literal["numeric", "categorical"]
    description: str


class Train(Strict):
    schedule: PartitionSchedule | None = Field(default=None, description="Trains by the clock; none trains by hand and by firing alone.")
    window_days: int = Field(default=60, ge=2, le=LONGEST_WINDOW_DAYS, description="Days of rows before as_of that a training run reads.")
    min_days: int = Field(default=14, ge=2, description="Fewer days than this with rows and labels stop the training.")
    holdout_days: int = Field(default=7, ge=1, description="The newest days of the window, kept from fitting and used by the gate.")
    estimator: str = Field(description="Import path of a scikit-learn compatible estimator.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="The estimator's keyword arguments.")
    seed: int = 0

    @model_validator(mode="after")
    def _holdout_leaves_rows_to_fit(self) -> Train:
        if not self.holdout_days < self.min_days <= self.window_days:
            got = f"{self.holdout_days}, {self.min_days}, {self.window_days}"
            raise ValueError(f"need holdout_days < min_days <= window_days, got {got}")
        return self


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


class Monitor(Strict):
    window_days: int = Field(
        default=1,
        ge=1,
        le=31,
        description="Days of predictions, up to the monitored one, whose drift is measured together.",
    )
    numeric_threshold: float = Field(
        default=2.0,
        gt=0,
        description="Wasserstein distance, in standard deviations of the reference, from which a number counts as drifted.",
    )
    categorical_threshold: float = Field(
        default=0.1, gt=0, le=1, description="Jensen-Shannon distance from which a category counts as drifted."
    )
    reference_rows: int = Field(default=5000, ge=100, description="Rows of the training snapshot kept as the drift reference.")


class Rule(Strict):
    """Fires when k of the last n observations of a metric breach, the newest among them."""

    metric: str = Field(description="An observation's name, such as drift.share or performance.auc.")
    above: float | None = None
    below: float | None = None
    k: int = Field(ge=1)
    n: int = Field(ge=1)

    @model_validator(mode="after")
    def _is_consistent(self) -> Rule:
        if (self.above is None) == (self.below is None):
            raise ValueError("give exactly one of above and below")
        if self.k > self.n:
            raise ValueError(f"k ({self.k}) of n ({self.n}) can never be met: k must be at most n")
        return self

    @property
    def name(self) -> str:
        """How people and records call this rule: ``performance.auc<0.6 (2 of 3)``."""
        bound = f">{self.above:g}" if self.above is not None else f"<{self.below:g}"
        return f"{self.metric}{bound} ({self.k} of {self.n})"


class Retrain(Strict):
    rules: tuple[Rule, ...] = ()
    cooldown_days: int = Field(default=7, ge=0, description="Days, in partition time, after a firing in which no other fires.")


class ModelConfig(Strict):
    """A declared model: what it predicts, from what, and what keeps it fresh."""

    name: Name
    description: str
    owner: str
    tags: tuple[str, ...] = ()
    task: Literal["classification", "regression"]
    rows: Name = Field(description="The dataset whose rows are scored.")
    inputs: tuple[Input, ...] = Field(min_length=1)
    target: Target
    features: tuple[Feature, ...] = Field(min_length=1)
    train: Train
    gate: Gate
    monitor: Monitor = Monitor()
    retrain: Retrain = Retrain()

    @model_validator(mode="after")
    def _fits_together(self) -> ModelConfig:
        declared = [each.dataset for each in self.inputs]
        if repeated := _repeated(declared):
            raise _problem("inputs", f"given twice: {repeated}; a dataset is read with one lag_days, keep one of each")
        if repeated := _repeated([each.name for each in self.features]):
            raise _problem("features", f"declared twice: {repeated}; keep one of each")
        if self.rows not in declared:
            raise _problem("rows", f"{self.rows!r} is not among the inputs; allowed: {', '.join(declared)}")
        if self.task == "classification" and self.target.positive_above is None:
            raise _problem("target", "a classification needs positive_above: rows above it are positive")
        if self.task == "regression" and self.target.positive_above is not None:
            raise _problem("target.positive_above", "is for classification, and this is a regression; remove it")
        return self

    def lag_days(self, dataset: str) -> int:
        """Days between a scored partition and the newest partition of ``dataset`` that it may read."""
        return next(each.lag_days for each in self.inputs if each.dataset == dataset)
