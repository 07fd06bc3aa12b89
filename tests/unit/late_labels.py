"""Payments and the chargebacks that come for some of them, days later, by a law that is known: for tests of labels that come late.

A payment is charged back with a chance that follows its amount; the chargeback stands in the partition of the day on which it comes, a
geometric number of days after the payment, `WITHIN` at most. Payments are numbered, and chargebacks name the number as a text.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd

from include.evergreen.config import Catalog
from include.evergreen.data.partitions import PartitionVersion, publish_partition
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.monitoring import monitor
from include.evergreen.registry import champions
from include.evergreen.scoring.score import score
from include.evergreen.state import storage
from tests.templates import template
from tests.unit.flights import at_home, copy_home, empty_template, registered_as_of

FIRST = "2024-01-01"
WITHIN = 5
ROWS_A_DAY = 80
MODEL = "chargeback"
DATASET = """\
name: {name}
description: Of a shop.
owner: shop
source: {{type: files, path: "nowhere/{{partition}}.csv"}}
schedule: {{cron: "{cron}", start: 2024-01-01}}
knowledge: {{hours_after_partition: {hours}}}
columns: {columns}
keys: [{keys}]
"""
PAYMENTS = "[{name: payment, type: integer, description: x}, {name: amount, type: number, description: x}]"
CHARGEBACKS = "[{name: payment, type: string, description: x}, {name: disputed, type: boolean, nullable: true, description: x}]"
DECLARED = """\
name: chargeback
description: Whether a payment will be charged back.
owner: shop
task: classification
rows: payments
inputs:
  - {dataset: payments}
target: {dataset: chargebacks, column: disputed, positive: true, within: 5 days, absent: negative}
features:
  - {name: amount, kind: numeric, description: In standard deviations}
train: {window: 20 days, min_history: 6 days, holdout: 3 days, estimator: sklearn.linear_model.LogisticRegression}
gate:
  criteria:
    - {kind: absolute, metric: auc, at_least: 0.5}
retrain:
  rules:
    - {metric: performance.log_loss, above: 0.0, k: 1, n: 1}
"""
FEATURES = 'def features(read):\n    return read.rows()[["amount"]]\n'


AS_OF = 25  # the number of the day as of which the champion of `settle_champion` was trained


def day(number: int) -> Partition:
    """The day so many days after the first: 0 is the first."""
    return DAILY.shift(FIRST, number)


def declare(folder: Path, *, target: str = "", train: str = "", cron: str = "0 0 * * *") -> Catalog:
    """Write the declarations; ``target`` replaces what the target says of its wait, ``train`` the training's days."""
    texts = {
        "datasets/payments/dataset.yaml": DATASET.format(name="payments", cron="0 0 * * *", hours=-2, columns=PAYMENTS, keys="payment"),
        "datasets/chargebacks/dataset.yaml": DATASET.format(name="chargebacks", cron=cron, hours=24, columns=CHARGEBACKS, keys="payment"),
        f"models/{MODEL}/model.yaml": DECLARED.replace(
            "within: 5 days, absent: negative", target or "within: 5 days, absent: negative"
        ).replace(
            "window: 20 days, min_history: 6 days, holdout: 3 days", train or "window: 20 days, min_history: 6 days, holdout: 3 days"
        ),
        f"models/{MODEL}/features.py": FEATURES,
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return Catalog(folder)


def payments(partition: Partition, rows: int = ROWS_A_DAY) -> pd.DataFrame:
    """The payments of a day, with what becomes of them: ``chance``, ``disputed`` and ``delay`` in days, 1 to `WITHIN`."""
    rng = np.random.default_rng(DAILY.number(partition))
    amount = rng.normal(size=rows)
    chance = 1 / (1 + np.exp(1.8 - amount))
    return pd.DataFrame(
        {
            "payment": pd.array(10_000 * (DAILY.number(partition) - DAILY.number(FIRST)) + np.arange(rows), dtype="Int64"),
            "amount": amount,
            "chance": chance,
            "disputed": rng.random(rows) < chance,
            "hurry": rng.random(rows),
        }
    )


def delays(made: pd.DataFrame, within: int = WITHIN, chance_a_day: float = 0.4) -> pd.Series:
    """After how many days the chargeback of each payment comes: geometric, given that it comes within ``within`` days."""
    arrived = 1 - (1 - chance_a_day) ** np.arange(1, within + 1)
    return pd.Series(np.searchsorted(arrived / arrived[-1], made["hurry"]) + 1, index=made.index)


def chargebacks(partition: Partition, rows: int = ROWS_A_DAY, within: int = WITHIN, chance_a_day: float = 0.4) -> pd.DataFrame:
    """The chargebacks that come on a day."""
    numbers: list[int] = []
    for age in range(1, within + 1):
        made = payments(DAILY.shift(partition, -age), rows)
        numbers += made.loc[made["disputed"] & (delays(made, within, chance_a_day) == age), "payment"].tolist()
    return disputed(*numbers)


def disputed(*numbers: int, value: bool | None = True) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "payment": pd.array(list(map(str, numbers)), dtype="string"),
            "disputed": pd.array([value] * len(numbers), dtype="boolean"),
        }
    )


