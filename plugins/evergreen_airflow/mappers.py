"""Partition mappers: which day of a model a dataset's day affects, and whether there is any work for it.

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

from include.evergreen.foundation.clock import PARTITION_FORMAT, day_start, parse_partition
from include.evergreen.foundation.errors import ConfigError, TransientError

if TYPE_CHECKING:
    from include.evergreen.config.labels import LabelSource

Answer = TypeVar("Answer")
log = logging.getLogger(__name__)
BACKOFF_SECONDS = 30  # after our database failed to respond, so that a thousand models do not each wait for it


class DayShiftMapper(PartitionMapper):
    """Map a day to the day that is ``days`` later: yesterday's weather affects today's scoring.

    A key that is not a day maps to nothing, so no run is started for it.

    :param days: number of days from the dataset's partition to the model's
    :param **kwargs: passed to ``PartitionMapper``
    """

    def __init__(self, days: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.days = days

    def to_downstream(self, key: str) -> str | list[str]:
        """Map a dataset's partition key to the model's.

        :param key: the dataset's partition key
        :returns: the model's partition key, or an empty list if the key is not a day
        """
        day = _parse(key)
        return (day + dt.timedelta(days=self.days)).strftime(PARTITION_FORMAT) if day else []

    def to_partition_date(self, downstream_key: str) -> dt.datetime | None:
        """Return the date of a run of the model.

        :param downstream_key: the model's partition key
        :returns: midnight UTC of its day, or None if the key is not a day
        """
        day = _parse(downstream_key)
        return day_start(day) if day else None

    def serialize(self) -> dict[str, Any]:
        """Serialize the mapper with its DAG.

        :returns: the arguments from which `deserialize` rebuilds it
        """
        return {"days": self.days, **super().serialize()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DayShiftMapper:
        """Rebuild the mapper.

        :param data: what `serialize` returned
        :returns: the mapper
        """
        return cls(**data)


class _WorkMapper(DayShiftMapper):
    """Map like `DayShiftMapper`, but only days for which the model has work, according to our database.

    If the database does not respond the day is mapped, and the task checks again.

    :param model: its name, as in ``include/models``
    :param dataset: name of the dataset whose partitions are mapped
    :param days: number of days from the dataset's partition to the model's
    :param **kwargs: passed to ``PartitionMapper``
    """

    def __init__(self, *, model: str, dataset: str, days: int = 0, **kwargs: Any) -> None:
        super().__init__(days, **kwargs)
        self.model = model
        self.dataset = dataset

    def to_downstream(self, key: str) -> str | list[str]:
        """Map a dataset's partition key to the model's, if there is work for it.

        :param key: the dataset's partition key
        :returns: the model's partition key, or an empty list
        """
        day = _parse(key)
        return super().to_downstream(key) if day and _Database.ask(self, day, self.has_work, if_unknown=True) else []

    def has_work(self, day: dt.date) -> bool:
        """Return whether an event of the dataset's partition should start a run of the model.

        :param day: the dataset's partition
        :returns: whether it should
        :raises NotImplementedError: always: subclasses know
        """
        raise NotImplementedError

    def serialize(self) -> dict[str, Any]:
        """Serialize the mapper with its DAG.

        :returns: the arguments from which `deserialize` rebuilds it
        """
        return {"model": self.model, "dataset": self.dataset, **super().serialize()}


class ScoringMapper(_WorkMapper):
    """Map a day if it can be scored and was not, or if an input of its scoring was corrected.

    :param model: its name, as in ``include/models``
    :param dataset: name of the dataset whose partitions are mapped
    :param days: number of days from the dataset's partition to the model's
    """

    def has_work(self, day: dt.date) -> bool:
        """Return whether an event of the dataset's partition should start a scoring.

        :param day: the dataset's partition
        :returns: whether the day that it affects can be scored, and was not, or must be scored again
        """
        from include.evergreen.scoring.readiness import partition_name, scoring

        published = (self.dataset, day)
        return scoring(self.model, day + dt.timedelta(days=self.days), published).is_started_by(partition_name(published))


class MonitoringMapper(_WorkMapper):
    """Map a scored day if its predictions, or its labels once they are mature, were not monitored yet.

    :param model: its name, as in ``include/models``
    :param dataset: name of the dataset that contains the labels
    :param within_days: number of days after a scored day in which its labels may still come
    :param **kwargs: passed to ``DayShiftMapper``
    """

    def __init__(self, *, model: str, dataset: str, within_days: int = 0, **kwargs: Any) -> None:
        super().__init__(model=model, dataset=dataset, **kwargs)
        self.within_days = within_days

    @property
    def labels(self) -> LabelSource:
        """Return where the labels of the model are."""
        from include.evergreen.config.labels import LabelSource

        return LabelSource(self.dataset, self.within_days)

    def has_work(self, day: dt.date) -> bool:
        """Return whether an event of the predictions should start a monitoring run.

        :param day: the partition of the predictions
        :returns: whether there is something that was not monitored yet
        """
        from include.evergreen.scoring.readiness import monitoring

        return monitoring(self.model, day, self.labels).is_due

    def serialize(self) -> dict[str, Any]:
        """Serialize the mapper with its DAG.

        :returns: the arguments from which `deserialize` rebuilds it
        """
        return {"within_days": self.within_days, **super().serialize()}


class LabelsMapper(MonitoringMapper):
    """Map a day of labels to the scored days whose labels it makes mature, or whose mature labels it changes.

    :param model: its name, as in ``include/models``
    :param dataset: name of the dataset that contains the labels
    :param within_days: number of days after a scored day in which its labels may still come
    """

    def to_downstream(self, key: str) -> str | list[str]:
        """Map a day of labels to the scored days that have something new to monitor because of it.

        :param key: the labels' partition key
        :returns: the scored days' partition keys, often one or none. If our database does not respond, the first day that may be affected:
            labels mostly arrive in order, and make that one mature
        """
        day = _parse(key)
        if day is None:
            return []
        first, _ = self.labels.rows(day)
        return [scored.strftime(PARTITION_FORMAT) for scored in _Database.ask(self, day, self.affected, if_unknown=[first])]

    def affected(self, day: dt.date) -> list[dt.date]:
        """Return the scored days for which an event of the labels should start a monitoring run.

        :param day: the partition of the labels
        :returns: the days that have something new to monitor
        """
        from include.evergreen.scoring.readiness import monitorings_started_by

        return monitorings_started_by(self.model, day, self.labels)


class _Database:
    """Our database, as seen by mappers: after it failed to respond it is not queried for a while."""

    retry_at = 0.0  # on the monotonic clock

    @classmethod
    def ask(cls, mapper: _WorkMapper, day: dt.date, question: Callable[[dt.date], Answer], *, if_unknown: Answer) -> Answer:
        """Ask what work there is.

        :param mapper: the mapper that asks the database
        :param day: the dataset's partition
        :param question: what the mapper asks of the day
        :param if_unknown: the answer that lets a task check
        :returns: the answer
        """
        if time.monotonic() < cls.retry_at:
            return if_unknown
        try:
            return question(day)
        except Exception as error:  # any error: an event that is mapped to nothing by mistake is lost
            if isinstance(error, TransientError):
                cls.retry_at = time.monotonic() + BACKOFF_SECONDS
            log.warning("Unknown whether %s has work for %s/%s, so a task will check: %s", mapper.model, mapper.dataset, day, error)
            return if_unknown


def _parse(key: str) -> dt.date | None:
    try:
        return parse_partition(key)
    except ConfigError:
        return None
