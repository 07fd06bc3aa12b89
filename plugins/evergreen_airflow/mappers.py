"""Which day of a model one day of a dataset concerns."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.partition_mappers.base import PartitionMapper

KEY_FORMAT = "%Y-%m-%d"


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
        return (day + dt.timedelta(days=self.days)).strftime(KEY_FORMAT) if day else []

    def to_partition_date(self, downstream_key: str) -> dt.datetime | None:
        return _parse(downstream_key)

    def serialize(self) -> dict[str, Any]:
        return {"days": self.days, **super().serialize()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DayShiftMapper:
        return cls(**data)


def _parse(key: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(key, KEY_FORMAT).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