def deliver(
    dataset: str, partition: Partition, frame: pd.DataFrame | None = None, *, known: dt.datetime | None = None, **content: object
) -> PartitionVersion:
    """Publish a day of a dataset: what the law says, unless a frame is given."""
    if frame is None:
        frame = payments(partition)[["payment", "amount"]] if dataset == "payments" else chargebacks(partition)
    digest = frame_digest(frame)
    path = f"datasets/{dataset}/{partition}/{digest[:16]}.parquet"
    storage.write_frame(path, frame)
    counts = {"rows": len(frame), "source_rows": len(frame), "quarantined": 0, "quarantine_digest": "", "quarantine_path": ""}
    hours = -2 if dataset == "payments" else 24
    known = known or DAILY.start(partition) + dt.timedelta(hours=hours)
    content = {"digest": digest, "path": path, **counts, **content}
    return publish_partition(dataset=dataset, partition=partition, content=content, known_at=lambda _: known, origin="live")[0]


def deliver_days(first: int, last: int) -> None:
    """Publish the days from ``first`` to ``last`` of both datasets."""
    for number in range(first, last + 1):
        deliver("payments", day(number))
        deliver("chargebacks", day(number))


def settle_champion() -> None:
    """Fill this test's home: both datasets up to the day before `AS_OF`, and a champion as of that day, which has scored nothing."""
    copy_home(template("late-labels", _make_champion), Settings.from_environment().home)


def settle_mature() -> None:
    """Fill this test's home as `settle_champion` does; then days are lived until `AS_OF` has all its labels, and is monitored with them."""
    copy_home(template("late-labels-mature", _make_mature), Settings.from_environment().home)


def live(catalog: Catalog, number: int) -> None:
    """A day's payments come, are scored and monitored, and its chargebacks arrive."""
    model = catalog.model(MODEL)
    deliver("payments", day(number))
    assert score(catalog, model, day(number), "live").is_done
    monitor(catalog, model, day(number), "live")
    deliver("chargebacks", day(number))


def _make_mature(home: Path) -> None:
    with at_home(copy_home(template("late-labels", _make_champion), home)):
        catalog = Catalog(home / "include")
        for number in range(AS_OF, AS_OF + WITHIN + 1):
            live(catalog, number)
        monitor(catalog, catalog.model(MODEL), day(AS_OF), "live")


def _make_champion(home: Path) -> None:
    with at_home(copy_home(empty_template(), home)):
        catalog = declare(home / "include")
        deliver_days(0, AS_OF - 1)
        version = registered_as_of(catalog.model(MODEL), day(AS_OF), catalog)
        champions.promote(MODEL, version.version, actor="a person", reason="the first")
