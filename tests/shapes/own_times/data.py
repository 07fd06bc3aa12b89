"""Payments of a day, each at its own time: fraud comes in bursts of a card, and where cards were stolen in the hour before."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Grain, Partition

HOUR = Grain("hour")
COUNTRIES = ("at", "be", "ch")
CARDS, ALONE, BURSTS, IN_BURST = 40, 80, 12, 5
AN_HOUR = pd.Timedelta(hours=1)


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    if dataset == "alarms":
        return pd.DataFrame({"country": COUNTRIES, "stolen": [_stolen(HOUR.number(partition), each) for each in COUNTRIES]})
    paid = _paid(partition)
    return paid.assign(disputed=_disputed(partition))[["payment", "disputed"]] if dataset == "chargebacks" else paid


@cache  # and nobody changes it
def _paid(day: Partition) -> pd.DataFrame:
    number = DAILY.number(day)
    rng = np.random.default_rng(number)
    seconds = [rng.integers(0, 86_400, ALONE)]
    seconds += [rng.integers(0, 84_000) + np.sort(rng.integers(0, 1800, IN_BURST)) for _ in range(BURSTS)]
    cards = np.concatenate([rng.integers(0, CARDS, ALONE), np.repeat(rng.integers(0, CARDS, BURSTS), IN_BURST)])
    paid_at = DAILY.start(day) + pd.to_timedelta(np.concatenate(seconds), unit="s")
    payments = 1000 * number + np.arange(len(cards))
    return pd.DataFrame({"payment": payments, "card": cards, "country": rng.choice(COUNTRIES, len(cards)), "paid_at": paid_at})


@cache
def _disputed(day: Partition) -> np.ndarray:
    """By the law: of what had happened when a payment was made."""
    paid = _paid(day)
    earlier = pd.concat([_paid(DAILY.shift(day, -1)), paid])
    before = [
        int(((earlier["card"] == card) & (earlier["paid_at"] < at) & (earlier["paid_at"] > at - AN_HOUR)).sum())
        for card, at in zip(paid["card"], paid["paid_at"], strict=True)
    ]
    hours = [HOUR.number(HOUR.at(at.to_pydatetime())) - 1 for at in paid["paid_at"]]
    stolen = np.array([_stolen(hour, country) for hour, country in zip(hours, paid["country"], strict=True)])
    odds = 1.2 * np.array(before) + 1.5 * stolen - 2
    return np.random.default_rng([DAILY.number(day), 1]).random(len(paid)) < 1 / (1 + np.exp(-odds))


def _stolen(hour: int, country: str) -> float:
    return float(np.random.default_rng([hour, COUNTRIES.index(country)]).normal())
