"""Homes in which candidates of air_time wait for their gate: training is most of what such a test would cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.training.candidate import Candidate, find_candidate
from tests.templates import template
from tests.unit.copies import database  # noqa: F401  tests with a home run on SQLite and on PostgreSQL
from tests.unit.flights import at_home, brief, copy_home, january, trained_as_of

WAITING = "waiting.json"  # in a home: the run keys of those that wait, by name


@pytest.fixture
def candidate(settled: Callable[[Path], Path], _flights_template: Path) -> Candidate:
    """As of 14 January, in a home as `flights` gives; no decision is taken, and there is no champion."""

    def make(home: Path) -> None:
        with at_home(copy_home(_flights_template, home)):
            _train(home, {"14": (brief(Catalog().model("air_time")), 14)})

    return _waiting(settled(template("waiting", make)))["14"]


@pytest.fixture
def three_candidates(settled: Callable[[Path], Path], _flights_template: Path) -> list[Candidate]:
    """As of 13, 14 and 15 January, in such a home."""

    def make(home: Path) -> None:
        with at_home(copy_home(_flights_template, home)):
            model = brief(Catalog().model("air_time"))
            _train(home, {str(number): (model, number) for number in (13, 14, 15)})

    return list(_waiting(settled(template("three-waiting", make))).values())


@pytest.fixture
def challengers(settled: Callable[[Path], Path], _trained_template: Path) -> dict[str, Candidate]:
    """In a home as `trained` gives, undecided: ``newer`` and ``blunt`` as of 20 January, ``14`` and ``15`` older than the champion."""

    def make(home: Path) -> None:
        with at_home(copy_home(_trained_template, home)):
            model = Catalog().model("air_time")
            short = brief(model)
            _train(home, {"newer": (model, 20), "blunt": (blunt(model), 20), "14": (short, 14), "15": (short, 15)})

    return _waiting(settled(template("challengers", make)))


def blunt(model: ModelConfig) -> ModelConfig:
    """``model`` with a penalty that leaves it little to tell."""
    return model.model_copy(update={"train": model.train.model_copy(update={"parameters": {"alpha": 1e6}})})


def _train(home: Path, waiting: dict[str, tuple[ModelConfig, int]]) -> None:
    keys = {name: trained_as_of(model, january(number)).run_key for name, (model, number) in waiting.items()}
    (home / WAITING).write_text(json.dumps(keys))


def _waiting(home: Path) -> dict[str, Candidate]:
    return {name: find_candidate(run_key) for name, run_key in json.loads((home / WAITING).read_text()).items()}
