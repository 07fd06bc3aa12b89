"""A model of several classes beyond its first day: classes that come and go, roll-outs, erasure, and what people are shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from include.evergreen.cli.main import main
from include.evergreen.config import ModelConfig
from include.evergreen.config.gate import Gate
from include.evergreen.config.rollout import Rollout
from include.evergreen.data.conditions import parse_conditions
from include.evergreen.data.partitions.verification import stored_rows
from include.evergreen.features.class_columns import read_classes, stored_names
from include.evergreen.features.columns import CHALLENGER, PREDICTION, VERSION
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.gates.decide import decide
from include.evergreen.monitoring import ensure_report, list_observations, monitor
from include.evergreen.monitoring.overview import window_overview
from include.evergreen.operations.erasure.erase import erase
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.promotion.cards import ensure_card
from include.evergreen.promotion.promote import promote_blessed, register_candidate
from include.evergreen.promotion.rollouts import advance_rollout
from include.evergreen.registry import champions
from include.evergreen.registry.rollouts import Rollout as Recorded
from include.evergreen.registry.rollouts import newest_rollout
from include.evergreen.scoring.predictions import PredictionSet, find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.serving.likeliest import probability
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.stage_status import find_stage
from include.evergreen.training.candidate import find_candidate, holdout_path
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tests.shapes.living import FOLDER, Living
from tests.shapes.seven_classes.data import DEFECTS
from tests.templates import template
from tests.unit.flights import at_home, copy_home, empty_template

SHAPE = "seven_classes"
MODEL = "defects"


@pytest.fixture
def shape(monkeypatch: pytest.MonkeyPatch, _own_home: Path) -> Living:
    """A home in which version 1 is champion, and its as_of is scored."""
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(FOLDER / SHAPE))
    copy_home(template("seven-classes", _make), _own_home)
    return Living(SHAPE)


def _make(home: Path) -> None:
    with at_home(copy_home(empty_template(), home)), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_INCLUDE", str(FOLDER / SHAPE))
        shape = Living(SHAPE)
        as_of = shape.first_as_of()
        shape.deliver_all(shape.model.grain.start(as_of))
        assert run_cycle(shape.catalog, shape.model, as_of, reason="the first", actor="a person").decision.verdict == "blessed"


def day(shape: Living, number: int = 0) -> Partition:
    return DAILY.shift(shape.first_as_of(), number)


def observed(shape: Living, partition: Partition) -> dict[str, Any]:
    return {each.metric: each for each in list_observations(MODEL, first=partition, last=partition)}


def deliver_labels(shape: Living, partition: Partition, *, as_new: int = 0) -> None:
    """The labels of a partition; the first ``as_new`` of them of a defect that nobody has seen before."""
    dataset = shape.catalog.dataset("inspections")
    frame = shape.frame(dataset, partition)
    frame.loc[: as_new - 1, "defect"] = "smoke"
    shape.deliver(dataset, partition, dataset.known_from(partition), frame)


def predictions(partition: Partition) -> PredictionSet:
    found = find_predictions(MODEL, partition)
    assert found is not None
    return found


def trained(shape: Living, model: ModelConfig, as_of: Partition) -> int:
    """The number of a further version, whatever its gate would say of it."""
    snapshot = take_snapshot(shape.catalog, model, as_of)
    candidate, _ = train(shape.catalog, model, snapshot, "another")
    free = model.model_copy(update={"gate": Gate.model_validate({**model.gate.model_dump(), "mode": "disabled"})})
    decide(shape.catalog, free, candidate)
    return register_candidate(shape.catalog, free, candidate.run_key).version


def newest_rollout_of(model: str) -> Recorded:
    with reading() as connection:
        found = newest_rollout(connection, model)
    assert found is not None
    return found


def test_what_is_stored_names_the_class_by_its_own_text_and_is_as_it_was_written(shape: Living) -> None:
    scored = predictions(day(shape))
    frame = scored.frame()
    assert set(frame[PREDICTION]) <= set(DEFECTS)
    assert set(stored_names()) <= set(frame.columns)
    assert (frame["served:classes"].str[0] == frame[PREDICTION]).all()
    assert np.allclose([row.sum() for row in frame["served:probabilities"]], 1, atol=1e-5)
    assert stored_rows(scored.path, scored.digest).state == "whole"
    contributions = frame[[name for name in frame.columns if name.startswith("contribution:")]].sum(axis=1)
    assert contributions.between(-1, 1).all() and contributions.abs().max() > 0.1


def test_scored_again_nothing_changes_and_the_law_is_what_it_learnt(shape: Living) -> None:
    before = predictions(day(shape))
    assert score(shape.catalog, shape.model, day(shape), "live").status == "unchanged"
    assert predictions(day(shape)).digest == before.digest
    classes = tuple(find_candidate(champions.version_number(MODEL, 1).run_key).facts["classes"])
    assert classes == tuple(sorted(DEFECTS))
    given = read_classes(storage.read_table(before.path), classes)
    law = shape.source.best(before.frame())
    known = np.ones(len(classes), dtype=bool)
    apart = [abs(probability(given, classes.index(text), known) - law[:, number]).mean() for number, text in enumerate(DEFECTS)]
    assert max(apart) < 0.05


def test_a_day_is_monitored_by_every_metric_with_its_interval(shape: Living) -> None:
    deliver_labels(shape, day(shape))
    assert monitor(shape.catalog, shape.model, day(shape), "live").status == "done"
    figures = observed(shape, day(shape))
    expected = {
        "log_loss",
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "weighted_f1",
        "auc_ovr",
        "scrap",
        *(f"recall:{text}" for text in DEFECTS),
    }
    assert {f"performance.{name}" for name in expected} <= set(figures)
    for name in expected - {"recall:hole", "scrap"}:  # of a handful of rows a resample may have none; the team's own is not resampled
        figure = figures[f"performance.{name}"]
        assert figure.low is not None and figure.low <= figure.value <= figure.high, name
    assert figures["labels.new_class_share"].value == 0
    assert {"prediction_drift.score", "target_drift.score"} <= set(figures)
    assert figures["performance.log_loss[line=north]"].rows == 75
    frame, called = shape.frame(shape.catalog.dataset("inspections"), day(shape)), predictions(day(shape)).frame()[PREDICTION]
    cost = frame["defect"].map({"crack": 8.0, "hole": 5.0}).fillna(1.0) * (frame["defect"] != called)
    assert figures["performance.scrap"].value == pytest.approx(cost.mean())
    assert figures["performance.scrap[line=north]"].value == pytest.approx(cost[frame["part"] % 2 == 1].mean())
    for name in expected - {"scrap"}:
        figure = figures[f"estimated.{name}"]
        assert figure.low <= figure.value <= figure.high, name
    assert figures["concept_drift.score"].value < 1, "the law is what the model has learnt"
    told = find_stage(MODEL, "monitor", day(shape)).detail["message"]
    assert "performance.macro_f1" in told and "recall:" not in told and "new_class" not in told
    overview = window_overview(shape.catalog, shape.model, day(shape))
    [shown] = [each for each in overview.columns if each.verdict.column == PREDICTION]
    assert set(DEFECTS) <= {bar.name for bar in shown.bars}
    assert storage.exists(ensure_report(shape.catalog, shape.model, day(shape)))


def test_a_class_that_nobody_has_seen_is_told_measured_as_an_error_and_learnt_by_the_next_training(shape: Living) -> None:
    plain, changed = day(shape), day(shape, 1)
    shape.deliver_all(shape.model.grain.start(changed))
    score(shape.catalog, shape.model, changed, "live")
    deliver_labels(shape, plain)
    deliver_labels(shape, changed, as_new=60)
    for partition in (plain, changed):
        assert monitor(shape.catalog, shape.model, partition, "live").status == "done"
    before, after = observed(shape, plain), observed(shape, changed)
    assert after["labels.new_class_share"].value == pytest.approx(60 / 300)  # performance is of both days together
    assert "labels.new_class_share 0.200" in find_stage(MODEL, "monitor", changed).detail["message"]
    assert after["performance.accuracy"].value < before["performance.accuracy"].value - 0.1
    assert after["performance.log_loss"].value > before["performance.log_loss"].value + 2
    assert after["target_drift.score"].value > 0.1
    assert after["performance.scrap"].value > before["performance.scrap"].value
    assert "performance.recall:smoke" not in after

    for number in range(2, 7):
        deliver_labels(shape, day(shape, number), as_new=60)
        shape.deliver_all(shape.model.grain.start(day(shape, number + 1)))
    as_of = day(shape, 8)
    for number in range(1, 8):
        deliver_labels(shape, day(shape, number), as_new=60)
    version = trained(shape, shape.model, as_of)
    facts = find_candidate(champions.version_number(MODEL, version).run_key).facts
    assert "smoke" in facts["classes"]


def test_the_card_says_what_is_predicted_and_how_many_rows_each_class_has(shape: Living) -> None:
    card = storage.read_bytes(ensure_card(shape.catalog, shape.model, champions.version_number(MODEL, 1))).decode()
    assert "which of 7 classes defect is" in card
    assert "recall:scratch" in card
    assert "Euros a part that a wrong call costs" in card
    rows = dict(re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', card[card.index("<h3>Classes</h3>") :]))
    assert set(DEFECTS) <= set(rows)
    holdout = find_candidate(champions.version_number(MODEL, 1).run_key).metrics
    assert f'data-label="Recall">{holdout["recall:scratch"]:.1%}</td>' in rows["scratch"]
    assert "Shares of the classes" not in card
    assert "predicted chance of the likeliest class" in card


def test_a_prediction_is_traced_with_the_likeliest_classes(shape: Living, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prediction", MODEL, "part=3", "--json"]) == 0
    [traced] = json.loads(capsys.readouterr().out)
    assert traced["prediction"] == next(iter(traced["classes"]))
    assert traced["base"] + sum(traced["contributions"].values()) == pytest.approx(traced["classes"][traced["prediction"]])
    assert main(["prediction", MODEL, "part=3"]) == 0
    assert f": {traced['prediction']} (label: not known yet)" in capsys.readouterr().out


def test_an_erased_row_leaves_the_predictions_readable(shape: Living) -> None:
    before = predictions(day(shape))
    dataset = shape.catalog.dataset("parts")
    erase(shape.catalog, dataset, parse_conditions(dataset, ["part=3"]), actor="a person", reason="they asked")
    after = predictions(day(shape))
    assert after.rows == before.rows - 1
    assert stored_rows(after.path, after.digest).state == "whole"
    classes = sorted(DEFECTS)
    kept = np.delete(np.arange(before.rows), 3)
    deliver_labels(shape, day(shape))
    assert np.array_equal(read_classes(storage.read_table(after.path), classes)[:, 0] >= 0, np.ones(len(kept), dtype=bool))
    assert monitor(shape.catalog, shape.model, day(shape), "live").status == "done"
    figures = observed(shape, day(shape))
    assert figures["performance.accuracy"].rows == figures["estimated.accuracy"].rows == before.rows - 1
    sample = storage.read_frame(holdout_path(champions.version_number(MODEL, 1).reference_path))
    assert len(sample) == 5 * (before.rows - 1), "that part is gone from each day of the holdout"


@pytest.mark.parametrize("strategy", ["shadow", "canary"])
def test_a_version_that_knows_fewer_classes_is_rolled_out_and_found_to_be_worse(shape: Living, strategy: str) -> None:
    criteria = [{"kind": "champion", "metric": "log_loss", "margin": 0.05}]
    shares = {"shares": [0.5]} if strategy == "canary" else {}
    few = shape.model.target.model_copy(update={"classes": DEFECTS[:3]})
    model = shape.model.model_copy(
        update={
            "gate": Gate.model_validate({"mode": "disabled", "resample": "rows", "criteria": criteria}),
            "rollout": Rollout.model_validate({"strategy": strategy, "partitions": 2, **shares}),
        }
    )
    as_of = day(shape, 1)
    shape.deliver_all(model.grain.start(as_of))
    version = trained(shape, shape.model.model_copy(update={"target": few}), as_of)
    assert find_candidate(champions.version_number(MODEL, version).run_key).facts["classes"] == sorted(DEFECTS[:3])
    assert promote_blessed(shape.catalog, model, version, actor="the night", reason="blessed").is_rolling_out
    for number in (1, 2):
        shape.deliver_all(model.grain.start(day(shape, number)))
        assert score(shape.catalog, model, day(shape, number), "live").is_done
        deliver_labels(shape, day(shape, number))
        assert monitor(shape.catalog, model, day(shape, number), "live").status == "done"
    scored = predictions(day(shape, 1))
    whole = scored.whole()
    theirs = whole[CHALLENGER] if strategy == "shadow" else whole.loc[whole[VERSION] == version, PREDICTION]
    assert set(theirs) <= set(DEFECTS[:3]) and len(theirs) > 30
    assert stored_rows(scored.path, scored.digest).state == "whole"
    if strategy == "canary":
        assert set(whole.loc[whole[VERSION] == 1, PREDICTION]) - set(DEFECTS[:3]), "the champion's rows are its own"
    told = advance_rollout(shape.catalog, model)
    rollout = newest_rollout_of(MODEL)
    assert rollout.state == "rolled_back", told
    [evidence] = rollout.evidence
    assert evidence["version"] > evidence["champion"] + 3, "three rows in ten are of a class that it does not know"


def test_more_classes_make_a_version_no_model_of_another_target(shape: Living) -> None:
    more = shape.model.target.model_copy(update={"classes": (*DEFECTS, "smoke")})
    model = shape.model.model_copy(update={"target": more})
    candidate, _ = train(shape.catalog, model, take_snapshot(shape.catalog, model, day(shape)), "another")
    decision = decide(shape.catalog, model, candidate)
    [compared] = [criterion for criterion in decision.criteria if criterion["kind"] == "champion"]
    assert (compared["verdict"], compared["value"]) == ("passed", 0.0), compared["message"]
    assert candidate.facts["classes"] == sorted(DEFECTS), "of a class without rows nothing is known"
