"""Which day of a model one day of a dataset concerns, and whether the model has anything to do for it.

Airflow asks a mapper wherever an asset event is registered: in the API server, within the request in which a task reports its
success. What a mapper maps to nothing makes no run.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from typing import Any

from airflow.partition_mappers.base import PartitionMapper

from include.evergreen.foundation.clock import PARTITION_FORMAT, parse_partition
from include.evergreen.foundation.errors import ConfigError, TransientError

log = logging.getLogger(__name__)
DO_NOT_ASK_FOR_SECONDS = 30  # after our database failed to answer: a thousand models must not each wait for it


class DayShiftMapper(PartitionMapper):
    """Maps a day's key to the key ``days`` later: yesterday's weather concerns today's scoring.

    A key that is not a day maps to nothing: no run is made for it.

    :param days: days from the dataset's partition to the model's
    """

    def __init__(self, days: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.days = days

    def to_downstream(self, key: str) -> str | list[str]:
        day = _parse(key)
        return (day + dt.timedelta(days=self.days)).strftime(PARTITION_FORMAT) if day else []

    def to_partition_date(self, downstream_key: str) -> dt.datetime | None:
        day = _parse(downstream_key)
        return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC) if day else None

    def serialize(self) -> dict[str, Any]:
        return {"days": self.days, **super().serialize()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DayShiftMapper:
        return cls(**data)


class _WorkMapper(DayShiftMapper):
    """Maps as `DayShiftMapper` does, but a day for which the model has nothing to do maps to nothing.

    Our database says what there is to do. When it does not answer the day is mapped: the task looks again.

    :param model: the model's name
    :param dataset: whose partitions are mapped
    """

    def __init__(self, *, model: str, dataset: str, days: int = 0, **kwargs: Any) -> None:
        super().__init__(days, **kwargs)
        self.model = model
        self.dataset = dataset

    def to_downstream(self, key: str) -> str | list[str]:
        day = _parse(key)
        return super().to_downstream(key) if day and _Database.says_work(self, day) else []

    def has_work(self, day: dt.date) -> bool:
        """Whether the event of the dataset's partition ``day`` is to start a run of the model."""
        raise NotImplementedError

    def serialize(self) -> dict[str, Any]:
        return {"model": self.model, "dataset": self.dataset, **super().serialize()}


class ScoringMapper(_WorkMapper):
    """A day that can be scored now and was not, or of which something that the scoring read was corrected."""

    def has_work(self, day: dt.date) -> bool:
        from include.evergreen.scoring.readiness import name_of, scoring

        published = (self.dataset, day)
        return scoring(self.model, day + dt.timedelta(days=self.days), published).is_started_by(name_of(published))


class MonitoringMapper(_WorkMapper):
    """A scored day whose predictions or truth were not monitored yet.

    :param dataset: in which the truth arrives
    """

    def has_work(self, day: dt.date) -> bool:
        from include.evergreen.scoring.readiness import monitoring

        return monitoring(self.model, day + dt.timedelta(days=self.days), self.dataset).is_due


class _Database:
    """Our own, as far as mappers care: after it failed to answer nobody asks it for a while."""

    ask_again_at = 0.0  # on the monotonic clock

    @classmethod
    def says_work(cls, mapper: _WorkMapper, day: dt.date) -> bool:
        """Whether there is any; yes when that is not known, for then the task must look."""
        if time.monotonic() < cls.ask_again_at:
            return True
        try:
            return mapper.has_work(day)
        except Exception as error:  # whatever it is: an event that is mapped to nothing by mistake is lost
            if isinstance(error, TransientError):
                cls.ask_again_at = time.monotonic() + DO_NOT_ASK_FOR_SECONDS
            log.warning("Whether %s has work for %s/%s is not known, so a task looks: %s", mapper.model, mapper.dataset, day, error)
            return True


def _parse(key: str) -> dt.date | None:
    try:
        return parse_partition(key)
    except ConfigError:
        return None
