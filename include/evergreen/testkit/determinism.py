"""Determinism: a model's features computed in another process, with another hash seed, time zone and clock."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date as RealDate
from datetime import datetime as RealDatetime
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog
from include.evergreen.config.catalog import ROOT_VARIABLE
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.garbage import collect_seldom
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    import pandas as pd

AHEAD = dt.timedelta(days=400, hours=5, seconds=7)
HASH_SEEDS = ("4242", "2424")
ZONE = "Pacific/Kiritimati"  # 14 hours ahead
LIMIT_SECONDS = 120


def features_elsewhere(catalog: Catalog, name: str) -> dict[Partition, pd.DataFrame]:
    """Compute the features of each examined day in another process.

    :param catalog: what is declared now
    :param name: the model's, as in ``include/models``
    :returns: the features by day, with a plain index
    :raises ConfigError: when the process fails, or takes more than `LIMIT_SECONDS`
    """
    import pandas as pd

    seed = next(seed for seed in HASH_SEEDS if seed != os.environ.get("PYTHONHASHSEED"))
    paths = os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "include.evergreen.testkit.determinism", name],
            env={**os.environ, ROOT_VARIABLE: str(catalog.root), "PYTHONPATH": paths, "PYTHONHASHSEED": seed, "TZ": ZONE},
            cwd=PROJECT_ROOT,
            capture_output=True,
            encoding="utf-8",
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"{catalog.features_path(name)}: features() of a few synthetic rows took more than {LIMIT_SECONDS} s in a process of its own. "
            f"Look for a loop without end, or for something that it waits for."
        ) from None
    if answer.returncode:
        told = answer.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ConfigError(f"{catalog.features_path(name)}: features() failed in a process of its own, and not in this one: {told[0]}")
    return {
        Partition(day): pd.DataFrame({column: _from_text(kind, values) for column, (kind, values) in columns.items()})
        for day, columns in json.loads(answer.stdout.splitlines()[-1]).items()
    }


def _main(name: str) -> None:
    from include.evergreen.testkit.subject import Subject

    subject = Subject.of(Catalog(), name)
    computed: dict[str, Any] = {}
    with _clock_ahead():
        for day in subject.days:
            _, features = subject.features(day)
            computed[day] = {column: _as_text(features[column]) for column in features.columns}
    print(json.dumps(computed))  # noqa: T201


def _as_text(column: pd.Series) -> tuple[str, list[str | None]]:
    kind = str(column.dtype)
    return kind, [
        None if missing else float(value).hex() if kind == "float64" else str(value)
        for value, missing in zip(column, column.isna(), strict=True)
    ]


def _from_text(kind: str, values: list[str | None]) -> pd.Series:
    import pandas as pd

    return pd.Series([value if value is None or kind != "float64" else float.fromhex(value) for value in values], dtype=kind)


@contextmanager
def _clock_ahead() -> Iterator[None]:
    """The usual ways to ask for the time give one that is `AHEAD`; so do modules that are imported meanwhile."""
    import pandas as pd

    real_time, real_now = time.time, pd.Timestamp.now

    class LikeDate(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, RealDate)

    class LikeDatetime(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, RealDatetime)

    class Date(RealDate, metaclass=LikeDate):
        @classmethod
        def today(cls) -> Any:
            return RealDate.today() + AHEAD

    class Datetime(RealDatetime, metaclass=LikeDatetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return RealDatetime.now(tz) + AHEAD

        @classmethod
        def utcnow(cls) -> Any:
            return RealDatetime.now(dt.UTC).replace(tzinfo=None) + AHEAD

        @classmethod
        def today(cls) -> Any:
            return RealDatetime.now() + AHEAD

    def seconds() -> float:
        return real_time() + AHEAD.total_seconds()

    def stamp(tz: Any = None) -> Any:
        return real_now(tz) + AHEAD

    with (
        patch.object(dt, "date", Date),
        patch.object(dt, "datetime", Datetime),
        patch.object(time, "time", seconds),
        patch.object(time, "time_ns", lambda: int(seconds() * 1e9)),
        patch.object(pd.Timestamp, "now", stamp),
        patch.object(pd.Timestamp, "today", stamp),
        patch.object(pd.Timestamp, "utcnow", lambda: stamp("UTC")),
    ):
        yield


if __name__ == "__main__":
    collect_seldom()
    _main(sys.argv[1])
