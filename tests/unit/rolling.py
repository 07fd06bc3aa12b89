"""Homes in which a version waits to be rolled out beside champion 1, with the flights of five days more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import Gate
from include.evergreen.config.rollout import Rollout as Declared
from include.evergreen.data.ingestion import ingest
from include.evergreen.foundation.settings import Settings
from include.evergreen.promotion.promote import promote_blessed
from include.evergreen.promotion.rollouts import advance_rollout
from include.evergreen.registry import champions
from include.evergreen.registry.rollouts import Rollout, newest_rollout
from include.evergreen.scoring import score as scoring
from include.evergreen.state.database import reading
from tests.templates import template
from tests.unit.copies import copied_version
from tests.unit.flights import at_home, copy_home
from tests.unit.lifecycle import LAST, MODEL, day, settle_cycled

FIRST_DAY, LAST_DAY = 21, int(LAST[-2:])
NIGHT = {"actor": "the night", "reason": "blessed by the gate"}
PERSON = {"actor": "a person", "reason": "it went wrong"}


def settle_before_rollout() -> None:
    """Fill this test's home: version 1 is champion, version 2 a copy of it; schedules up to `LAST_DAY`, labels up to the day before."""
    copy_home(template("before-rollout", _make), Settings.from_environment().home)


def _make(home: Path) -> None:
    with at_home(home):
        settle_cycled()
        catalog = Catalog()
        for number in range(FIRST_DAY, LAST_DAY + 1):
            for dataset, partition in (("schedules", day(number)), ("weather", day(number - 1)), ("outcomes", day(number - 1))):
                ingest(catalog.dataset(dataset), partition, "live")
        assert copied_version("the challenger").version == 2


def declared(margin: float = 0.02, resample: str = "days", **rollout: object) -> ModelConfig:
    """The model with a roll-out, and a gate that blesses without evaluation."""
    model = Catalog().model(MODEL)
    criterion = {"kind": "champion", "metric": "log_loss", "margin": margin}
    gate = Gate.model_validate({**model.gate.model_dump(), "mode": "disabled", "criteria": [criterion], "resample": resample})
    return model.model_copy(update={"gate": gate, "rollout": Declared.model_validate(rollout)})


def start(model: ModelConfig, version: int = 2) -> champions.Promotion:
    return promote_blessed(Catalog(), model, version, **NIGHT)


def score(model: ModelConfig, *numbers: int, origin: str = "live") -> None:
    for number in numbers:
        assert scoring.score(Catalog(), model, day(number), origin).is_done


def advance(model: ModelConfig) -> str:
    return advance_rollout(Catalog(), model)


def newest(version: int | None = None) -> Rollout:
    with reading() as connection:
        found = newest_rollout(connection, MODEL, version)
    assert found is not None
    return found


def champion() -> int:
    found = champions.champion(MODEL)
    assert found is not None
    return found.version


@contextmanager
def predicting_the_opposite(version: int) -> Iterator[None]:
    """Within it, a version predicts that what is late is not, and the other way round."""
    loaded, predict = scoring._loaded, scoring.predict

    def marked(scorer: scoring.Scorer) -> Any:
        pipeline = loaded(scorer)
        return ("opposite", pipeline) if scorer.version.version == version else pipeline

    def predicted(pipeline: Any, *given: Any) -> Any:
        return 1 - predict(pipeline[1], *given) if isinstance(pipeline, tuple) else predict(pipeline, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_loaded", marked)
        patch.setattr(scoring, "predict", predicted)
        yield
