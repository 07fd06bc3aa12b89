"""Customers who change their contract every few days, some of whom have none for a while: what they send back follows the contract."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

CUSTOMERS, ORDERS = 40, 60
PAST = 4  # contracts of a customer that the table holds
CONTRACTS = ("trial", "plain", "gold")
SENT_BACK = {"trial": 2.0, "plain": 0.0, "gold": -3.0, None: 4.0}  # the log of the odds


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    if dataset == "customers":
        return _contracts(partition)
    orders = _orders(partition)
    return orders.drop(columns=["returned"]) if dataset == "orders" else orders[["order", "returned"]]


def _orders(day: Partition) -> pd.DataFrame:
    number = DAILY.number(day)
    rng = np.random.default_rng(number)
    customers, weight = rng.integers(0, CUSTOMERS, ORDERS), rng.normal(size=ORDERS)
    odds = np.array([SENT_BACK[_contract(customer, number)] for customer in customers]) + weight
    return pd.DataFrame(
        {
            "order": 1000 * number + np.arange(ORDERS),
            "customer": customers,
            "ordered_at": DAILY.start(day) + pd.to_timedelta(rng.integers(0, 86_400, ORDERS), unit="s"),
            "weight": weight,
            "returned": np.where(rng.random(ORDERS) < 1 / (1 + np.exp(-odds)), "yes", "no"),
        }
    )


def _contracts(delivery: Partition) -> pd.DataFrame:
    """As they stand at one in the night: those that began with this day are the last."""
    held = []
    for customer in range(CUSTOMERS):
        period = _period(customer)
        newest = _turn(customer, DAILY.number(delivery))
        for turn in range(newest - PAST + 1, newest + 1):
            if (contract := _of_turn(customer, turn)) is not None:
                ends = _begins(customer, turn) + dt.timedelta(days=period)
                held.append((customer, contract, _begins(customer, turn), ends if turn < newest else pd.NaT))
    return pd.DataFrame(held, columns=["customer", "contract", "valid_from", "valid_to"])


def _contract(customer: int, day: int) -> str | None:
    return _of_turn(customer, _turn(customer, day))


def _of_turn(customer: int, turn: int) -> str | None:
    """None: the customer has no contract for this time."""
    drawn = int(np.random.default_rng([customer, turn]).integers(0, 4))
    return CONTRACTS[drawn] if drawn < len(CONTRACTS) else None


def _period(customer: int) -> int:
    """For how many days a contract holds."""
    return 3 + customer % 5


def _turn(customer: int, day: int) -> int:
    return (day + customer) // _period(customer)


def _begins(customer: int, turn: int) -> dt.datetime:
    return DAILY.start(DAILY.numbered(turn * _period(customer) - customer))
