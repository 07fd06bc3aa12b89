"""Partition mappers: which partitions of a model a dataset's partition affects, and whether there is any work for them.

Airflow calls a mapper when an asset event is registered: in the API server, within the request in which a task reports success. A
key that is mapped to nothing starts no run.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.partition_mappers.base import PartitionMapper

from include.evergreen.config.calendar import DAYS, Calendar
from include.evergreen.config.moments import WHEN_IT_BEGINS, ScoringMoment
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.grain import DAILY, Grain, Partition
from include.evergreen.foundation.span import NO_SPAN, Span

if TYPE_CHECKING:
    from include.evergreen.config.labels import LabelSource

Answer = TypeVar("Answer")
log = logging.getLogger(__name__)
MOST_KEYS = 10_000  # of one event; of more than Airflow's own limit, 1,000, it would drop all. A quarter has 8,832 times 15 minutes
BACKOFF_SECONDS = 30  # after our database failed to respond, so that a thousand models do not each wait for it


class ModelMapper(PartitionMapper):
    """Map a partition of a dataset to those of a model for which the model has work, according to our database.

    A key that is no partition of the dataset maps to nothing, so no run is started for it. If the database does not respond, partitions
    are mapped, and the task checks again.

    :param model: its name, as in ``include/models``
    :param dataset: name of the dataset whose partitions are mapped
    :param calendar: which partitions the dataset has, or its grain's unit, its time zone and its cron expression, as it is serialized
    :param rows_grain: the grain of the model, or its unit and time zone
    :param **kwargs: passed to ``PartitionMapper``
    """

    def __init__(
        self,
        *,
        model: str,
        dataset: str,
        calendar: Calendar | list[str | None] = DAYS,
        rows_grain: Grain | list[str] = DAILY,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"max_downstream_keys": MOST_KEYS, **kwargs})
        self.model = model
        self.dataset = dataset
        self.calendar = calendar if isinstance(calendar, Calendar) else Calendar(Grain(*calendar[:2]), calendar[2])  # type: ignore[arg-type]
        self.rows_grain = rows_grain if isinstance(rows_grain, Grain) else Grain(*rows_grain)

    @property
    def grain(self) -> Grain:
        """Return the grain of the dataset."""
        return self.calendar.grain

    def to_partition_date(self, downstream_key: str) -> dt.datetime | None:
        """Return the date of a run of the model.

        :param downstream_key: the model's partition key
        :returns: when its partition begins, in UTC, or None if the key is none of the model's
        """
        partition = _parse(downstream_key, self.rows_grain)
        return self.rows_grain.start(partition) if partition else None

    def serialize(self) -> dict[str, Any]:
        """Serialize the mapper with its DAG.

        :returns: the arguments from which `deserialize` rebuilds it
        """
        grain, rows = self.grain, self.rows_grain
        own = {"calendar": [grain.unit, grain.timezone, self.calendar.cron], "rows_grain": [rows.unit, rows.timezone]}
        return {"model": self.model, "dataset": self.dataset, **own, **super().serialize()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> ModelMapper:
        """Rebuild the mapper.

        :param data: what `serialize` returned, of this release or of an earlier one
        :returns: the mapper
        """
        data = dict(data)
        lag = data.pop("days", data.get("lag"))  # of a release that knew days alone, or counted partitions
        if issubclass(cls, ScoringMapper) and isinstance(lag, int):
            data["lag"] = f"{lag} partitions"
        if "grain" in data:
            data["calendar"] = [*data.pop("grain"), None]
        if "within_days" in data:
            data["within"] = f"{data.pop('within_days')} days"
        return cls(**data)


class ScoringMapper(ModelMapper):
    """Map an input's partition to those that can be scored and were not, and to those of which it corrects what was read.

    :param lag: how much earlier than the partition in which the scored one begins the newest is that is read
    :param scored_at: the scoring moment of the model's partitions
    :param reads_newest: whether the input's newest known partition is read, so that our database says by which
    :param **kwargs: passed to ``ModelMapper``
    """

    def __init__(
        self,
        *,
        lag: Span | str = NO_SPAN,
        scored_at: ScoringMoment | dict[str, Any] = WHEN_IT_BEGINS,
        reads_newest: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.lag, self.reads_newest = lag if isinstance(lag, Span) else Span.parse(lag), reads_newest
        self.scored_at = scored_at if isinstance(scored_at, ScoringMoment) else ScoringMoment(**scored_at)

    def to_downstream(self, key: str) -> str | list[str]:
        """Map an input's partition key to the model's.

        :param key: the input's partition key
        :returns: the model's partition keys for which there is work: often one or none, where both are of one grain
        """
        published = _parse(key, self.grain)
        if published is None:
            return []
        affected = self.scored_at.scored_by(self.rows_grain, self.calendar, published, self.lag)
        if self.reads_newest:
            affected = _Database.ask(self, published, self.reading, if_unknown=affected)
        return [
            str(partition)
            for partition in affected
            if _Database.ask(self, published, lambda name, scored=partition: self.has_work(name, scored), if_unknown=True)  # type: ignore[misc]
        ]

    def reading(self, published: Partition) -> list[Partition]:
        """Return the model's partitions that read an input's partition, if its newest known one is read.

        :param published: the input's partition
        :returns: the partitions, whether or not there is work for them
        """
        from include.evergreen.config import Catalog
        from include.evergreen.scoring.readiness import partitions_reading

        return partitions_reading(Catalog().model(self.model), self.dataset, published)

    def has_work(self, published: Partition, partition: Partition) -> bool:
        """Return whether an event of an input's partition should start a scoring.

        :param published: the input's partition
        :param partition: the model's
        :returns: whether it can be scored, and was not, or must be scored again
        """
        from include.evergreen.scoring.readiness import partition_name, scoring

        key = (self.dataset, published)
        return scoring(self.model, partition, key, moment=self.scored_at.moment(self.rows_grain, partition)).is_started_by(
            partition_name(key)
        )

    def serialize(self) -> dict[str, Any]:
        """Serialize the mapper with its DAG.

        :returns: the arguments from which `deserialize` rebuilds it
        """
        own = {"lag": str(self.lag), "scored_at": self.scored_at.model_dump(exclude_none=True), "reads_newest": self.reads_newest}
        return {**own, **super().serialize()}


class MonitoringMapper(ModelMapper):
    """Map a scored partition if its predictions, or its labels once they are mature, were not monitored yet.

    :param within: how long after a scored partition its labels may still come
    :param **kwargs: passed to ``ModelMapper``; ``dataset`` and ``calendar`` are those of the labels
    """

    def __init__(self, *, within: Span | str = NO_SPAN, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.within = within if isinstance(within, Span) else Span.parse(within)

    @property
    def labels(self) -> LabelSource:
        """Return where the labels of the model are."""
        from include.evergreen.config.labels import LabelSource

        return LabelSource(self.dataset, self.within, self.rows_grain, self.calendar)

    def to_downstream(self, key: str) -> str | list[str]:
        """Map a partition of the predictions to itself, if there is something to monitor.

        :param key: the predictions' partition key, which is the model's
        :returns: the same key, or an empty list
        """
        partition = _parse(key, self.rows_grain)
        return key if partition and _Database.ask(self, partition, self.has_work, if_unknown=True) else []

    def has_work(self, partition: Partition) -> bool:
        """Return whether an event of the predictions should start a monitoring run.

        :param partition: the partition of the predictions
        :returns: whether there is something that was not monitored yet
        """
        from include.evergreen.scoring.readiness import monitoring

        return monitoring(self.model, partition, self.labels).is_due

    def serialize(self) -> dict[str, Any]:
        """Serialize the mapper with its DAG.

        :returns: the arguments from which `deserialize` rebuilds it
        """
        return {"within": str(self.within), **super().serialize()}


class LabelsMapper(MonitoringMapper):
    """Map a partition of labels to the scored ones whose labels it makes mature, or whose mature labels it changes.

    :param within: how long after a scored partition its labels may still come
    :param **kwargs: passed to ``ModelMapper``
    """

    def to_downstream(self, key: str) -> str | list[str]:
        """Map a partition of labels to the scored ones that have something new to monitor because of it.

        :param key: the labels' partition key
        :returns: the scored partitions' keys, often one or none. If our database does not respond, the first one that may be affected:
            labels mostly arrive in order, and make that one mature
        """
        published = _parse(key, self.grain)
        if published is None:
            return []
        first, _ = self.labels.rows(published)
        return list(map(str, _Database.ask(self, published, self.affected, if_unknown=[first])))

    def affected(self, published: Partition) -> list[Partition]:
        """Return the scored partitions for which an event of the labels should start a monitoring run.

        :param published: the partition of the labels
        :returns: the partitions that have something new to monitor
        """
        from include.evergreen.scoring.readiness import monitorings_started_by

        return monitorings_started_by(self.model, published, self.labels)


class _Database:
    """Our database, as seen by mappers: after it failed to respond it is not queried for a while."""

    retry_at = 0.0  # on the monotonic clock

    @classmethod
    def ask(cls, mapper: ModelMapper, published: Partition, question: Callable[[Partition], Answer], *, if_unknown: Answer) -> Answer:
        """Ask what work there is.

        :param mapper: the mapper that asks the database
        :param published: the dataset's partition
        :param question: what the mapper asks of it
        :param if_unknown: the answer that lets a task check
        :returns: the answer
        """
        if time.monotonic() < cls.retry_at:
            return if_unknown
        try:
            return question(published)
        except Exception as error:  # any error: an event that is mapped to nothing by mistake is lost
            if isinstance(error, TransientError):
                cls.retry_at = time.monotonic() + BACKOFF_SECONDS
            log.warning("Unknown whether %s has work for %s/%s, so a task will check: %s", mapper.model, mapper.dataset, published, error)
            return if_unknown


def _parse(key: str, grain: Grain) -> Partition | None:
    try:
        return grain.parse(key)
    except ConfigError:
        return None
