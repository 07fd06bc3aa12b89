"""A window that takes most of its rows from the one before is the one that is read anew."""

from __future__ import annotations

import datetime as dt
import importlib
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from include.evergreen.config import Catalog
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import PointInTimeReader
from include.evergreen.foundation.grain import DAILY, Grain, Partition
from tests.templates import template
from tests.unit.flights import at_home, copy_home, empty_template
from tests.unit.shop_of_any_grain import MODEL, Shape, deliver, frame_of

SHAPE = Shape(Grain(), Grain(), "lag: 1 day", "lag: 1 day", 12, 6, 3, 5, "2013-02-25")
DAYS = DAILY.between(Partition("2013-02-25"), Partition("2013-03-25"))
READER = importlib.import_module("include.evergreen.features.reader")


@pytest.fixture
def catalog(settled: Callable[[Path], Path], tmp_path: Path) -> Catalog:
    """Days of which some have come late, some were corrected before they were read and some after, and some have another type."""
    catalog = SHAPE.declare(tmp_path / "include")

    def make(home: Path) -> None:
        with at_home(copy_home(empty_template(), home)):
            _deliver_all(catalog)

    settled(template("windows", make))
    return catalog


def _deliver_all(catalog: Catalog) -> None:
    for name in catalog.dataset_names():
        dataset = catalog.dataset(name)
        for number, day in enumerate(DAYS):
            frame = frame_of(dataset, day)
            if name == "prices" and number == 7:
                frame = frame.assign(price=frame["price"].round().astype("Int64"))
            if number % 9 != 8:
                deliver(dataset, day, frame)
            if number % 4 == 3:
                known = DAILY.start(day) + dt.timedelta(days=number % 3 * 2 + 1, hours=1)
                deliver(dataset, day, frame.iloc[: number % 10 + 1], known=known)


@pytest.mark.parametrize("columns", [None, ["shop", "price"], ["\0known", "shop"]])
@pytest.mark.parametrize("order", ["one after the other", "backwards", "mixed"])
def test_in_whatever_order_partitions_are_read(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, order: str, columns: list[str] | None
) -> None:
    model, days = catalog.model(MODEL), list(DAYS)
    if order != "one after the other":
        days.reverse() if order == "backwards" else random.Random(1).shuffle(days)
    kept, anew = (PartitionCache(Partition("2013-04-10"), model=model) for _ in range(2))
    for day in days:
        for length in (5, 2):
            windows = []
            for cache, cells in ((kept, READER.MOST_KEPT_CELLS), (anew, 0)):
                with monkeypatch.context() as patch:
                    patch.setattr(READER, "MOST_KEPT_CELLS", cells)
                    windows.append(PointInTimeReader(model, day, cache).window("prices", length, columns))
            pd.testing.assert_frame_equal(*windows)
            windows[0].iloc[:, 0] = windows[0].iloc[::-1, 0].to_numpy()  # what a team's code changes is its own
    assert kept.read == anew.read
    assert kept.windows and not anew.windows


def test_rows_that_are_known_one_by_one_are_read_anew_each_time(catalog: Catalog) -> None:
    prices = catalog.dataset_path("prices")
    text = prices.read_text().replace("hours_after_end: 0}", "hours_after_end: 0, column: told}")
    prices.write_text(text.replace("keys: [shop]", "  - {name: told, type: timestamp, description: x}\nkeys: [shop]"))
    dataset, model = catalog.dataset("prices"), catalog.model(MODEL)
    day = Partition("2013-04-01")
    told = [DAILY.start(day) + dt.timedelta(hours=12 * number) for number in range(12)]
    deliver(dataset, day, frame_of(dataset, day).assign(told=told))
    cache = PartitionCache(Partition("2013-04-10"), model=model)
    rows = [len(PointInTimeReader(model, DAILY.shift(day, number), cache).window("prices", 5)) for number in (1, 2, 3)]
    assert rows == [3, 5, 7]
    assert not cache.windows
